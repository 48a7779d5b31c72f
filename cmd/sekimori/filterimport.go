package main

import (
	"cmp"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sekimori/internal/guard"
	"sekimori/internal/guard/filter"
	"sekimori/internal/guard/filters"
)

func newFilterImport(io streams) *cobra.Command {
	var all bool
	l := look{streams: io}
	cmd := &cobra.Command{
		Use: "import DIR", Short: "What of an installation of fail2ban could be taken over, jail by jail", Args: exactly("the directory of fail2ban, as /etc/fail2ban"),
		Long: `import reads the jails and filters of an existing installation and says, jail by
jail, which line of the policy would do the same, and exactly what could not be
taken over and why. It changes nothing.

Exit status: 0 all of it can be taken over, 3 something cannot, 1 a file cannot be
read.`,
		Example: "  sekimori filter import /etc/fail2ban",
		RunE: func(_ *cobra.Command, args []string) error {
			found, err := importJails(os.DirFS(args[0]), args[0], all)
			if err != nil {
				return err
			}
			if l.format == "json" {
				err = answerJSON(io.out, found)
			} else {
				err = found.text(io.out, all)
			}
			return cmp.Or(err, found.outcome())
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "jails that are not enabled, too")
	l.formatFlag(cmd)
	return cmd
}

// imported is what an installation would be; field names are a promise.
type imported struct {
	Directory string         `json:"directory"`
	Unread    []string       `json:"unread"` // files, and what is wrong with them
	Count     int            `json:"jails_found"`
	Enabled   int            `json:"jails_enabled"`
	Jails     []importedJail `json:"jails"`
}

type importedJail struct {
	Name     string   `json:"name"`
	Enabled  bool     `json:"enabled"`
	Cannot   string   `json:"cannot,omitempty"` // why nothing of it can be
	Filter   string   `json:"filter"`
	Patterns int      `json:"patterns"`
	Ours     string   `json:"ours,omitempty"` // our filter for the same service
	Policy   []string `json:"policy"`
	Lost     []string `json:"not_taken_over"`
	title    string
}

// outcome is the error of an import that is not complete.
func (m *imported) outcome() error {
	if len(m.Unread) > 0 {
		return fmt.Errorf("%s: not all of it can be read", m.Directory)
	}
	for _, j := range m.Jails {
		if j.Cannot != "" || len(j.Lost) > 0 {
			return errFindings
		}
	}
	return nil
}

func importJails(fsys fs.FS, dir string, all bool) (*imported, error) {
	jails, err := filter.ReadJails(fsys)
	if jails == nil && err != nil {
		return nil, hinted(fmt.Errorf("%s: %w", dir, err), "sekimori filter import /etc/fail2ban")
	}
	m := &imported{Directory: dir, Unread: []string{}, Count: len(jails), Jails: []importedJail{}}
	if err != nil {
		m.Unread = strings.Split(err.Error(), "\n")
	}
	slices.SortStableFunc(jails, func(a, b filter.JailSetting) int { return cmp.Compare(rank(a), rank(b)) })
	for _, j := range jails {
		if j.Enabled {
			m.Enabled++
		}
		if j.Enabled || all || j.Err != nil && strings.Contains(j.Err.Error(), "enabled = ") {
			m.Jails = append(m.Jails, importJail(fsys, j))
		}
	}
	return m, nil
}

func rank(j filter.JailSetting) int {
	if j.Enabled {
		return 0
	}
	return 1
}

func (m *imported) text(w io.Writer, all bool) error {
	return answerText(w, func(w io.Writer) { m.print(w, all) })
}

func (m *imported) print(w io.Writer, all bool) {
	if len(m.Unread) > 0 {
		fmt.Fprintf(w, "cannot be read:\n%s\n\n", strings.Join(m.Unread, "\n"))
	}
	for _, j := range m.Jails {
		j.print(w)
	}
	fmt.Fprintf(w, "%d jails, %d enabled", m.Count, m.Enabled)
	if !all && m.Enabled < m.Count {
		fmt.Fprint(w, "; --all shows the others")
	}
	fmt.Fprintln(w)
}

func (j *importedJail) print(w io.Writer) {
	state := "enabled"
	if !j.Enabled {
		state = "not enabled"
	}
	fmt.Fprintf(w, "[%s] %s\n", j.Name, state)
	if j.Cannot != "" {
		fmt.Fprintf(w, "  cannot: %s\n\n", strings.ReplaceAll(j.Cannot, "\n", "\n          "))
		return
	}
	own := "your own filter of that name is read when asked"
	if j.Ours != "" {
		own = fmt.Sprintf("ours for %s is %q", j.title, j.Ours)
	}
	fmt.Fprintf(w, "  filter %s: %d patterns, all of them run; %s\n", j.Filter, j.Patterns, own)
	for _, p := range j.Policy {
		fmt.Fprintf(w, "  policy: %s\n", p)
	}
	for _, l := range j.Lost {
		fmt.Fprintf(w, "  not taken over: %s\n", l)
	}
	fmt.Fprintln(w)
}

// importJail says what a jail would be in the policy.
func importJail(fsys fs.FS, j filter.JailSetting) importedJail {
	out := importedJail{Name: j.Name, Enabled: j.Enabled, Filter: j.Filter, Policy: []string{}, Lost: []string{}}
	if j.Err != nil {
		out.Cannot = j.Err.Error()
		return out
	}
	f, err := filter.LoadJail(fsys, j)
	if err != nil {
		out.Cannot = err.Error()
		return out
	}
	name, options, _ := filter.ParseUse(j.Filter)
	if e, ok := filters.Find(ourName(name)); ok {
		out.Ours, out.title = e.Name, e.Title
	}
	out.Patterns = f.Patterns()
	im := importer{j: j, out: &out}
	im.mode(options["mode"])
	im.ban(cmp.Or(out.Ours, name))
	im.never()
	im.others(f)
	return out
}

// An importer puts down what becomes of one jail.
type importer struct {
	j   filter.JailSetting
	out *importedJail
}

// lose says what of an option has no counterpart, and why.
func (im *importer) lose(option, value, why string, args ...any) {
	at := ""
	p, ok := im.j.Pos[option]
	if option == "mode" && !ok {
		p = im.j.Pos["filter"] // it stands in the brackets
	}
	if p.Line > 0 {
		at = " (" + p.String() + ")"
	}
	im.out.Lost = append(im.out.Lost, fmt.Sprintf("%s = %s%s: %s", option, clipWord(value), at, fmt.Sprintf(why, args...)))
}

// mode tells of a mode that is not the one in which our filter runs.
func (im *importer) mode(mode string) {
	e, ok := filters.Find(im.out.Ours)
	switch {
	case mode == "" || mode == "normal" && !ok:
	case !ok:
		im.lose("mode", mode, "the policy names services, not modes; sekimori replay --filters tries your filter as it is")
	case !slices.Contains(modesOf(e), mode):
		if mode != "normal" {
			im.lose("mode", mode, "our filter has no such mode")
		}
	case !samePatterns(e.Name, mode):
		im.lose("mode", mode, "the policy names services, not modes; sekimori replay --jail '%s[mode=%s]' tries it", e.Name, mode)
	}
}

// samePatterns reports whether a mode is the one that counts if none is given.
func samePatterns(name, mode string) bool {
	a, err := filter.Load(filters.FS(), name, nil)
	if err != nil {
		return false
	}
	b, err := filter.Load(filters.FS(), name, map[string]string{"mode": mode})
	return err == nil && slices.Equal(a.Failregex, b.Failregex) && a.Prefregex == b.Prefregex
}

// ban writes the line of the policy for when and how long. What cannot be read
// leaves its place empty, so that nobody takes the line as it is.
func (im *importer) ban(service string) {
	after, err := strconv.Atoi(strings.TrimSpace(cmp.Or(im.j.Values["maxretry"], "5")))
	retries := strconv.Itoa(after)
	if err != nil || after < 1 || after > 1_000_000 {
		im.lose("maxretry", im.j.Values["maxretry"], "not a number of failures")
		retries = "???"
	}
	line := fmt.Sprintf("guard: {watch: [%s], ban: {after: %s failures in %s, for: %s%s}}", service, retries,
		im.duration("findtime", "10m"), im.duration("bantime", "10m"), im.repeat())
	im.out.Policy = append(im.out.Policy, line)
}

// longest is the longest time that the policy knows.
const longest = 10 * 365 * 24 * time.Hour

// duration writes a time as the policy has it: a number and one unit.
func (im *importer) duration(option, otherwise string) string {
	s := im.j.Values[option]
	d, err := guard.ParseDuration(cmp.Or(s, otherwise))
	switch {
	case err != nil:
		im.lose(option, s, "not a length of time such as 10m, 1h or 7d")
		return "???"
	case d < time.Second:
		im.lose(option, s, "less than a second")
		return "???"
	case d > longest:
		im.lose(option, s, "the policy knows no longer time than ten years")
		d = longest
	case d%time.Second != 0:
		im.lose(option, s, "a part of a second")
	}
	for _, u := range []struct {
		size time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "m"}} {
		if d%u.size == 0 {
			return fmt.Sprintf("%d%s", d/u.size, u.name)
		}
	}
	return fmt.Sprintf("%ds", d/time.Second)
}

func (im *importer) repeat() string {
	v := im.j.Values["bantime.increment"]
	switch strings.ToLower(v) {
	case "true", "yes", "1", "on":
	case "", "false", "no", "0", "off":
		return ""
	default:
		im.lose("bantime.increment", v, "neither true nor false")
		return ""
	}
	ban, err := guard.ParseDuration(cmp.Or(im.j.Values["bantime"], "10m"))
	if err == nil && ban > longest {
		// Nothing is longer, neither there nor here.
		return ""
	}
	v = im.j.Values["bantime.maxtime"]
	if v == "" {
		return ", repeat: x2 up to 3650d"
	}
	if limit, errLimit := guard.ParseDuration(v); err == nil && errLimit == nil && limit < ban {
		im.lose("bantime.maxtime", v, "less than bantime (%s): bans do not get shorter", im.j.Values["bantime"])
		return ""
	}
	return ", repeat: x2 up to " + im.duration("bantime.maxtime", "")
}

// never writes the line for protected addresses. Names cannot be in it.
func (im *importer) never() {
	var never []string
	for w := range strings.FieldsSeq(strings.ReplaceAll(im.j.Values["ignoreip"], ",", " ")) {
		p, err := parsePrefix(w)
		if err != nil {
			im.lose("ignoreip", w, "a name, or nothing that is an address or a prefix: only these can be protected")
			continue
		}
		s := who(p)
		if p.Addr().Is6() {
			s = strconv.Quote(s)
		}
		never = append(never, s)
	}
	if len(never) > 0 {
		im.out.Policy = append(im.out.Policy, fmt.Sprintf("guard: {never: [%s]}", strings.Join(never, ", ")))
	}
}

// others lists what of a jail has no counterpart at all.
func (im *importer) others(f *filter.Filter) {
	add := func(option, why string) {
		if v := im.j.Values[option]; v != "" {
			im.lose(option, v, "%s", why)
		}
	}
	for _, l := range actions(im.j.Values["action"]) {
		if !justBans(l) {
			im.lose("action", l, "bans go to the kernel directly; what else an action does is for hooks of your own")
		}
	}
	for _, e := range im.j.Bad {
		im.out.Lost = append(im.out.Lost, e.Error())
	}
	add("ignorecommand", "nothing in a log starts a process")
	add("bantime.formula", "bans grow by a factor, not by a Python expression")
	add("bantime.multipliers", "bans grow by a factor")
	add("bantime.rndtime", "bans are as long as they say")
	if v := im.j.Values["bantime.factor"]; v != "" && v != "1" {
		add("bantime.factor", "each ban is twice as long as the one before")
	}
	for _, o := range []string{"failregex", "ignoreregex", "prefregex", "datepattern", "maxlines"} {
		if im.out.Ours != "" {
			add(o, "our filter of that service has patterns of its own; sekimori filter test --filters tries yours")
		}
	}
	if u := strings.ToLower(im.j.Values["usedns"]); u == "yes" || u == "warn" {
		for _, p := range f.Describe() {
			if strings.Contains(p.Text, "<HOST>") || strings.Contains(p.Text, "<DNS>") {
				add("usedns", "names in logs are never looked up; lines that have only a name refuse nobody")
				break
			}
		}
	}
}

// actions splits what the option says: one action a line, but for options in
// brackets, which may go on in the next.
func actions(s string) []string {
	var out []string
	open := false
	for l := range strings.Lines(s) {
		l = strings.TrimSpace(l)
		switch {
		case l == "":
			continue
		case open:
			out[len(out)-1] += " " + l
		default:
			out = append(out, l)
		}
		last := out[len(out)-1]
		open = strings.Count(last, "[") > strings.Count(last, "]")
	}
	return out
}

// justBans reports whether an action of fail2ban does nothing but refuse an
// address in the packet filter, which is what a ban is here anyway.
func justBans(action string) bool {
	name, _, _ := strings.Cut(action, "[")
	for _, prefix := range []string{"nftables", "iptables", "firewallcmd-", "shorewall", "bsd-ipfw", "osx-"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return slices.Contains([]string{"ufw", "pf", "ipfw", "ipfilter", "npf", "route", "hostsdeny", "apf", "afctl", "dummy"}, strings.TrimSpace(name))
}

// ourName returns what our filter for the same service is called.
func ourName(name string) string {
	if _, ok := filters.Find(name); ok {
		return name
	}
	for _, p := range [][2]string{
		{"nginx-", "nginx"},
		{"apache-", "apache"},
		{"mysqld-", "mysql"},
		{"haproxy-", "haproxy"},
		{"traefik-", "traefik"},
		{"roundcube-", "roundcube"},
		{"phpmyadmin-", "phpmyadmin"},
		{"pure-ftpd", "pureftpd"},
		{"named-", "named"},
		{"pam-generic", "pam"},
		{"bitwarden", "vaultwarden"},
		{"exim-", "exim"},
	} {
		if strings.HasPrefix(name, p[0]) {
			return p[1]
		}
	}
	return ""
}

func clipWord(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > 70 {
		return s[:67] + "..."
	}
	return s
}
