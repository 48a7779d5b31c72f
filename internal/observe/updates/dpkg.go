package updates

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"

	"sekimori/internal/host"
	"sekimori/internal/observe/rootfs"
)

// Bounds of what is read of package databases.
const (
	maxPackages = 500_000
	maxStanza   = 4 << 20
)

// record is what matters here of one version of a package.
type record struct {
	name, arch, version             string
	source, sourceVersion           string
	depends, preDepends, recommends string
	breaks, conflicts, replaces     string
	provides                        string
	essential                       bool
	phased                          int // of 100
	// places are where it is to be had; none of the installed one alone.
	places []*place
}

// eachStanza hands out the stanzas of a stream, each without the empty line at
// its end. The bytes are good until the next one.
func eachStanza(r io.Reader, each func([]byte) error) error {
	buf := make([]byte, 0, 256<<10)
	searched := 0
	for {
		if len(buf) == cap(buf) {
			if cap(buf) >= maxStanza {
				return fmt.Errorf("an entry of more than %d bytes", maxStanza)
			}
			buf = slices.Grow(buf, cap(buf))
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		start := 0
		for {
			i := bytes.Index(buf[max(start, searched-1):], []byte("\n\n"))
			if i < 0 {
				break
			}
			end := max(start, searched-1) + i
			searched = 0
			if end > start {
				if err := each(buf[start : end+1]); err != nil {
					return err
				}
			}
			start = end + 2
		}
		buf = buf[:copy(buf, buf[start:])]
		searched = len(buf)
		if err == io.EOF {
			if rest := bytes.TrimSpace(buf); len(rest) > 0 {
				return each(append(rest, '\n'))
			}
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// fields goes through the lines "Name: value" of a stanza; lines that continue a
// value are joined to it.
func fields(stanza []byte, each func(name, value []byte)) {
	for len(stanza) > 0 {
		end := bytes.IndexByte(stanza, '\n')
		for end >= 0 && end+1 < len(stanza) && (stanza[end+1] == ' ' || stanza[end+1] == '\t') {
			next := bytes.IndexByte(stanza[end+1:], '\n')
			if next < 0 {
				end = -1
				break
			}
			end += 1 + next
		}
		line := stanza
		if end >= 0 {
			line, stanza = stanza[:end], stanza[end+1:]
		} else {
			stanza = nil
		}
		if i := bytes.IndexByte(line, ':'); i > 0 {
			each(line[:i], bytes.TrimSpace(line[i+1:]))
		}
	}
}

// parseRecord reads one stanza of dpkg's status or of a Packages file; status is
// the field of that name.
func parseRecord(stanza []byte) (r record, status string) {
	r.phased = 100
	fields(stanza, func(name, value []byte) {
		var to *string
		switch string(name) {
		case "Package":
			to = &r.name
		case "Status":
			to = &status
		case "Architecture":
			to = &r.arch
		case "Version":
			to = &r.version
		case "Source":
			to = &r.source
		case "Depends":
			to = &r.depends
		case "Pre-Depends":
			to = &r.preDepends
		case "Recommends":
			to = &r.recommends
		case "Breaks":
			to = &r.breaks
		case "Conflicts":
			to = &r.conflicts
		case "Replaces":
			to = &r.replaces
		case "Provides":
			to = &r.provides
		case "Essential", "Important", "Protected":
			r.essential = r.essential || string(value) == "yes"
			return
		case "Phased-Update-Percentage":
			if _, err := fmt.Sscan(string(value), &r.phased); err != nil {
				r.phased = 100
			}
			return
		default:
			return
		}
		*to = string(value)
	})
	r.source, r.sourceVersion, _ = strings.Cut(r.source, " ")
	r.sourceVersion = strings.Trim(r.sourceVersion, "()")
	if r.source == "" {
		r.source = r.name
	}
	if r.sourceVersion == "" {
		r.sourceVersion = r.version
	}
	return r, status
}

// installed is a package that dpkg has, in whatever state.
type installed struct {
	record
	state string // not "" where it is not simply installed
	hold  bool
	auto  bool
}

// readStatus reads dpkg's status, and which packages came by themselves.
func readStatus(f rootfs.FS, n *rootfs.Notes) []installed {
	var out []installed
	for _, name := range statusFiles(f, n) {
		file, err := f.Open(name)
		if err != nil {
			n.Err(err)
			continue
		}
		err = eachStanza(file, func(stanza []byte) error {
			r, status := parseRecord(stanza)
			words := strings.Fields(status)
			if r.name == "" || r.version == "" || name == "var/lib/dpkg/status" && len(words) != 3 {
				return nil
			}
			p := installed{record: r}
			if len(words) == 3 {
				p.hold = words[0] == "hold"
				switch words[2] {
				case "not-installed", "config-files":
					return nil
				case "installed":
				default:
					p.state = words[2]
				}
			}
			if len(out) == maxPackages {
				return fmt.Errorf("more than %d packages", maxPackages)
			}
			out = append(out, p)
			return nil
		})
		if err != nil {
			n.Add("/%s: %s", name, err)
		}
		file.Close()
	}
	auto := readAuto(f, n)
	for i := range out {
		p := &out[i]
		p.auto = auto[p.name+":"+p.arch]
	}
	return out
}

// statusFiles is dpkg's database; images without a package manager have one file
// for each package.
func statusFiles(f rootfs.FS, n *rootfs.Notes) []string {
	var out []string
	if f.Exists("var/lib/dpkg/status") {
		out = append(out, "var/lib/dpkg/status")
	}
	for _, name := range n.Names(f, "var/lib/dpkg/status.d") {
		if !strings.Contains(name, ".") {
			out = append(out, "var/lib/dpkg/status.d/"+name)
		}
	}
	return out
}

func readAuto(f rootfs.FS, n *rootfs.Notes) map[string]bool {
	out := map[string]bool{}
	file, err := f.Open("var/lib/apt/extended_states")
	if err != nil {
		n.Err(err)
		return out
	}
	defer file.Close()
	err = eachStanza(file, func(stanza []byte) error {
		var name, arch, auto string
		fields(stanza, func(key, value []byte) {
			switch string(key) {
			case "Package":
				name = string(value)
			case "Architecture":
				arch = string(value)
			case "Auto-Installed":
				auto = string(value)
			}
		})
		if auto == "1" && len(out) < maxPackages {
			out[name+":"+arch] = true
			out[name+":all"] = true
		}
		return nil
	})
	n.Err(err)
	return out
}

// describe gives the packages as a snapshot has them.
func describe(list []installed) []host.Package {
	out := make([]host.Package, 0, len(list))
	for _, p := range list {
		h := host.Package{Name: p.name, Version: p.version, Arch: p.arch, Manager: "dpkg", State: p.state, Held: p.hold, Manual: !p.auto}
		if p.source != p.name {
			h.Source = p.source
		}
		out = append(out, h)
	}
	slices.SortFunc(out, comparePackages)
	return out
}

func comparePackages(a, b host.Package) int {
	if c := strings.Compare(a.Name, b.Name); c != 0 {
		return c
	}
	if c := strings.Compare(a.Arch, b.Arch); c != 0 {
		return c
	}
	return strings.Compare(a.Version, b.Version)
}
