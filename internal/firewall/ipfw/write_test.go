package ipfw

import (
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sekimori/internal/firewall/acl"
	"sekimori/packet"
)

// some is a list with a bit of everything that ipfw has words for.
func some() *acl.List {
	list := &acl.Addresses{Name: "admins"}
	for i := range 40 {
		a := netip.AddrFrom4([4]byte{192, 0, 2, byte(4 * i)})
		list.Ranges = append(list.Ranges, packet.AddrRange{Lo: a, Hi: a.Next()})
	}
	six := netip.MustParseAddr("2001:db8::1")
	list.Ranges = append(list.Ranges, packet.AddrRange{Lo: six, Hi: six})
	at := func(line int) acl.Origin { return acl.Origin{Path: "inbound[0]", Line: line, Why: "because"} }
	return &acl.List{
		Inbound: &acl.Section{Default: acl.Drop, Rules: []acl.Rule{
			{States: acl.Known, Origin: at(1)},
			{States: acl.AnyState, In: []acl.Interface{"lo"}, Origin: at(2)},
			{From: []acl.Peer{{Addresses: list}, {Interfaces: []acl.Interface{"em1", "wg*"}}}, Services: []acl.Service{{Protocol: 6, Lo: 22, Hi: 22}, {Protocol: 17, Lo: 8000, Hi: 8010}}, Origin: at(3)},
			{Services: []acl.Service{{Family: packet.V4, Protocol: 1, Lo: 8 << 8, Hi: 8<<8 | 0xff}, {Protocol: 47, Hi: 0xffff}}, Origin: at(4)},
		}},
		Outbound: &acl.Section{Default: acl.Accept, Rules: []acl.Rule{
			{Action: acl.Drop, Services: []acl.Service{{Protocol: 6, Lo: 25, Hi: 25}}, ExceptUsers: []uint32{101, 102}, Origin: at(5)},
			{Action: acl.Drop, Services: []acl.Service{{Protocol: 17, Lo: 9, Hi: 9}}, Users: []uint32{7, 8}, Origin: at(6)},
		}},
	}
}

// TestSwapIsOneStep runs a script line by line: until the swap, what is in force is
// what was in force before, and from then on it is what the list says; at no time
// is it anything else. Rules of others stay.
func TestSwapIsOneStep(t *testing.T) {
	files, err := Write(some(), acl.Options{})
	if err != nil {
		t.Fatal(err)
	}
	before := "add 100 allow tcp from any to any 9999\nadd 1000 set 28 deny udp from any to any 53\nadd 1010 set 28 allow ip from any to any\nadd 65000 deny ip from any to any\n"
	lines := strings.Split(string(files[0].Text), "\n")
	force := func(n int) string {
		text := strings.Join(lines[:n], "\n")
		if strings.Contains(text, "<<") && !slices.Contains(lines[:n], "SEKIMORI") {
			text += "\nSEKIMORI\n"
		}
		rs, err := Parse([]byte(before + text))
		if err != nil {
			t.Fatalf("after %d lines: %v", n, err)
		}
		var out []string
		for _, r := range rs.Rules {
			if rs.Enabled(r) {
				_, rule, _ := strings.Cut(r.Text, " set 2")
				out = append(out, rule)
			}
		}
		return strings.Join(out, "\n")
	}
	old, changes := force(0), 0
	for n := range lines {
		if now := force(n + 1); now != old {
			old = now
			changes++
			if !strings.HasPrefix(lines[n], "set swap ") {
				t.Errorf("line %d changes what is in force: %s", n+1, lines[n])
			}
		}
	}
	if changes != 1 {
		t.Errorf("what is in force changes %d times", changes)
	}
	rs, err := Parse([]byte(before + string(files[0].Text)))
	if err != nil {
		t.Fatal(err)
	}
	ours, others := 0, 0
	for _, r := range rs.Rules {
		switch r.Set {
		case Live:
			ours++
		case 0:
			others++
		default:
			t.Errorf("a rule is left in set %d: %s", r.Set, r.Text)
		}
	}
	if ours < 10 || others != 2 {
		t.Errorf("%d rules of ours, %d of others", ours, others)
	}
}

// TestShell: the script is shell.
func TestShell(t *testing.T) {
	files, err := Write(some(), acl.Options{})
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(name, files[0].Text, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("sh", "-n", name).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestReferee asks an ipfw, where one is at hand, whether it takes every rule that
// is written: make referee-ipfw. It checks syntax alone, and changes nothing.
func TestReferee(t *testing.T) {
	program := os.Getenv("SEKIMORI_IPFW")
	if program == "" {
		t.Skip("SEKIMORI_IPFW does not name an ipfw")
	}
	files, err := Write(some(), acl.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(files[0].Text), "'SEKIMORI'\n")
	text, _, _ = strings.Cut(text, "SEKIMORI\n")
	dir := t.TempDir()
	checked := 0
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		name := filepath.Join(dir, "rule") // a path from the root, which ipfw takes for a file
		if err := os.WriteFile(name, []byte(line), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(program, "-n", name).CombinedOutput(); err != nil {
			t.Errorf("%s%v\n%s", line, err, out)
		}
		checked++
	}
	t.Logf("%d lines checked by %s", checked, program)
}

// TestUnsupported: what ipfw has no words for is named, and left out where that is
// asked for.
func TestUnsupported(t *testing.T) {
	l := some()
	l.Inbound.Rules = append(l.Inbound.Rules,
		acl.Rule{Rate: &acl.Rate{ID: "x", Count: 6, Per: time.Minute, Burst: 6, PerSource: true}, Origin: acl.Origin{Path: "inbound[4]", Line: 9}},
		acl.Rule{Services: []acl.Service{{Family: packet.V4, Protocol: 1, Lo: 3<<8 | 4, Hi: 3<<8 | 4}}, Origin: acl.Origin{Path: "inbound[5]", Line: 10}},
		acl.Rule{Services: []acl.Service{{Protocol: 33, Lo: 5, Hi: 6}}, Origin: acl.Origin{Path: "inbound[6]", Line: 11}},
	)
	l.Outbound.Rules = append(l.Outbound.Rules, acl.Rule{Users: []uint32{1}, Services: []acl.Service{{Any: true}}, Origin: acl.Origin{Path: "outbound.rules[2]", Line: 12}})
	_, err := Write(l, acl.Options{})
	want := strings.Join([]string{
		"line 9: ipfw cannot express a rate for each source (inbound[4])",
		"line 10: ipfw cannot express a code of ICMP (inbound[5])",
		"line 11: ipfw cannot express ports of protocol 33 (inbound[6])",
		"line 12: ipfw cannot express users of other protocols than TCP and UDP (outbound.rules[2])",
	}, "\n")
	if err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
	files, err := Write(l, acl.Options{Degrade: true})
	if err != nil || !strings.Contains(string(files[0].Text), "# NOT EQUIVALENT") || !strings.Contains(string(files[0].Text), "deny ip from any to any in // inbound[4], line 9") {
		t.Errorf("%v\n%s", err, files[0].Text)
	}
}
