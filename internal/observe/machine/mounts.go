package machine

import (
	"errors"
	"io/fs"
	"slices"
	"strings"

	"sekimori/internal/host"
	"sekimori/internal/observe/rootfs"
)

// maxMounts bounds the mounts that are kept.
const maxMounts = 5000

// Mounts gives what is mounted.
func Mounts(f rootfs.FS) []host.Mount {
	data, err := f.Proc("proc/self/mountinfo")
	if err != nil {
		return nil
	}
	return parseMountinfo(string(data))
}

// readMounts reads what is mounted, and what fstab would mount beside that.
func readMounts(f rootfs.FS, n *rootfs.Notes) []host.Mount {
	var out []host.Mount
	data, err := f.Proc("proc/self/mountinfo")
	if err == nil {
		out = parseMountinfo(string(data))
	} else if !errors.Is(err, fs.ErrNotExist) {
		n.Err(err)
	}
	if len(out) == maxMounts {
		n.Add("more than %d mounts, the rest was not read", maxMounts)
	}
	for line := range strings.Lines(n.Text(f, "etc/fstab")) {
		w := strings.Fields(line)
		if len(w) < 4 || w[0][0] == '#' || w[1] == "none" || len(out) >= 2*maxMounts {
			continue
		}
		target := unescape(w[1])
		if !slices.ContainsFunc(out, func(m host.Mount) bool { return m.Target == target }) {
			out = append(out, host.Mount{Target: target, Source: unescape(w[0]), Type: w[2], Options: mountOptions(w[3]), Configured: true})
		}
	}
	return out
}

// parseMountinfo reads /proc/PID/mountinfo, proc(5): of several mounts at one
// place the last one counts.
func parseMountinfo(text string) []host.Mount {
	var out []host.Mount
	at := map[string]int{}
	for line := range strings.Lines(text) {
		before, after, ok := strings.Cut(line, " - ")
		w, rest := strings.Fields(before), strings.Fields(after)
		if !ok || len(w) < 6 || len(rest) < 3 {
			continue
		}
		m := host.Mount{Target: unescape(w[4]), Source: unescape(rest[1]), Type: rest[0], Options: mountOptions(w[5] + "," + rest[2])}
		if i, have := at[m.Target]; have {
			out[i] = m
			continue
		}
		if len(out) == maxMounts {
			break
		}
		at[m.Target] = len(out)
		out = append(out, m)
	}
	return out
}

// mountOptions splits a list of options and leaves out those that may hold a
// secret or only repeat directories.
func mountOptions(list string) []string {
	var out []string
	for o := range strings.SplitSeq(list, ",") {
		name, _, value := strings.Cut(o, "=")
		if o == "" || value && slices.Contains([]string{"lowerdir", "upperdir", "workdir", "password", "pass", "credentials", "username", "user"}, name) {
			continue
		}
		if o = host.MaskText(strings.ToValidUTF8(o, "\uFFFD")); !slices.Contains(out, o) && len(out) < 100 {
			out = append(out, o)
		}
	}
	return out
}

// unescape resolves the octal escapes of blanks in mount tables.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`, `\043`, "#").Replace(s)
}
