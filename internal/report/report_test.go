package report

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// update rewrites the golden files: go test ./internal/report -args -update
var update = flag.Bool("update", false, "rewrite the golden files")

var (
	sshRule = Rule{Table: "inet filter", Chain: "input", Rule: 3, Text: "tcp dport 22 accept"}
	policy4 = Rule{Table: "ip filter", Chain: "INPUT", Rule: 0, Text: "policy accept"}
	limited = Rule{Table: "ip filter", Chain: "INPUT", Rule: 7, Text: "-A INPUT -p tcp -m tcp --dport 80 -m limit --limit 6/minute --limit-burst 12 -m comment --comment \"shop\" -j ACCEPT"}
	ten     = Group{Interface: "eth1", Sources: []string{"10.0.0.0/8"}, Certain: true, Because: Rule{Table: "inet filter", Chain: "input", Rule: 5, Text: "ip saddr 10.0.0.0/8 tcp dport { 3306, 5432 } accept"}}
	anyone4 = func(iface string, r Rule) Group {
		return Group{Interface: iface, Sources: []string{"0.0.0.0/0"}, Certain: true, Because: r}
	}
	anyone6 = func(iface string, r Rule) Group {
		return Group{Interface: iface, Sources: []string{"::/0"}, Certain: true, Because: r}
	}
	twoCards = []string{"eth0", "eth1"}
)

func example() Ports {
	ban := anyone4("eth0", policy4)
	ban.Except = []string{"203.0.113.7/32", "198.51.100.0/24"}
	rate := anyone4("eth0", limited)
	rate.Certain, rate.Depends = false, []string{"limit rate 6/minute burst 12 packets"}
	p := Ports{
		Sockets: []Socket{
			{Proto: "tcp", Address: "127.0.0.1", Port: 631, PID: 5, Process: "cupsd", User: "root", Listening: true, Reach: Reach{Verdict: Nobody, Why: []string{"bound to a loopback address"}}},
			{Proto: "tcp", Address: "*", Port: 22, PID: 812, Process: "sshd", User: "root", Unit: "ssh.service", Package: "openssh-server", Listening: true, Reach: Reach{Verdict: Anyone, From: []Group{anyone4("eth0", sshRule), anyone4("eth1", sshRule), anyone6("eth0", sshRule), anyone6("eth1", sshRule)}}},
			{Proto: "tcp", Address: "0.0.0.0", Port: 25, PID: 77, Process: "master", User: "root", Listening: true, Reach: Reach{Verdict: Anyone, From: []Group{ban}}},
			{Proto: "tcp", Address: "0.0.0.0", Port: 80, PID: 900, Process: "nginx", User: "www-data", Listening: true, Reach: Reach{Verdict: Anyone, From: []Group{rate, ten}}},
			{Proto: "tcp", Address: "203.0.113.5", Port: 8080, To: "172.17.0.2:80 (shop)", Reach: Reach{Verdict: Anyone, From: []Group{anyone4("eth0", Rule{Table: "ip filter", Chain: "DOCKER", Rule: 1, Text: "-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT"})}}},
			{Proto: "tcp", Address: "2001:db8:1:2:3:4:5:6", Port: 5432, PID: 1000, Process: "postgres", User: "postgres", Listening: true, Reach: Reach{Verdict: Some, From: []Group{ten}}},
			{Proto: "udp", Address: "0.0.0.0", Port: 5353, PID: 300, Process: "avahi-daemon", User: "avahi", Listening: true, Reach: Reach{Verdict: Undecided, Why: []string{`expression "osf" in inet filter input rule 4`}}},
			{Proto: "tcp", Address: "0.0.0.0", Port: 3306, PID: 301, Process: "evil\x1b[2J\u202ename", User: "mysql", Container: "db", Listening: true, Reach: Reach{Verdict: Nobody, Why: []string{"dropped by inet filter input: policy drop"}}},
		},
		Unseen: []Unseen{{"processes", "the owners of 3 sockets: reading /proc of other users needs root"}},
	}
	p.Sort()
	return p
}

func TestTexts(t *testing.T) {
	cases := map[string]func(*bytes.Buffer) error{
		"ports": func(b *bytes.Buffer) error { return example().Text(b, Style{}, twoCards) },
		"short": func(b *bytes.Buffer) error { return example().Short(b, Style{Width: 80}, twoCards) },
		"colour": func(b *bytes.Buffer) error {
			return Ports{Sockets: example().Sockets[:1]}.Text(b, Style{Colour: true}, twoCards)
		},
		"empty": func(b *bytes.Buffer) error { return Ports{}.Text(b, Style{}, nil) },
		"reach": func(b *bytes.Buffer) error {
			return Port{Port: "22/tcp", Listening: true, Process: []string{"sshd (812)"}, Reach: example().Sockets[0].Reach}.Text(b, Style{}, "", []string{"eth0"})
		},
		"reach-undecided": func(b *bytes.Buffer) error {
			return Port{Port: "5353/udp", Reach: Reach{Verdict: Undecided, Why: []string{`expression "osf" in inet filter input rule 4`}}}.Text(b, Style{}, "192.0.2.1", nil)
		},
		"trace": func(b *bytes.Buffer) error { return exampleTrace().Text(b, Style{}, false) },
		"diff":  func(b *bytes.Buffer) error { return exampleDiff().Text(b, Style{}) },
	}
	for name, write := range cases {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := write(&b); err != nil {
				t.Fatal(err)
			}
			golden(t, name+".txt", b.Bytes())
		})
	}
}

func exampleTrace() Trace {
	tr := Trace{Verdict: "accept", Packet: "tcp 198.51.100.7:4242 -> 203.0.113.5:22 in eth0 new", Reason: "inet filter input rule 9: tcp dport 22 accept"}
	add := func(hook, chain string, n int, text, effect string) {
		tr.Steps = append(tr.Steps, Step{Hook: hook, Table: "inet filter", Chain: chain, Rule: n, Text: text, Effect: effect})
	}
	add("prerouting", "pre", 0, "policy accept", "accept")
	add("input", "input", 1, "ct state established,related accept", "no match")
	add("input", "input", 2, "meta mark set 0x1", "mark 0x1")
	for i := range 6 {
		add("input", "input", 3+i, "ip saddr 192.0.2."+string(rune('1'+i))+" drop", "no match")
	}
	add("input", "input", 9, "tcp dport 22 accept", "accept")
	return tr
}

func exampleDiff() Diff {
	return Diff{Changes: []Change{{
		From: "drop", To: "accept", Way: "to this host", Family: "IPv4", Packets: []string{"tcp dport 3306 from 10.0.0.0/8"}, Example: "tcp 10.0.0.1:1024 -> 203.0.113.5:3306 in eth0 new",
		OldRule: Rule{Table: "inet filter", Chain: "input", Rule: 0, Text: "policy drop"}, NewRule: ten.Because,
	}}}
}

// golden compares with testdata/name. No line may be wider than 100 columns.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func TestWidth(t *testing.T) {
	for _, width := range []int{60, 80, 100, 140} {
		for name, write := range map[string]func(*bytes.Buffer) error{
			"ports": func(b *bytes.Buffer) error { return example().Text(b, Style{Width: width}, twoCards) },
			"short": func(b *bytes.Buffer) error { return example().Short(b, Style{Width: width}, twoCards) },
		} {
			var b bytes.Buffer
			if err := write(&b); err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(b.String()) {
				if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > max(width, 100) {
					t.Errorf("%s at %d: a line of %d columns: %s", name, width, n, line)
				}
			}
		}
	}
}

// TestHostileNames: what others chose must not command the terminal.
func TestHostileNames(t *testing.T) {
	var b bytes.Buffer
	if err := example().Text(&b, Style{}, twoCards); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(b.String(), "\x1b\u202e") {
		t.Errorf("control characters came through: %q", b.String())
	}
}

// TestNoNull: lists are lists, also where nothing is in them.
func TestNoNull(t *testing.T) {
	for _, answer := range []any{
		Ports{}, Ports{Sockets: []Socket{{Reach: Reach{From: []Group{{}}}}}}, Port{}, Trace{}, Diff{},
	} {
		var b bytes.Buffer
		if err := JSON(&b, answer); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(b.String(), "null") {
			t.Errorf("%T: %s", answer, b.String())
		}
		if !json.Valid(b.Bytes()) {
			t.Errorf("%T: not JSON: %s", answer, b.String())
		}
	}
}

// TestFixedMembers: others build on these names; none may go.
func TestFixedMembers(t *testing.T) {
	group := Group{Sources: []string{"10.0.0.0/8"}}
	reach := "reach.verdict reach.from.interface reach.from.sources reach.from.certain reach.from.except " +
		"reach.from.because.table reach.from.because.chain reach.from.because.rule reach.from.because.text"
	for _, c := range []struct {
		answer  any
		members string
	}{
		{
			Ports{Sockets: []Socket{{Reach: Reach{From: []Group{group}}}}},
			"unseen sockets.proto sockets.address sockets.port sockets.pid sockets.process sockets.user sockets.unit sockets.package " +
				"sockets.listening sockets." + strings.ReplaceAll(reach, " ", " sockets."),
		},
		{Port{Reach: Reach{From: []Group{group}}}, "port listening " + reach},
		{Trace{Steps: []Step{{}}}, "verdict steps.hook steps.table steps.chain steps.rule steps.text steps.effect"},
		{
			Diff{Changes: []Change{{}}},
			"equal changes.from changes.to changes.packets changes.example changes.old_rule.table changes.new_rule.text",
		},
	} {
		var b bytes.Buffer
		if err := JSON(&b, c.answer); err != nil {
			t.Fatal(err)
		}
		var v any
		if err := json.Unmarshal(b.Bytes(), &v); err != nil {
			t.Fatal(err)
		}
		for name := range strings.FieldsSeq(c.members) {
			if !has(v, strings.Split(name, ".")) {
				t.Errorf("%T has no member %s:\n%s", c.answer, name, b.String())
			}
		}
	}
}

// has follows a path of members, through the first element of lists.
func has(v any, path []string) bool {
	if list, ok := v.([]any); ok && len(list) > 0 {
		v = list[0]
	}
	if len(path) == 0 {
		return true
	}
	object, ok := v.(map[string]any)
	if !ok {
		return false
	}
	member, ok := object[path[0]]
	return ok && has(member, path[1:])
}
