package updates

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/xi2/xz"

	"sekimori/internal/host"
	"sekimori/internal/host/apt"
	"sekimori/internal/observe/lz4"
	"sekimori/internal/observe/rootfs"
)

const listsDir = "var/lib/apt/lists/"

// place is one Packages file: where versions are to be had.
type place struct {
	file     string
	release  apt.Release
	list     host.PackageList
	priority int
}

// repository is a suite that is configured, with its Release file.
type repository struct {
	apt.Source
	file   string
	list   host.PackageList
	site   string
	rel    apt.Release
	notAut bool
	butAut bool
	found  bool
}

// aptSetup is apt's configuration, as far as it decides what is installed.
type aptSetup struct {
	conf    apt.Conf
	sources []host.PackageSource
	repos   []repository
	pins    []apt.Pin
	archs   []string // the native one first
}

// readSetup reads apt's configuration, sources and preferences.
func readSetup(f rootfs.FS, n *rootfs.Notes) aptSetup {
	s := aptSetup{conf: apt.Conf{}}
	for _, name := range n.Names(f, "etc/apt/apt.conf.d") {
		// As apt: letters, digits, -, _ and . in names; .conf or no extension.
		if ext := path.Ext(name); (ext == "" || ext == ".conf") && configName(name) {
			s.conf.Add(n.Text(f, "etc/apt/apt.conf.d/"+name))
		}
	}
	s.conf.Add(n.Text(f, "etc/apt/apt.conf"))
	s.archs = architectures(f, n)
	s.readSources(f, n)
	for _, name := range n.Names(f, "etc/apt/preferences.d") {
		if ext := path.Ext(name); (ext == "" || ext == ".pref") && configName(name) {
			s.pins = append(s.pins, apt.ParsePins(n.Text(f, "etc/apt/preferences.d/"+name))...)
		}
	}
	s.pins = append(apt.ParsePins(n.Text(f, "etc/apt/preferences")), s.pins...)
	return s
}

func configName(name string) bool {
	return strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == "" && !strings.HasPrefix(name, ".")
}

// architectures gives the native architecture and the foreign ones.
func architectures(f rootfs.FS, n *rootfs.Notes) []string {
	out := strings.Fields(n.Text(f, "var/lib/dpkg/arch"))
	if len(out) > 0 {
		return out
	}
	// No foreign ones were ever added: dpkg itself tells its own.
	file, err := f.Open("var/lib/dpkg/status")
	if err != nil {
		return nil
	}
	defer file.Close()
	done := errors.New("found")
	err = eachStanza(file, func(stanza []byte) error {
		if r, _ := parseRecord(stanza); r.name == "dpkg" {
			out = []string{r.arch}
			return done
		}
		return nil
	})
	if !errors.Is(err, done) {
		n.Err(err)
	}
	return out
}

// readSources reads the repositories that are configured and their Release files.
func (s *aptSetup) readSources(f rootfs.FS, n *rootfs.Notes) {
	add := func(file string, list []apt.Source) {
		for _, src := range list {
			s.sources = append(s.sources, describeSource(file, src))
			if src.Type == "deb" && !src.Disabled && len(s.repos) < 1000 {
				s.repos = append(s.repos, readRepository(f, src, n))
			}
		}
	}
	add("/etc/apt/sources.list", apt.ParseList(n.Text(f, "etc/apt/sources.list")))
	for _, name := range n.Names(f, "etc/apt/sources.list.d") {
		switch at := "etc/apt/sources.list.d/" + name; path.Ext(name) {
		case ".list":
			add("/"+at, apt.ParseList(n.Text(f, at)))
		case ".sources":
			add("/"+at, apt.ParseSources(n.Text(f, at)))
		}
	}
}

func describeSource(file string, src apt.Source) host.PackageSource {
	out := host.PackageSource{
		File: file, Line: src.Line, Type: src.Type, URI: withoutUser(src.URI), Suite: src.Suite, Components: src.Components, Disabled: src.Disabled,
		SignedBy: src.Options["signed-by"],
	}
	for _, o := range []string{"trusted", "allow-insecure", "allow-weak"} {
		if v := src.Options[o]; v == "yes" || v == "true" || v == "1" {
			out.Unchecked = o + "=" + v
			break
		}
	}
	return out
}

// withoutUser takes user and password out of an address.
func withoutUser(uri string) string {
	if u, err := url.Parse(uri); err == nil && u.User != nil {
		u.User = nil
		return u.String()
	}
	return host.MaskText(uri)
}

// base is the beginning of the names of a repository's files.
func (r *repository) base() string {
	uri := strings.TrimSuffix(r.URI, "/") + "/"
	if flat, ok := strings.CutSuffix(r.Suite, "/"); ok {
		if flat = strings.Trim(flat, "/."); flat != "" {
			uri += flat + "/"
		}
		return listsDir + apt.FileName(uri)
	}
	return listsDir + apt.FileName(uri+"dists/"+r.Suite+"/")
}

func readRepository(f rootfs.FS, src apt.Source, n *rootfs.Notes) repository {
	r := repository{Source: src}
	if u, err := url.Parse(src.URI); err == nil {
		r.site = u.Hostname()
	}
	for _, name := range []string{"InRelease", "Release"} {
		file := r.base() + name
		data, err := f.Read(file, 64<<20)
		if err != nil {
			n.Err(err)
			continue
		}
		r.found, r.file = true, file
		r.list = host.PackageList{Path: "/" + file}
		if info, err := f.Look(file); err == nil {
			r.list.Fetched = info.Modified
		}
		r.readRelease(data)
		break
	}
	r.rel = apt.Release{Origin: r.list.Origin, Label: r.list.Label, Suite: r.list.Suite, Codename: r.list.Codename, Version: r.list.Version, Site: r.site}
	return r
}

// readRelease reads the head of a Release file, signed or not; the sums that
// follow are not needed.
func (r *repository) readRelease(data []byte) {
	for line := range bytes.Lines(data) {
		name, value, ok := bytes.Cut(bytes.TrimRight(line, "\r\n"), []byte(":"))
		if !ok || len(line) == 0 || line[0] == ' ' {
			continue
		}
		text := strings.ToValidUTF8(strings.TrimSpace(string(value)), "\uFFFD")
		switch string(name) {
		case "Origin":
			r.list.Origin = text
		case "Label":
			r.list.Label = text
		case "Suite":
			r.list.Suite = text
		case "Codename":
			r.list.Codename = text
		case "Version":
			r.list.Version = text
		case "Date":
			r.list.Date = releaseTime(text)
		case "Valid-Until":
			r.list.ValidUntil = releaseTime(text)
		case "NotAutomatic":
			r.notAut = text == "yes"
		case "ButAutomaticUpgrades":
			r.butAut = text == "yes"
		case "MD5Sum", "SHA1", "SHA256", "SHA512":
			// Sums are last; a release without them still ends here.
		}
	}
	r.list.Security = securityArchive(r.list)
}

func releaseTime(text string) time.Time {
	for _, layout := range []string{time.RFC1123, time.RFC1123Z, "Mon, _2 Jan 2006 15:04:05 MST", "Mon, _2 Jan 2006 15:04:05 -0700"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}

// securityArchive reports whether an archive is one of security updates: by its
// label or code name. Suites are no guide: they change with each release.
func securityArchive(l host.PackageList) bool {
	return l.Label == "Debian-Security" || l.Origin == "UbuntuESM" || l.Origin == "UbuntuESMApps" ||
		strings.HasSuffix(l.Codename, "-security") || strings.HasSuffix(l.Suite, "-security") || strings.HasSuffix(l.Suite, "-security/updates") ||
		strings.HasSuffix(l.Codename, "/updates") && strings.HasPrefix(l.Origin, "Debian")
}

// places gives the Packages files of a repository that are there.
func (s *aptSetup) places(f rootfs.FS, r *repository) []*place {
	var out []*place
	add := func(name, component string) {
		for _, suffix := range []string{"", ".lz4", ".gz", ".xz", ".zst", ".bz2"} {
			if f.Exists(name + suffix) {
				p := &place{file: name + suffix, release: r.rel, list: r.list}
				p.release.Component = component
				p.priority = s.placePriority(r, p)
				out = append(out, p)
				return
			}
		}
	}
	if strings.HasSuffix(r.Suite, "/") {
		add(r.base()+"Packages", "")
		return out
	}
	archs := append(slices.Clone(s.archs), "all")
	if own := r.Options["arch"]; own != "" {
		archs = append(strings.Split(own, ","), "all")
	}
	for _, component := range r.Components {
		for _, arch := range archs {
			add(r.base()+apt.FileName("x://"+component+"/binary-"+arch+"/Packages"), component)
		}
	}
	return out
}

// placePriority is what a place counts without pins of single packages:
// pkgPolicy's file priorities.
func (s *aptSetup) placePriority(r *repository, p *place) int {
	for _, pin := range s.pins {
		if pin.General() && pin.Kind != "version" && pin.Matches("", p.release) {
			return pin.Priority
		}
	}
	if want := s.conf.Value("APT::Default-Release"); want != "" {
		if (apt.Pin{Kind: "release", Value: want}).Matches("", p.release) {
			return 990
		}
	}
	switch {
	case r.notAut && r.butAut:
		return 100
	case r.notAut:
		return 1
	}
	return 500
}

// openList opens a list in whichever way it is compressed.
func openList(f rootfs.FS, name string) (io.Reader, func(), error) {
	file, err := f.Open(name)
	if err != nil {
		return nil, nil, err
	}
	done := func() { file.Close() }
	var r io.Reader = bufio.NewReaderSize(file, 256<<10)
	switch path.Ext(name) {
	case ".lz4":
		r = lz4.NewReader(file)
	case ".gz":
		r, err = gzip.NewReader(r)
	case ".bz2":
		r = bzip2.NewReader(r)
	case ".xz":
		r, err = xz.NewReader(r, 128<<20)
	case ".zst":
		var z *zstd.Decoder
		if z, err = zstd.NewReader(r, zstd.WithDecoderMaxMemory(256<<20), zstd.WithDecoderConcurrency(1)); err == nil {
			r, done = z, func() { z.Close(); file.Close() }
		}
	default:
		r = file
	}
	if err != nil {
		done()
		return nil, nil, err
	}
	return r, done, nil
}

// maxList bounds what one list may hold unpacked.
const maxList = 2 << 30

// scanList gives the records of a list that are wanted: by name, or because they
// provide a name.
func scanList(ctx context.Context, f rootfs.FS, p *place, wanted func(name string) bool, virtual map[string]bool, each func(record)) error {
	r, done, err := openList(f, p.file)
	if err != nil {
		return err
	}
	defer done()
	count := 0
	err = eachStanza(io.LimitReader(r, maxList), func(stanza []byte) error {
		if count++; count%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		name := stanza
		if rest, ok := bytes.CutPrefix(stanza, []byte("Package: ")); ok {
			name = rest[:bytes.IndexByte(rest, '\n')]
		} else {
			name = apt.Field(stanza, "Package")
		}
		if wanted(string(name)) || len(virtual) > 0 && providesAny(stanza, virtual) {
			rec, _ := parseRecord(stanza)
			rec.places = []*place{p}
			each(rec)
		}
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("/%s: %w", p.file, err)
	}
	return nil
}

func providesAny(stanza []byte, virtual map[string]bool) bool {
	if !bytes.Contains(stanza, []byte("\nProvides:")) {
		return false
	}
	for _, group := range apt.ParseRelations(string(apt.Field(stanza, "Provides"))) {
		if virtual[group[0].Name] {
			return true
		}
	}
	return false
}
