package accounts

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"sekimori/internal/host"
	"sekimori/internal/observe/rootfs"
)

// Bounds of what is read: far above any real host.
const (
	maxFile     = 64 << 20
	maxAccounts = 100_000
)

// notes collects what could not be read of one section; of many faults of one
// kind the first few stand for all.
type notes struct {
	section string
	list    []host.Unseen
	count   map[string]int
}

// maxNotes is how many lines of one file are named one by one.
const maxNotes = 3

func newNotes(section string) *notes { return &notes{section: section, count: map[string]int{}} }

func (n *notes) add(format string, args ...any) {
	n.list = append(n.list, host.Unseen{Section: n.section, Reason: fmt.Sprintf(format, args...)})
}

func (n *notes) err(err error) {
	if err != nil {
		n.add("%s", err)
	}
}

func (n *notes) line(file string, line int, what string) {
	if n.count[file]++; n.count[file] <= maxNotes {
		n.add("%s:%d: %s", file, line, what)
	}
}

func (n *notes) done() []host.Unseen {
	for _, file := range slices.Sorted(mapKeys(n.count)) {
		if more := n.count[file] - maxNotes; more > 0 {
			n.add("%s: %d more lines that are not understood", file, more)
		}
	}
	return n.list
}

func mapKeys[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// lines gives the lines of a text with their numbers, from 1, without the end of line.
func lines(text string) func(func(int, string) bool) {
	return func(yield func(int, string) bool) {
		n := 0
		for line := range strings.Lines(text) {
			n++
			if !yield(n, strings.TrimSuffix(line, "\n")) {
				return
			}
		}
	}
}

// parsePasswd reads passwd(5). What the second field says of the password is in
// Shadow; "x" is state missing until shadow has been read.
func parsePasswd(text string, n *notes) []host.Account {
	var out []host.Account
	for number, line := range lines(text) {
		if line == "" || line[0] == '#' {
			continue
		}
		f := strings.Split(line, ":")
		if line[0] == '+' || line[0] == '-' {
			n.line("/etc/passwd", number, "accounts of another source (NIS) are taken in here")
			continue
		}
		if len(f) != 7 || f[0] == "" {
			n.line("/etc/passwd", number, "not an entry of passwd")
			continue
		}
		uid, uerr := strconv.ParseUint(f[2], 10, 32)
		gid, gerr := strconv.ParseUint(f[3], 10, 32)
		if uerr != nil || gerr != nil {
			n.line("/etc/passwd", number, "a user or group id that is no number")
			continue
		}
		if len(out) == maxAccounts {
			n.add("/etc/passwd: more than %d accounts, the rest was not read", maxAccounts)
			break
		}
		a := host.Account{
			Name: clean(f[0]), UID: int(uid), GID: int(gid), Gecos: clean(f[4]), Home: clean(f[5]), Shell: clean(f[6]), Line: number,
			Shadow: passwordState(f[1]),
		}
		if f[1] == "x" {
			a.Shadow.State = "missing"
		} else if a.Shadow.Scheme != "" {
			a.Shadow.InPasswd = true
		}
		out = append(out, a)
	}
	return out
}

func clean(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// passwordState says what a password field is, without repeating it.
func passwordState(field string) host.Shadow {
	s := host.Shadow{Changed: -1, Min: -1, Max: -1, Warn: -1, Inactive: -1, Expires: -1}
	hash := strings.TrimLeft(field, "!")
	s.Scheme = scheme(hash)
	switch {
	case field == "":
		s.State = "empty"
	case strings.HasPrefix(field, "!"):
		s.State = "locked"
	case s.Scheme != "":
		s.State = "password"
	default:
		s.State = "star"
	}
	return s
}

// scheme names the kind of a hash of crypt(5) by its prefix and shape, "" for
// what no password can give.
func scheme(hash string) string {
	if rest, ok := strings.CutPrefix(hash, "$"); ok {
		name, rest, ok := strings.Cut(rest, "$")
		if !ok || rest == "" || len(name) > 16 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-,") != "" {
			return ""
		}
		return name
	}
	const alphabet = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	switch {
	case strings.HasPrefix(hash, "_") && len(hash) == 20 && strings.Trim(hash[1:], alphabet) == "":
		return "bsdi"
	case len(hash) == 13 && strings.Trim(hash, alphabet) == "":
		return "des"
	case len(hash) > 13 && (len(hash)-2)%11 == 0 && strings.Trim(hash, alphabet) == "":
		return "bigcrypt"
	}
	return ""
}

// parseShadow gives the states of shadow(5) by name; the first line of a name
// counts, as in getspnam(3).
func parseShadow(text string, n *notes) map[string]host.Shadow {
	out := map[string]host.Shadow{}
	for number, line := range lines(text) {
		if line == "" || line[0] == '#' || line[0] == '+' || line[0] == '-' {
			continue
		}
		f := strings.Split(line, ":")
		if len(f) < 8 || len(f) > 9 || f[0] == "" {
			n.line("/etc/shadow", number, "not an entry of shadow")
			continue
		}
		if _, have := out[f[0]]; have || len(out) == maxAccounts {
			continue
		}
		s := passwordState(f[1])
		for i, field := range []*int{&s.Changed, &s.Min, &s.Max, &s.Warn, &s.Inactive, &s.Expires} {
			v, err := strconv.Atoi(f[2+i])
			switch {
			case f[2+i] == "":
			case err != nil:
				n.line("/etc/shadow", number, fmt.Sprintf("field %d is no number", 3+i))
			default:
				*field = v
			}
		}
		out[f[0]] = s
	}
	return out
}

// parseGroup reads group(5).
func parseGroup(text string, n *notes) []host.Group {
	var out []host.Group
	for number, line := range lines(text) {
		if line == "" || line[0] == '#' || line[0] == '+' || line[0] == '-' {
			continue
		}
		f := strings.Split(line, ":")
		if len(f) != 4 || f[0] == "" {
			n.line("/etc/group", number, "not an entry of group")
			continue
		}
		gid, err := strconv.ParseUint(f[2], 10, 32)
		if err != nil {
			n.line("/etc/group", number, "a group id that is no number")
			continue
		}
		if len(out) == maxAccounts {
			n.add("/etc/group: more than %d groups, the rest was not read", maxAccounts)
			break
		}
		g := host.Group{Name: clean(f[0]), GID: int(gid), Line: number, Password: hasPassword(f[1])}
		for m := range strings.SplitSeq(f[3], ",") {
			if m != "" {
				g.Members = append(g.Members, clean(m))
			}
		}
		out = append(out, g)
	}
	return out
}

func hasPassword(field string) bool { return passwordState(field).State == "password" }

// readAccounts reads all accounts and groups.
func readAccounts(f rootfs.FS, n *notes) ([]host.Account, []host.Group) {
	text, err := f.Read("etc/passwd", maxFile)
	n.err(err)
	list := parsePasswd(string(text), n)
	text, err = f.Read("etc/group", maxFile)
	n.err(err)
	groups := parseGroup(string(text), n)
	groupPasswords(f, groups, n)
	shadows(f, list, n)
	join(list, groups)
	shells(f, list)
	for i := range list {
		list[i].HomeDir, _ = f.Look(list[i].Home)
	}
	lingering(f, list, n)
	return list, groups
}

// shadows puts the states of shadow(5) to the accounts that refer to it.
func shadows(f rootfs.FS, list []host.Account, n *notes) {
	text, err := f.Read("etc/shadow", maxFile)
	readable := err == nil || errors.Is(err, fs.ErrNotExist)
	if err != nil {
		n.err(err)
	}
	states := parseShadow(string(text), n)
	for i := range list {
		a := &list[i]
		s, ok := states[a.Name]
		switch {
		case a.Shadow.State != "missing":
			// The password stands in passwd; only the ageing is from shadow.
			if ok {
				s.State, s.Scheme, s.InPasswd = a.Shadow.State, a.Shadow.Scheme, a.Shadow.InPasswd
				a.Shadow = s
			}
		case ok:
			a.Shadow = s
		case !readable:
			a.Shadow.State = "unknown"
		}
	}
}

// groupPasswords looks into gshadow(5), which takes the place of a group's own field.
func groupPasswords(f rootfs.FS, groups []host.Group, n *notes) {
	text, err := f.Read("etc/gshadow", maxFile)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			n.err(err)
		}
		return
	}
	with := map[string]bool{}
	for _, line := range lines(string(text)) {
		if name, rest, ok := strings.Cut(line, ":"); ok {
			field, _, _ := strings.Cut(rest, ":")
			with[name] = with[name] || hasPassword(field)
		}
	}
	for i := range groups {
		groups[i].Password = groups[i].Password || with[groups[i].Name]
	}
}

// join tells accounts their groups and groups whose own they are.
func join(list []host.Account, groups []host.Group) {
	byID, byMember := map[int][]int{}, map[string][]int{}
	for i, g := range groups {
		byID[g.GID] = append(byID[g.GID], i)
		for _, m := range g.Members {
			byMember[m] = append(byMember[m], i)
		}
	}
	for i := range list {
		a := &list[i]
		a.GIDs = []int{a.GID}
		for k, g := range byID[a.GID] {
			groups[g].Primary = append(groups[g].Primary, a.Name)
			if k == 0 {
				a.Groups = append(a.Groups, groups[g].Name)
			}
		}
		for _, g := range byMember[a.Name] {
			if !slices.Contains(a.Groups, groups[g].Name) {
				a.Groups = append(a.Groups, groups[g].Name)
			}
			if !slices.Contains(a.GIDs, groups[g].GID) {
				a.GIDs = append(a.GIDs, groups[g].GID)
			}
		}
	}
}

// refusing are the programs that are given as a shell to accounts that nobody
// is to log in to.
func refusing(shell string) bool {
	switch shell[strings.LastIndexByte(shell, '/')+1:] {
	case "nologin", "false", "true", "sync", "halt", "shutdown", "git-shell", "rssh", "scponly", "noshell":
		return true
	}
	return false
}

// shells looks at each account's shell once. An empty one is /bin/sh.
func shells(f rootfs.FS, list []host.Account) {
	runs := map[string]string{}
	for i := range list {
		a := &list[i]
		shell := a.Shell
		if shell == "" {
			shell = "/bin/sh"
		}
		if _, known := runs[shell]; !known {
			runs[shell] = runsShell(f, shell)
		}
		a.ShellRuns = runs[shell]
		a.LoginShell = a.ShellRuns != "no" && !refusing(shell)
	}
}

// runsShell is what sshd asks in allowed_user: a regular file that may be executed.
func runsShell(f rootfs.FS, shell string) string {
	file, err := f.Look(shell)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "no"
	case err != nil:
		return "unknown"
	case file.Type != "file" || file.Mode&0o111 == 0:
		return "no"
	}
	return "yes"
}

func lingering(f rootfs.FS, list []host.Account, n *notes) {
	names, err := f.List("var/lib/systemd/linger")
	n.err(err)
	for i := range list {
		_, list[i].Linger = slices.BinarySearch(names, list[i].Name)
	}
}
