package accounts

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"sekimori/internal/host"
	"sekimori/internal/host/sshd"
	"sekimori/internal/observe/rootfs"
)

const (
	sshdConfig = "/etc/ssh/sshd_config"
	// maxKeyAccounts and maxKeyFile bound the authorized_keys files that are read,
	// maxKeyText all of them together.
	maxKeyAccounts = 5000
	maxKeyFile     = 4 << 20
	maxKeyText     = 64 << 20
)

// readSSH reads the texts of sshd. The accounts must be complete already.
func readSSH(ctx context.Context, f rootfs.FS, vendor string, list []host.Account, n *notes) host.SSH {
	var s host.SSH
	for _, name := range []string{"/usr/sbin/sshd", "/usr/local/sbin/sshd", "/usr/bin/sshd"} {
		if file, err := f.Look(name); err == nil && file.Type == "file" {
			s.Binary = name
			s.Version = binaryVersion(f, name)
			break
		}
	}
	version, err := sshd.ParseVersion(s.Version)
	if err != nil {
		version = sshd.Debian12()
	}
	if version.Vendor == "" {
		version.Vendor = vendor
	}
	rec := &recorder{files: f, mask: maskConfig}
	config := sshd.Read(rec, sshdConfig, version)
	s.Config = rec.texts
	if s.Config == nil && s.Binary == "" {
		n.list = nil
		return s // no OpenSSH here
	}
	for _, p := range config.Problems {
		if p.Kind == sshd.Unread {
			n.add("%s", p)
		}
	}
	s.HostKeys = hostKeys(f, config, n)
	s.KeyFiles = keyFiles(ctx, f, config, list, n)
	s.ModuliBits = moduli(f)
	return s
}

// binaryVersion finds what sshd -V would say in the binary itself.
func binaryVersion(f rootfs.FS, name string) string {
	file, err := f.Open(name)
	if err != nil {
		return ""
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, 32<<20))
	if err != nil {
		return ""
	}
	short := ""
	for rest := data; ; {
		i := bytes.Index(rest, []byte("OpenSSH_"))
		if i < 0 {
			return short
		}
		rest = rest[i:]
		end := bytes.IndexFunc(rest[:min(len(rest), 100)], func(r rune) bool { return r < ' ' || r > '~' })
		word := string(rest[:max(end, 0)])
		rest = rest[8:]
		number, _, _ := strings.Cut(strings.TrimPrefix(word, "OpenSSH_"), " ")
		if number == "" || strings.Trim(number, "0123456789.p") != "" || !strings.Contains(number, ".") {
			continue // a pattern of releases with known faults
		}
		if strings.Contains(number, "p") {
			return word // the portable release, with what the vendor adds
		}
		short = word
	}
}

// maskConfig hides the values that SetEnv gives to sessions.
func maskConfig(_, text string) string {
	if !strings.Contains(strings.ToLower(text), "setenv") {
		return text
	}
	var b strings.Builder
	for line := range strings.Lines(text) {
		trimmed := strings.TrimLeft(line, " \t")
		if len(trimmed) < 6 || !strings.EqualFold(trimmed[:6], "setenv") {
			b.WriteString(line)
			continue
		}
		words, hidden := strings.Fields(trimmed), false
		for i, w := range words {
			name, _, ok := strings.Cut(w, "=")
			if ok && i > 0 && host.MaskText(w) != w {
				words[i], hidden = strings.TrimLeft(name, `"`)+"="+host.Masked, true
			}
		}
		if hidden {
			line = strings.Join(words, " ") + "\n"
		}
		b.WriteString(line)
	}
	return b.String()
}

// hostKeys gives the keys that the configuration names, or the usual ones.
func hostKeys(f rootfs.FS, config *sshd.Config, n *notes) []host.HostKey {
	paths := config.Global().Values("hostkey")
	names, err := f.List("etc/ssh")
	n.err(err)
	for _, name := range names {
		if strings.HasPrefix(name, "ssh_host_") && strings.HasSuffix(name, "_key") {
			paths = append(paths, "/etc/ssh/"+name)
		}
	}
	slices.Sort(paths)
	var out []host.HostKey
	for _, p := range slices.Compact(paths) {
		if !strings.HasPrefix(p, "/") {
			continue
		}
		k := host.HostKey{Path: p, Public: publicLine(f, p+".pub"), Certificate: publicLine(f, p+"-cert.pub")}
		k.Private, err = f.Look(p)
		if err != nil && k.Public == "" {
			continue // one of the defaults that was never made
		}
		out = append(out, k)
	}
	return out
}

// publicLine reads a public key; what is none is not repeated.
func publicLine(f rootfs.FS, name string) string {
	data, err := f.Read(name, rootfs.Small)
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(data)), "\n")
	if _, err := sshd.ParseKey(line); err != nil {
		return ""
	}
	return clean(line)
}

// keyFiles reads the authorized_keys files of all accounts whose shell runs.
func keyFiles(ctx context.Context, f rootfs.FS, config *sshd.Config, list []host.Account, n *notes) []host.KeyFile {
	at := map[string]int{}
	var out []host.KeyFile
	size, count := 0, 0
	for _, a := range list {
		if a.ShellRuns == "no" {
			continue
		}
		if count++; count > maxKeyAccounts || size > maxKeyText || ctx.Err() != nil {
			n.add("authorized_keys: not those of all accounts were read (%d of them were)", count-1)
			break
		}
		home, _ := f.Resolve(a.Home)
		for _, name := range keyPaths(config, a) {
			if i, known := at[name]; known {
				if !slices.Contains(out[i].Accounts, a.Name) {
					out[i].Accounts = append(out[i].Accounts, a.Name)
				}
				continue
			}
			k := readKeyFile(f, name)
			if k.Missing && (!a.LoginShell || a.HomeDir.Type == "") {
				continue
			}
			if k.Err != "" {
				n.add("%s: %s", name, k.Err)
			}
			size += len(k.Text)
			k.Accounts, k.Home = []string{a.Name}, path.Join("/", home)
			at[name] = len(out)
			out = append(out, k)
		}
	}
	slices.SortFunc(out, func(a, b host.KeyFile) int { return strings.Compare(a.Path, b.Path) })
	return out
}

// keyPaths gives where sshd looks for an account's keys, and where people put them.
func keyPaths(config *sshd.Config, a host.Account) []string {
	c := sshd.Connection{User: a.Name, Groups: a.Groups, Addr: netip.AddrFrom4([4]byte{203, 0, 113, 1}), LocalPort: 22}
	paths := config.Effective(c).KeyFiles(sshd.Account{Name: a.Name, UID: a.UID, GIDs: a.GIDs, Groups: a.Groups, Home: a.Home})
	for _, name := range []string{".ssh/authorized_keys", ".ssh/authorized_keys2"} {
		if p := path.Join("/", a.Home, name); !slices.Contains(paths, p) {
			paths = append(paths, p)
		}
	}
	return paths
}

func readKeyFile(f rootfs.FS, name string) host.KeyFile {
	k := host.KeyFile{TextFile: f.Text(name, maxKeyFile)}
	if k.Type == "" {
		if _, err := f.Look(name); errors.Is(err, fs.ErrNotExist) {
			k.Missing, k.Err = true, ""
			return k
		}
	}
	k.Text = keepKeys(k.Text)
	k.Chain = f.Chain(name).Chain
	return k
}

// keepKeys keeps the keys of an authorized_keys file with their options, and the
// number of each line: a link may lead to any file, so that what is no key
// is not repeated. Comments are left out.
func keepKeys(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		entries := sshd.ParseAuthorizedKeys(line)
		switch {
		case len(entries) == 0:
		case entries[0].Key.Type == "":
			b.WriteString("not-a-key")
		default:
			b.WriteString(maskOptions(strings.TrimRight(line, "\r\n")))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// maskOptions hides secrets within the quoted values of command= and environment=.
func maskOptions(line string) string {
	var b strings.Builder
	for {
		i := strings.Index(line, `="`)
		if i < 0 {
			b.WriteString(line)
			return b.String()
		}
		start := i + len(`="`)
		b.WriteString(line[:start])
		if !hasSuffixFold(line[:i], "command") && !hasSuffixFold(line[:i], "environment") {
			line = line[start:]
			continue
		}
		end := start
		for end < len(line) && line[end] != '"' {
			if line[end] == '\\' && end+1 < len(line) && line[end+1] == '"' {
				end++
			}
			end++
		}
		end = min(end, len(line))
		b.WriteString(host.MaskText(line[start:end]))
		line = line[end:]
	}
}

func hasSuffixFold(s, suffix string) bool {
	return len(s) >= len(suffix) && strings.EqualFold(s[len(s)-len(suffix):], suffix)
}

// moduli counts the groups of /etc/ssh/moduli by size, moduli(5).
func moduli(f rootfs.FS) map[int]int {
	data, err := f.Read("etc/ssh/moduli", 16<<20)
	if err != nil {
		return nil
	}
	out := map[int]int{}
	for line := range strings.Lines(string(data)) {
		if fields := strings.Fields(line); len(fields) == 7 && fields[0] != "#" {
			if bits, err := strconv.Atoi(fields[4]); err == nil && 0 < bits && bits < 1<<16 && len(out) < 100 {
				out[bits+1]++
			}
		}
	}
	return out
}
