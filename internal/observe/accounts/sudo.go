package accounts

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"sekimori/internal/host"
	"sekimori/internal/host/sudoers"
	"sekimori/internal/observe/rootfs"
)

// maxCommands bounds the commands of sudo's rules whose paths are looked at.
const maxCommands = 500

// maskedWord stands in a rule for a secret: a star would be a wildcard there.
const maskedWord = "MASKED"

// readSudo reads the texts of sudo. The host is the machine's name.
func readSudo(f rootfs.FS, hostname string, n *notes) host.Sudo {
	var s host.Sudo
	for _, name := range []string{"/usr/bin/sudo", "/usr/local/bin/sudo", "/usr/bin/doas", "/usr/local/bin/doas"} {
		if file, err := f.Look(name); err == nil {
			s.Binary = file
			break
		}
	}
	short, _, _ := strings.Cut(hostname, ".")
	rec := &recorder{files: f, mask: func(_, text string) string { return text }}
	policy := sudoers.Read(rec, "/etc/sudoers", short)
	s.Files = rec.texts
	s.Doas = doas(f, n)
	if s.Files == nil {
		return s // no sudo here
	}
	for _, p := range policy.Problems {
		if p.Kind == sudoers.Unread {
			n.add("%s", p)
		}
	}
	secrets := secretWords(policy)
	for i := range s.Files {
		for _, w := range secrets {
			s.Files[i].Text = strings.ReplaceAll(s.Files[i].Text, w, maskedWord)
		}
	}
	s.Commands = commandPaths(f, policy, n)
	return s
}

// everyCommand goes through the commands of rules and aliases.
func everyCommand(p *sudoers.Policy) func(func(sudoers.Member) bool) {
	return func(yield func(sudoers.Member) bool) {
		for _, r := range p.Rules {
			for _, c := range r.Commands {
				if !yield(c.Member) {
					return
				}
			}
		}
		for _, a := range p.Aliases["Cmnd"] {
			for _, m := range a.Members {
				if !yield(m) {
					return
				}
			}
		}
	}
}

// secretWords gives the words of arguments that look like secrets, the longest
// first, so that none is left over from another.
func secretWords(p *sudoers.Policy) []string {
	seen := map[string]bool{}
	for m := range everyCommand(p) {
		if m.Kind != "command" || m.Args == nil {
			continue
		}
		argv := append([]string{m.Text}, strings.Fields(*m.Args)...)
		for i, masked := range host.MaskArgs(argv) {
			if i == 0 || masked == argv[i] {
				continue
			}
			// What is left of an argument, "--password=", may stay.
			word := argv[i]
			if kept, ok := strings.CutSuffix(masked, host.Masked); ok {
				word = strings.TrimPrefix(word, kept)
			}
			if word != "" && strings.Trim(word, "*?[]") != "" {
				seen[word] = true
			}
		}
	}
	return slices.SortedFunc(mapKeys(seen), func(a, b string) int {
		if len(a) != len(b) {
			return len(b) - len(a)
		}
		return strings.Compare(a, b)
	})
}

// commandPaths looks at the paths that rules name; those with wildcards, up to
// the directory before.
func commandPaths(f rootfs.FS, p *sudoers.Policy, n *notes) []host.PathChain {
	seen := map[string]bool{}
	for m := range everyCommand(p) {
		name := m.Text
		if m.Kind != "command" || !strings.HasPrefix(name, "/") {
			continue
		}
		if i := strings.IndexAny(name, `*?[`); i >= 0 {
			name = path.Dir(name[:i] + "x")
		}
		seen[path.Clean(name)] = true
	}
	var out []host.PathChain
	for _, name := range slices.Sorted(mapKeys(seen)) {
		if len(out) == maxCommands {
			n.add("sudoers: the paths of %d commands were not looked at", len(seen)-maxCommands)
			break
		}
		out = append(out, f.Chain(name))
	}
	return out
}

// doas reads the rules of doas.conf(5).
func doas(f rootfs.FS, n *notes) []string {
	var out []string
	names := []string{"etc/doas.conf"}
	more, err := f.List("etc/doas.d")
	n.err(err)
	for _, name := range more {
		if strings.HasSuffix(name, ".conf") {
			names = append(names, "etc/doas.d/"+name)
		}
	}
	for _, name := range names {
		data, err := f.Read(name, rootfs.Small)
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				n.err(err)
			}
			continue
		}
		for _, line := range lines(clean(string(data))) {
			line, _, _ = strings.Cut(line, "#")
			if line = strings.Join(host.MaskArgs(strings.Fields(line)), " "); line != "" {
				out = append(out, line)
			}
		}
	}
	return out
}
