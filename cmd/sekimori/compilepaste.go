package main

import (
	"bytes"
	"fmt"
	"io"
	"path"
	"strings"

	"sekimori/internal/compile"
	"sekimori/internal/firewall/acl"
)

// writeAll is a writer's duty for a text that is there already.
func writeAll(text []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	}
}

// pasteBlock is what an administrator pastes into a root shell: each file as a
// here-document, the command that loads the first, and what has it loaded at boot.
// It holds no sign of where it was made.
func pasteBlock(target compile.Target, files []acl.File, complete bool) []byte {
	var b bytes.Buffer
	place := placeOf(target, files, complete)
	if target == compile.Windows {
		fmt.Fprintf(&b, "# Paste into PowerShell, as administrator. The rules stay after a restart.\n")
		for _, f := range files {
			if !strings.HasSuffix(f.Name, ".ps1") {
				continue // the same rules in another form
			}
			b.Write(f.Text)
			if !bytes.HasSuffix(f.Text, []byte("\n")) {
				b.WriteByte('\n')
			}
		}
		return b.Bytes()
	}
	b.WriteString("# Paste into a root shell (sh, bash, zsh): it writes the files, checks and loads them, and has them loaded at boot.\n(set -e\n")
	dirs := map[string]bool{}
	for _, f := range files {
		if d := path.Dir(place.of(f)); !dirs[d] {
			dirs[d] = true
			fmt.Fprintf(&b, "mkdir -p %s\n", d)
		}
	}
	for _, f := range files {
		hereDocument(&b, place.of(f), f.Text)
	}
	for _, line := range place.load {
		b.WriteString(line + "\n")
	}
	for _, line := range place.boot {
		b.WriteString(line + "\n")
	}
	if place.unit != "" {
		b.WriteString("if command -v systemctl >/dev/null; then\n")
		hereDocument(&b, "/etc/systemd/system/"+place.unitName, []byte(place.unit))
		fmt.Fprintf(&b, "systemctl daemon-reload\nsystemctl enable %s\n", place.unitName)
		b.WriteString("else\necho 'There is no systemd here: have your system run this at boot:'\n")
		for _, c := range place.starts {
			fmt.Fprintf(&b, "echo '  %s'\n", c)
		}
		b.WriteString("fi\n")
	}
	b.WriteString(")\n")
	return b.Bytes()
}

// hereDocument writes a file with an end mark that the text does not have.
func hereDocument(b *bytes.Buffer, name string, text []byte) {
	end := "END"
	for bytes.Contains(text, []byte(end)) {
		end += "_OF_FILE"
	}
	fmt.Fprintf(b, "cat > %s <<'%s'\n%s", name, end, text)
	if !bytes.HasSuffix(text, []byte("\n")) {
		b.WriteByte('\n')
	}
	b.WriteString(end + "\n")
}

// place is where the files of a packet filter stand, and how they are loaded.
type place struct {
	dir            string
	rename         map[string]string // other names than their own
	load, boot     []string
	unit, unitName string
	starts         []string // what the unit runs
}

func (p place) of(f acl.File) string {
	if to := p.rename[f.Name]; to != "" {
		return to
	}
	return path.Join(p.dir, path.Base(f.Name))
}

// placeOf says where the first file of a target is loaded from.
func placeOf(target compile.Target, files []acl.File, complete bool) place {
	p := place{dir: "/etc/sekimori/rules", rename: map[string]string{}}
	first := path.Join(p.dir, path.Base(files[0].Name))
	switch target {
	case compile.NFTables:
		p.load = []string{"nft -c -f " + first, "nft -f " + first}
		p.loadedAtBoot("sekimori-rules.service", []string{"nft -f " + first})
	case compile.IPTables, compile.IP6Tables:
		restore, v := "iptables-restore", "4"
		if target == compile.IP6Tables {
			restore, v = "ip6tables-restore", "6"
		}
		keep := " --noflush"
		if complete {
			keep = ""
		}
		var sets []string
		for _, f := range files[1:] {
			if strings.HasSuffix(f.Name, ".sh") { // does all of it, as often as one likes
				p.load = []string{"sh " + p.of(f)}
				p.loadedAtBoot("sekimori-"+string(target)+".service", p.load)
				return p
			}
			if strings.HasSuffix(f.Name, ".ipset") {
				sets = append(sets, "ipset -exist restore < "+p.of(f))
			}
		}
		p.load = append(append([]string{}, sets...), restore+keep+" --test < "+first, restore+keep+" < "+first)
		if !complete {
			p.load = append(p.load, oneJump(strings.TrimSuffix(restore, "-restore"), files[0].Text)...)
		}
		if complete && len(sets) == 0 {
			// What iptables-persistent and the iptables service of Red Hat load.
			p.boot = []string{
				"if [ -d /etc/iptables ]; then cp " + first + " /etc/iptables/rules.v" + v + "; fi",
				"if [ -d /etc/sysconfig ]; then cp " + first + " /etc/sysconfig/" + strings.TrimSuffix(restore, "-restore") + "; fi",
			}
			break
		}
		p.loadedAtBoot("sekimori-"+string(target)+".service", append(sets, restore+keep+" < "+first))
	case compile.IPFW:
		p.dir = "/usr/local/etc/sekimori"
		first = path.Join(p.dir, path.Base(files[0].Name))
		p.load = []string{"sh " + first}
		p.boot = []string{`sysrc firewall_enable=YES firewall_script="` + first + `"`}
	}
	return p
}

// oneJump removes the jumps of an earlier time from other people's chains: those of
// the text come first, and nothing is ever without one.
func oneJump(tool string, text []byte) []string {
	var out []string
	table := ""
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		switch {
		case len(f) == 1 && strings.HasPrefix(f[0], "*"):
			table = f[0][1:]
		case len(f) == 4 && f[0] == "-I" && f[2] == "-j":
			ask := fmt.Sprintf("%s -t %s", tool, table)
			out = append(out, fmt.Sprintf(`while [ "$(%s -S %s | grep -c -- '-j %s$')" -gt 1 ]; do %s -D %s -j %s; done`, ask, f[1], f[3], ask, f[1], f[3]))
		}
	}
	return out
}

// loadedAtBoot adds a unit of systemd that loads the rules before any network is
// up.
func (p *place) loadedAtBoot(name string, commands []string) {
	var starts strings.Builder
	for _, c := range commands {
		fmt.Fprintf(&starts, "ExecStart=/bin/sh -c '%s'\n", c)
	}
	p.unitName, p.starts = name, commands
	p.unit = `[Unit]
Description=Packet filter rules compiled by sekimori
DefaultDependencies=no
Before=network-pre.target shutdown.target
Wants=network-pre.target
After=local-fs.target systemd-modules-load.service
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
` + starts.String() + `
[Install]
WantedBy=sysinit.target
`
}
