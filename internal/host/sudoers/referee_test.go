package sudoers

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var (
	refereeCount = flag.Int("sudoers.files", 150, "generated policies to put to cvtsudoers")
	refereeSeed  = flag.Uint64("sudoers.seed", 1, "seed of the generator")
)

// need skips where a program is missing, or fails with SEKIMORI_LAB=require.
func need(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err == nil {
		return
	}
	if os.Getenv("SEKIMORI_LAB") == "require" {
		t.Fatalf("command %s is not installed (SEKIMORI_LAB=require)", program)
	}
	t.Skipf("command %s is not installed", program)
}

// convert runs cvtsudoers. ok is false where it finds the grammar violated.
func convert(t *testing.T, file string) (flat []string, ok bool, complaint string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "cvtsudoers", "-c", "/dev/null", "-f", "json", file)
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Run(); err != nil {
		if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return nil, false, stderr.String()
	}
	return flattenJSON(t, out.Bytes()), true, stderr.String()
}

// barePair is a defect of cvtsudoers 1.9.13: pairs that stand in an array.
var barePair = regexp.MustCompile(`(?m)^(\s+)("run(?:cwd|chroot)": "(?:[^"\\]|\\.)*")(,?)$`)

type object = map[string]any

func flattenJSON(t *testing.T, text []byte) []string {
	t.Helper()
	if len(bytes.TrimSpace(text)) == 0 {
		return nil
	}
	var doc struct {
		Defaults     []struct{ Binding, Options []object }
		UserAliases  map[string][]object `json:"User_Aliases"`
		RunasAliases map[string][]object `json:"Runas_Aliases"`
		HostAliases  map[string][]object `json:"Host_Aliases"`
		CmndAliases  map[string][]object `json:"Command_Aliases"`
		UserSpecs    []struct {
			Users []object `json:"User_List"`
			Hosts []object `json:"Host_List"`
			Specs []struct {
				Runas    []object `json:"runasusers"`
				Groups   []object `json:"runasgroups"`
				Options  []object
				Commands []object
			} `json:"Cmnd_Specs"`
		} `json:"User_Specs"`
	}
	text = barePair.ReplaceAll(text, []byte("$1{ $2 }$3"))
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatalf("cvtsudoers: %v\n%s", err, text)
	}
	var out []string
	for _, d := range doc.Defaults {
		for _, o := range d.Options {
			out = append(out, "defaults "+theirs(d.Binding)+" "+theirs([]object{o}))
		}
	}
	for kind, aliases := range map[string]map[string][]object{"User": doc.UserAliases, "Runas": doc.RunasAliases, "Host": doc.HostAliases, "Cmnd": doc.CmndAliases} {
		for name, list := range aliases {
			out = append(out, kind+" "+name+" = "+theirs(list))
		}
	}
	for _, u := range doc.UserSpecs {
		for _, s := range u.Specs {
			for _, c := range s.Commands {
				out = append(out, fmt.Sprintf("%s ON %s AS %s : %s WITH %s RUN %s", theirs(u.Users), theirs(u.Hosts), theirs(s.Runas), theirs(s.Groups), sorted(theirs(s.Options)), theirs([]object{c})))
			}
		}
	}
	slices.Sort(out)
	return out
}

func theirs(list []object) string {
	var out []string
	for _, o := range list {
		var pairs []string
		for k, v := range o {
			pairs = append(pairs, fmt.Sprintf("%s=%v", k, v))
		}
		slices.Sort(pairs)
		out = append(out, strings.Join(pairs, "&"))
	}
	return strings.Join(out, ",")
}

func sorted(s string) string {
	parts := strings.Split(s, ",")
	slices.Sort(parts)
	return strings.Join(parts, ",")
}

// flat is our reading in the same form.
func (p *Policy) flat() []string {
	var out []string
	for _, d := range p.Defaults {
		kind := map[string]string{"user": "user", "host": "host", "runas": "user", "command": "cmnd"}[d.Scope]
		alias := map[string]string{"user": "useralias", "host": "hostalias", "runas": "runasalias", "command": "cmndalias"}[d.Scope]
		out = append(out, "defaults "+ours(d.Binding, kind, alias)+" "+oursDefault(d))
	}
	for kind, aliases := range p.Aliases {
		k := map[string][2]string{"User": {"user", "useralias"}, "Runas": {"user", "runasalias"}, "Host": {"host", "hostalias"}, "Cmnd": {"cmnd", "cmndalias"}}[kind]
		for name, a := range aliases {
			out = append(out, kind+" "+name+" = "+ours(a.Members, k[0], k[1]))
		}
	}
	for _, r := range p.Rules {
		options := ""
		for i, c := range r.Commands {
			if i == 0 || newGroup(c, r.Commands[i-1]) {
				options = sorted(oursOptions(c))
			}
			out = append(out, fmt.Sprintf("%s ON %s AS %s : %s WITH %s RUN %s", ours(r.Users, "user", "useralias"), ours(r.Hosts, "host", "hostalias"),
				ours(c.Runas, "user", "runasalias"), ours(c.RunasGroups, "group", "runasalias"), options, ours([]Member{c.Member}, "cmnd", "cmndalias")))
		}
	}
	slices.Sort(out)
	return out
}

// newGroup tells where cvtsudoers starts a new group, with options printed
// anew: where runas lists or tags are written, an implied SETENV not being one.
func newGroup(c, before Command) bool {
	first := func(list []Member) *Member {
		if len(list) == 0 {
			return nil
		}
		return &list[0]
	}
	if first(c.Runas) != first(before.Runas) || first(c.RunasGroups) != first(before.RunasGroups) {
		return true
	}
	for name, t := range c.Tags {
		if t != Unset && t != before.Tags[name] {
			return true
		}
	}
	return false
}

func oursDefault(d Default) string {
	switch d.Op {
	case "on":
		return d.Name + "=true"
	case "off":
		return d.Name + "=false"
	case "+", "-":
		word := map[string]string{"+": "list_add", "-": "list_remove"}[d.Op]
		return d.Name + "=" + fmt.Sprint(strings.Fields(d.Value)) + "&operation=" + word
	}
	if slices.Contains([]string{"env_keep", "env_check", "env_delete"}, d.Name) {
		return d.Name + "=" + fmt.Sprint(strings.Fields(d.Value)) + "&operation=list_assign"
	}
	return d.Name + "=" + d.Value
}

func oursOptions(c Command) string {
	var out []string
	for name, o := range map[string]string{"CWD": "runcwd", "CHROOT": "runchroot", "TIMEOUT": "command_timeout", "NOTBEFORE": "notbefore", "NOTAFTER": "notafter"} {
		if v, ok := c.Options[name]; ok {
			if name == "TIMEOUT" {
				n, _ := strconv.ParseFloat(v, 64)
				v = fmt.Sprint(n)
			}
			if t, ok := generalizedTime(v); ok && strings.HasPrefix(name, "NOT") {
				v = t.UTC().Format("20060102150405Z")
			}
			out = append(out, o+"="+v)
		}
	}
	for name, o := range map[string]string{"PASSWD": "authenticate", "EXEC": "noexec", "SETENV": "setenv", "LOG_INPUT": "log_input", "LOG_OUTPUT": "log_output", "MAIL": "send_mail", "FOLLOW": "sudoedit_follow", "INTERCEPT": "intercept"} {
		t := c.Tags[name]
		if name == "SETENV" && t == Unset && c.Member.Kind == "all" && !c.Member.Negated {
			t = On
		}
		if t != Unset {
			out = append(out, fmt.Sprintf("%s=%v", o, (t == On) != (name == "EXEC")))
		}
	}
	return strings.Join(out, ",")
}

func ours(list []Member, kind, alias string) string {
	var out []string
	for _, m := range list {
		pairs := oursMember(m, kind, alias)
		if m.Negated {
			pairs = append(pairs, "negated=true")
		}
		slices.Sort(pairs)
		out = append(out, strings.Join(pairs, "&"))
	}
	return strings.Join(out, ",")
}

func oursMember(m Member, kind, alias string) []string {
	name := map[string]string{"user": "username", "host": "hostname", "group": "usergroup", "cmnd": "command"}[kind]
	switch m.Kind {
	case "all", "self":
		out := []string{name + "=" + map[bool]string{true: "ALL"}[m.Kind == "all"]}
		return append(out, digests(m)...)
	case "alias":
		return []string{alias + "=" + m.Text}
	case "netgroup":
		return []string{"netgroup=" + m.Text[1:]}
	case "address":
		return []string{"networkaddr=" + m.Text}
	case "group":
		text, field := m.Text[1:], "usergroup"
		if strings.HasPrefix(text, ":") {
			text, field = text[1:], "nonunixgroup"
		}
		if strings.HasPrefix(text, "#") {
			if n, err := strconv.ParseFloat(text[1:], 64); err == nil {
				return []string{strings.Replace(field, "group", "gid", 1) + "=" + fmt.Sprint(n)}
			}
		}
		return []string{field + "=" + text}
	case "command":
		text := m.Text
		if m.Args != nil {
			text += " " + *m.Args
		}
		return append([]string{"command=" + text}, digests(m)...)
	}
	if n, err := strconv.ParseFloat(strings.TrimPrefix(m.Text, "#"), 64); err == nil && n >= 0 && kind == "user" && strings.HasPrefix(m.Text, "#") {
		return []string{"userid=" + fmt.Sprint(n)}
	}
	return []string{name + "=" + m.Text}
}

func digests(m Member) []string {
	var out []string
	for _, d := range m.Digests {
		kind, hash, _ := strings.Cut(d, ":")
		out = append(out, kind+"="+hash)
	}
	return out
}

type disk struct{}

func (disk) ReadFile(name string) ([]byte, error) { return os.ReadFile(name) }

func (disk) ReadDir(name string) ([]string, error) {
	entries, err := os.ReadDir(name)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

// judge compares one policy on disk with cvtsudoers, and says whether it was
// taken.
func judge(t *testing.T, main string) bool {
	t.Helper()
	p := Read(disk{}, main, "web1")
	flat, ok, complaint := convert(t, main)
	text, _ := os.ReadFile(main)
	if ok != p.Valid() {
		t.Errorf("cvtsudoers: %v %s\nwe: %v\n%s", ok, complaint, p.Problems, text)
		return ok
	}
	if ok && !slices.Equal(flat, p.flat()) {
		t.Errorf("differs:\ncvtsudoers\n  %s\nwe\n  %s\n%s", strings.Join(flat, "\n  "), strings.Join(p.flat(), "\n  "), text)
	}
	return ok
}

// TestReferee puts generated policies to cvtsudoers.
func TestReferee(t *testing.T) {
	need(t, "cvtsudoers")
	dir := t.TempDir()
	taken := 0
	for i := range *refereeCount {
		g := &generator{rand.New(rand.NewPCG(*refereeSeed, uint64(i)))}
		main := filepath.Join(dir, "sudoers")
		for name, text := range g.policy() {
			full := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(full, []byte(text), 0o440); err != nil {
				t.Fatal(err)
			}
		}
		if judge(t, main) {
			taken++
		}
		if t.Failed() {
			t.Fatalf("policy %d of seed %d", i, *refereeSeed)
		}
		os.RemoveAll(filepath.Join(dir, "d"))
		os.Remove(main)
	}
	t.Logf("%d policies, %d taken and equal, %d refused by both", *refereeCount, taken, *refereeCount-taken)
	if taken < *refereeCount/2 || *refereeCount >= 100 && taken == *refereeCount {
		t.Error("the generator is lopsided")
	}
}

// TestByHand has what people write, and what they should not.
func TestByHand(t *testing.T) {
	need(t, "cvtsudoers")
	for name, text := range map[string]string{
		"debian":            "Defaults\tenv_reset\nDefaults\tmail_badpass\nDefaults\tsecure_path=\"/usr/local/sbin:/usr/local/bin\"\nDefaults\tuse_pty\nroot\tALL=(ALL:ALL) ALL\n%sudo\tALL=(ALL:ALL) ALL\n",
		"cloud-init":        "# Created by cloud-init\n\n# User rules for debian\ndebian ALL=(ALL) NOPASSWD:ALL\n",
		"continued":         "User_Alias A = a, \\\n  b, \\\n\tc\nA ALL = /bin/ls a \\\n b, \\\n /bin/x\n",
		"arguments":         "a ALL = /bin/ls \"\", /bin/ls -l /tmp/*, /bin/x a\\,b c\\:d e=f \\=, /usr/bin/env A=1, /bin/y ^[a-z]+$, ^/bin/(a|b)$ ^x.*$\n",
		"digests":           "a ALL = sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855, sha224:d14a028c2a3a2bc9476102bb288234c415a2b01f828ea62ac5b3e42f /bin/x, /bin/y\n",
		"negated":           "!a, b !h, ALL = (!root, ALL) !/bin/sh, !!/bin/x, !!!/bin/y\n",
		"no newline":        "a ALL=ALL",
		"crlf":              "a ALL=(root) ALL\r\n# x\r\nDefaults !lecture\r\n",
		"ids":               "#1000, %#27, %:x, %:#5 ALL=(#0:#0) ALL\n",
		"ipv6":              "a 2001:db8::1, fe80::/64, 10.0.0.0/255.0.0.0 = ALL\n",
		"tags":              "a ALL = NOPASSWD: SETENV: /bin/a, PASSWD : /bin/b, NOEXEC:/bin/c, EXEC: NOSETENV: ALL\n",
		"only group":        "a ALL = (:g) /bin/a, (: g, h) /bin/b, () /bin/c, (:) /bin/d\n",
		"colon list":        "a h1 = /bin/a : h2 = NOPASSWD: /bin/b\n",
		"defaults":          "Defaults:%a,!b env_keep+=\"A B\", env_delete-=C, !requiretty, insults\nDefaults!/bin/a,/bin/b noexec\nDefaults!CMDS noexec\nDefaults@ h umask=0077\n",
		"bad: words":        "foo bar baz\n",
		"bad: alias":        "User_Alias lower = a\n",
		"bad: reserved":     "User_Alias ALL = a\n",
		"bad: twice":        "User_Alias A = a\nUser_Alias A = b\n",
		"bad: relative":     "a ALL = ls\n",
		"bad: string":       "a ALL = \"x\n",
		"bad: no equals":    "a ALL ALL\n",
		"bad: include gone": "@include gone\n",
		"bad: timeout":      "a ALL = TIMEOUT=5x ALL\n",
		"bad: continued":    "a ALL = ALL\\\nDefaults x\n",
		"gone directory":    "@includedir gone\na ALL = list, sudoedit /etc/x\n",
		"bad: crlf":         "a ALL = /bin/ls\r\n",
		"bad: empty group":  "a ALL = (u:) /bin/e\n",
		"bad: blank":        "Defaults @h umask=0077\n",
		"comment":           "a ALL = ALL # all\n#1000 ALL = ALL\n#x\n# y\n#-1 ALL=ALL\n",
		"dirs":              "a ALL = /usr/bin/, /usr/sbin/, !/usr/bin/su\n",
		"spaces":            "  a\tALL  =  ( root )  NOPASSWD :  ALL  \n\"b c\" ALL = ALL\nd\\ e ALL=ALL\n",
	} {
		t.Run(name, func(t *testing.T) {
			main := filepath.Join(t.TempDir(), "sudoers")
			if err := os.WriteFile(main, []byte(text), 0o440); err != nil {
				t.Fatal(err)
			}
			if ok := judge(t, main); ok == strings.HasPrefix(name, "bad: ") {
				t.Errorf("taken: %v", ok)
			}
		})
	}
}

// A generator writes policies, most of them right.
type generator struct{ *rand.Rand }

func (g *generator) pick(list ...string) string { return list[g.IntN(len(list))] }

func (g *generator) chance(percent int) bool { return g.IntN(100) < percent }

func (g *generator) list(most int, one func() string) string {
	var out []string
	for range 1 + g.IntN(most) {
		out = append(out, g.pick("", "", "", "", "!", "!!", "! ")+one())
	}
	return strings.Join(out, g.pick(",", ", ", " , ", ",\\\n\t"))
}

func (g *generator) policy() map[string]string {
	files := map[string]string{}
	var text strings.Builder
	text.WriteString(g.aliases())
	for range 1 + g.IntN(6) {
		text.WriteString(g.entry())
	}
	if g.chance(25) {
		text.WriteString(g.pick("@includedir d\n", "#includedir d\n", "@include d/a\n#include d/b\n", "@include \"d/a\"\n"))
		files["d/a"], files["d/b"], files["d/c.bak"], files["d/e~"] = g.entry(), g.entry(), "rubbish", "rubbish ("
	}
	if g.chance(7) {
		text.WriteString(g.pick("a b c\n", "x ALL = \n", "x ALL = (root ALL\n", "User_Alias X = a\n", "Defaults\n", "x ALL = NOPASSWD /bin/a\n", "=\n", "a ALL = ALL ALL\n", "a ALL=ALL : \n", "a ALL=/a:b\n", "@include\n"))
	}
	files["sudoers"] = text.String()
	return files
}

func (g *generator) aliases() string {
	return "User_Alias UA = " + g.list(3, g.user) + g.pick("\n", " : UB = x\n") +
		"Host_Alias HA = " + g.list(3, g.host) + "\nCmnd_Alias CA = " + g.list(3, g.command) + g.pick("\n", " # x\n") + g.pick("Cmnd_Alias", "Cmd_Alias") + " CB=/bin/q\n" +
		"Runas_Alias RA = " + g.list(2, g.user) + "\n"
}

func (g *generator) user() string {
	return g.pick("alice", "bob", "%sudo", "%wheel", "#1000", "%#27", "+net", "UA", "ALL", "%:dom", `"quoted name"`, `esc\ aped`, "www-data", "user@dom", "X1", "%two\\ words", `x\x41y`)
}

func (g *generator) host() string {
	return g.pick("ALL", "web1", "web*", "HA", "10.0.0.0/8", "192.0.2.1", "2001:db8::/32", "fe80::1", "+hosts", "a.example.org", "10.0.0.0/255.0.0.0", "[a-c]x")
}

func (g *generator) command() string {
	c := g.pick("/bin/sh", "/usr/bin/", "ALL", "CA", "sudoedit /etc/motd", "/usr/bin/apt-get", "/bin/a\\,b", "/usr/bin/[a-z]*", "/opt/x y", "list", `/a\:b`, "/bin/q\\=r", "^/usr/bin/x.*$")
	if strings.HasPrefix(c, "/") && !strings.HasSuffix(c, "/") && g.chance(50) {
		c += g.pick(` ""`, " -l", " a  b", " *", ` "a b"`, ` x\,y`, ` a\:b`, ` k=v`, " \\\n c", ` \*`, ` ^a.*$`, ` a\ b`, ` !x`, ` (y)`, " --flag=1")
	}
	return c
}

func (g *generator) group() string { return g.pick("adm", "#4", "RA", "ALL", "www-data") }

func (g *generator) entry() string {
	switch g.IntN(8) {
	case 0:
		return g.pick("# comment\n", "\n", "#comment\n", "   \n", "\t# x\n")
	case 1, 2:
		return "Defaults" + g.pick("", "", ":"+g.list(2, g.user), "@"+g.list(2, g.host), ">"+g.list(2, g.user), "!/bin/sh", "!/bin/a,/bin/b", "!CA") + " " + g.parameters() + "\n"
	}
	var text strings.Builder
	text.WriteString(g.list(2, g.user) + " " + g.rights())
	for g.chance(15) {
		text.WriteString(" : " + g.rights())
	}
	if g.chance(2) {
		return text.String() + "\r\n" // which costs sudo's lexer the last command
	}
	return text.String() + g.pick("\n", "\n", " # x\n", " \n")
}

func (g *generator) parameters() string {
	var out []string
	for range 1 + g.IntN(3) {
		out = append(out, g.pick("env_reset", "!authenticate", "insults", "timestamp_timeout=5", "secure_path=\"/a:/b\"", "env_keep += \"A B\"", "env_keep-=C", "badpass_message=\"x, y\"", "passprompt=a\\ b", "! lecture", "umask = 0022", "env_check=X"))
	}
	return strings.Join(out, g.pick(",", ", "))
}

func (g *generator) rights() string {
	var specs []string
	for i := range 1 + g.IntN(3) {
		var spec strings.Builder
		spec.WriteString(g.pick("", "", "(root) ", "("+g.list(2, g.user)+") ", "("+g.list(1, g.user)+":"+g.list(2, g.group)+") ", "(:"+g.group()+") ", "() ", "( ALL : ALL ) "))
		// cvtsudoers prints the options of the first command for those behind it
		// as well, whatever they say themselves.
		if i == 0 {
			spec.WriteString(g.pick("", "", "", "CWD=/tmp ", "TIMEOUT=1h30m ", "CHROOT=* ", "NOTBEFORE=20250102030405Z ", "NOTAFTER=2030010203Z ", "CWD=~ TIMEOUT=5 "))
		}
		for g.chance(35) {
			spec.WriteString(g.pick("NOPASSWD:", "PASSWD: ", "NOEXEC: ", "EXEC:", "SETENV: ", "NOSETENV :", "LOG_INPUT:", "NOLOG_OUTPUT: ", "MAIL:", "NOFOLLOW: ", "INTERCEPT:"))
		}
		spec.WriteString(g.pick("", "", "", "", "!") + g.command())
		specs = append(specs, spec.String())
	}
	return g.list(2, g.host) + g.pick("=", " = ", " =") + strings.Join(specs, g.pick(",", ", "))
}

func TestBounds(t *testing.T) {
	start := time.Now()
	for name, files := range map[string]Files{
		"loop":       {"/etc/sudoers": "@include sudoers\n@include sudoers\n"},
		"long":       {"/etc/sudoers": "a ALL = /bin/" + strings.Repeat("x", 10<<20)},
		"rubbish":    {"/etc/sudoers": "\xff\xfe\x00(((\n\"\\\n"},
		"alias loop": {"/etc/sudoers": "User_Alias A = B, B : B = A, A\nA ALL = ALL\n"},
	} {
		p := Read(files, "", "h")
		p.Roots([]User{{Name: "u", UID: 1}}, Host{Names: []string{"h"}})
		if name != "alias loop" && p.Valid() && p.Complete() {
			t.Errorf("%s: no problem", name)
		}
	}
	t.Logf("took %v", time.Since(start)) // that it ends is what is tested
}
