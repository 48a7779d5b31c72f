package iptables_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sekimori/internal/firewall"
	"sekimori/internal/firewall/iptables"
)

func TestErrors(t *testing.T) {
	const head = "*filter\n:INPUT ACCEPT [0:0]\n:A - [0:0]\n:B - [0:0]\n"
	rule := func(lines ...string) string { return head + strings.Join(lines, "\n") + "\nCOMMIT\n" }
	for _, c := range []struct {
		name, src string
		want      []string
	}{
		{"empty", "", nil},
		{"comments", "# x\n\n# y\n", nil},
		{"crlf", "*filter\r\n:INPUT ACCEPT [0:0]\r\n-A INPUT -j DROP\r\nCOMMIT\r\n", nil},
		{"counters", rule("[5:300] -A INPUT -j DROP", "-A INPUT -c 5 300 -j DROP"), nil},
		{"bad counters", rule("[5:x] -A INPUT -j DROP"), []string{`line 5: counters before a rule are [packets:bytes], not "[5:x] -A INPUT -j DROP"`}},
		{"counters alone", rule("[5:300]"), []string{"line 5: counters without a rule"}},
		{"outside", "-A INPUT -j DROP\n", []string{`line 1: "-A INPUT -j DROP" stands outside of a table`}},
		{"no commit", head + "-A INPUT -j DROP\n", []string{"line 6: table filter is not ended by COMMIT"}},
		{"table twice", head + "COMMIT\n" + head + "COMMIT\n", []string{"line 6: table filter comes twice"}},
		{"table in table", head + "*nat\nCOMMIT\n", []string{"line 5: table nat begins before table filter is ended by COMMIT"}},
		{"unknown table", "*filtre\nCOMMIT\n", []string{`line 1: there is no table "filtre"`}},
		{"chain line", "*filter\n:INPUT\nCOMMIT\n", []string{`line 2: ":INPUT" is not a chain and its policy`}},
		{"policy", "*filter\n:INPUT REJECT [0:0]\nCOMMIT\n", []string{`line 2: the policy of INPUT is ACCEPT or DROP, not "REJECT"`}},
		{"policy of a user's chain", "*filter\n:X DROP [0:0]\nCOMMIT\n", []string{"line 2: chain X has the policy DROP"}},
		{"chain twice", "*filter\n:X - [0:0]\n:X - [0:0]\nCOMMIT\n", []string{"line 3: chain X comes twice"}},
		{"chain counters", "*filter\n:X - [a:b]\nCOMMIT\n", []string{`line 2: "[a:b]" are not counters`}},
		{"undeclared chain", rule("-A NOPE -j DROP"), []string{"line 5: chain NOPE is not declared in table filter"}},
		{"other commands", rule("-I INPUT -j DROP", "-N X", "hello"), []string{
			"line 6: -N is not understood in saved rules",
			`line 7: "hello" is neither a rule nor COMMIT`,
		}},
		{"missing chain", rule("-A INPUT -j NOPE", "-A INPUT -g NOPE"), []string{
			"line 5: NOPE is neither a chain of table filter nor a known target",
			"line 6: NOPE is neither a chain of table filter nor a known target",
		}},
		{"jump to a base chain", rule("-A A -j INPUT"), []string{"line 5: a jump to INPUT, which is a chain of the table itself"}},
		{"loop", rule("-A INPUT -j A", "-A A -p tcp -j B", "-A B -g A"), []string{"line 7: a loop of chains: A -> B -> A"}},
		{"loop to itself", rule("-A A -j A"), []string{"line 5: a loop of chains: A -> A"}},
		{"truncated", rule("-A INPUT -p tcp -m tcp --dport", "-A INPUT -s", "-A INPUT -m", "-A INPUT -j", "-A", "-A INPUT !", `-A INPUT -m comment --comment "x`), []string{
			"line 5: --dport needs a value",
			"line 6: -s needs a value",
			"line 7: -m needs a value",
			"line 8: -j needs a value",
			"line 9: -A without a chain",
			"line 10: nothing follows the last !",
			"line 11: a quote is not closed (truncated line?)",
		}},
		{"values", rule(
			"-A INPUT -s 10.0.0.300 -j DROP", "-A INPUT -s 2001:db8::1 -j DROP", "-A INPUT -s 10.0.0.0/33 -j DROP",
			"-A INPUT -p nonsense -j DROP", "-A INPUT -p tcp --dport 70000 -j DROP", "-A INPUT -p tcp --tcp-flags SYN,XYZ SYN -j DROP",
			"-A INPUT -m state --state OLD -j DROP", "-A INPUT -p icmp --icmp-type nonsense -j DROP", "-A INPUT -j REJECT --reject-with nothing",
			"-A INPUT -m mac --mac-source 1:2 -j DROP", "-A INPUT -i aninterfacewithalongname -j DROP", "-A INPUT -s 10.0.0.1,10.0.0.2 -j DROP",
		), []string{
			`line 5: -s: "10.0.0.300" is not an address`,
			"line 6: -s: 2001:db8::1 is not an address of family ip",
			`line 7: -s: "33" is neither a prefix length nor a mask`,
			`line 8: "nonsense" is not a protocol`,
			`line 9: match tcp: "70000" is not a port`,
			`line 10: match tcp: "XYZ" is not a TCP flag`,
			`line 11: match state: "OLD" is not a connection state`,
			`line 12: match icmp: "nonsense" is not an ICMP type`,
			`line 13: target REJECT: "nothing" is not an answer of REJECT for ip`,
			`line 14: match mac: "1:2" is not a hardware address`,
			`line 15: -i: an interface's name has 1 to 15 bytes, "aninterfacewithalongname" has 24`,
			"line 16: -s has a list of addresses, which iptables-save never writes",
		}},
		{"syntax", rule(
			"-A INPUT stray -j DROP", "-A INPUT -j DROP -j ACCEPT", "-A INPUT -s 10.0.0.1 -s 10.0.0.2", "-A INPUT --nothing 5 -j DROP",
			"-A INPUT -p tcp ! -j DROP", "-A INPUT -m limit ! --limit 5/s -j DROP", "-A INPUT -m tcp --dport 5 -j DROP", "-A INPUT ! -p all -j DROP",
			"-A INPUT -p 6 -m udp --dport 5 -j DROP", "-A INPUT ! -p tcp -m tcp --dport 5 -j DROP",
		), []string{
			`line 5: "stray" stands where an option should`,
			"line 6: a second target, ACCEPT after DROP",
			"line 7: -s comes twice",
			"line 8: unknown option --nothing",
			"line 9: ! before -j",
			"line 10: --limit of limit cannot be negated",
			"line 11: match tcp needs -p tcp",
			"line 12: ! -p all matches no packet",
			"line 13: match udp needs -p udp",
			"line 14: match tcp needs -p tcp",
		}},
		{"rubbish", "\x7fELF\x02\x01\n\xff\xfe\n*filter\nCOMMIT\n", []string{"line 1: bytes that are not text", `line 2: "\xff\xfe" stands outside of a table`}},
		{"latin-1 in a comment", rule("-A INPUT -m comment --comment \"gr\xfcn\" -j DROP"), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			rs, err := iptables.Parse(firewall.IPv4, []byte(c.src))
			var got []string
			if err != nil {
				for _, e := range errorList(t, err) {
					got = append(got, fmt.Sprintf("line %d: %s", e.Line, e.Message))
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			if (rs == nil) != (err != nil) {
				t.Errorf("ruleset %v with error %v", rs, err)
			}
		})
	}
}

func errorList(t *testing.T, err error) iptables.Errors {
	t.Helper()
	list, ok := errors.AsType[iptables.Errors](err)
	if !ok {
		t.Fatalf("%T is no list of errors: %v", err, err)
	}
	return list
}

func TestManyErrorsEnd(t *testing.T) {
	_, err := iptables.Parse(firewall.IPv4, []byte(strings.Repeat("nonsense\n", 100000)))
	if n := len(errorList(t, err)); n < 100 || n > 110 {
		t.Errorf("%d errors", n)
	}
}

func TestHints(t *testing.T) {
	_, err := iptables.Parse(firewall.IPv4, []byte("*filter\n-A X -j DROP\nCOMMIT\n"))
	const want = "line 2: chain X is not declared in table filter\nhint: a line `:X - [0:0]` declares it"
	if err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}

// TestUndecidable: what is not known makes its rule undecidable, and is named.
func TestUndecidable(t *testing.T) {
	const head = "*filter\n:INPUT ACCEPT [0:0]\n"
	for _, c := range []struct{ rule, want string }{
		{"-m geoip --source-country CN,RU -j DROP", "-m geoip --source-country CN,RU"},
		{"-m geoip ! --source-country CN -j DROP", "-m geoip ! --source-country CN"},
		{`-m layer7 --l7proto "x y" -j DROP`, `-m layer7 --l7proto "x y"`},
		{"-p tcp -m tcp --dport 5 --tcp-magic 7 -j DROP", "-m tcp --dport 5 --tcp-magic 7"},
		{"-m bpf --bytecode 1,6,0,0 -j DROP", "-m bpf --bytecode 1,6,0,0"},
		{"-j TARPIT --tarpit", `target "TARPIT"`},
		{"-j FOO --bar 5", `target "FOO"`},
		{"-j LOG --log-magic 7", `target "LOG"`},
		{"-j TARPIT", "target TARPIT"},
		{"-m u32 --u32 100=5 -j DROP", "-m u32 --u32 100=5"},
		{"-m set --match-set s src -j DROP", "s by src: its contents are not in this file"},
	} {
		rs, err := iptables.Parse(firewall.IPv4, []byte(head+"-A INPUT "+c.rule+"\nCOMMIT\n"))
		if err != nil {
			t.Errorf("%s: %v", c.rule, err)
			continue
		}
		if got := undecided(rs.Tables[0].Chains[0].Rules[0]); !slices.Equal(got, []string{c.want}) {
			t.Errorf("%s: undecided %q, want %q", c.rule, got, c.want)
		}
	}
}

// undecided lists what of a rule could not be understood.
func undecided(r *firewall.Rule) []string {
	var out []string
	var cond func(firewall.Cond)
	cond = func(c firewall.Cond) {
		switch c := c.(type) {
		case firewall.Undecoded:
			out = append(out, c.Text)
		case firewall.Lookup:
			if c.Set.Opaque != "" {
				out = append(out, c.Set.Name+": "+c.Set.Opaque)
			}
		case firewall.And:
			for _, p := range c {
				cond(p)
			}
		case firewall.Or:
			for _, p := range c {
				cond(p)
			}
		case firewall.Not:
			cond(c.Of)
		case firewall.Total:
			cond(c.Of)
		}
	}
	for _, s := range r.Steps {
		switch s := s.(type) {
		case firewall.Match:
			cond(s.Cond)
		case firewall.Opaque:
			out = append(out, s.Name)
		}
	}
	return out
}

// TestSpellings: old and other spellings mean what the present one does.
func TestSpellings(t *testing.T) {
	for _, c := range [][2]string{
		{"-s ! 10.0.0.0/8 -j DROP", "! -s 10.0.0.0/8 -j DROP"},
		{"-i ! eth0 -p ! tcp -j DROP", "! -i eth0 ! -p tcp -j DROP"},
		{"--source 10.0.0.1 --in-interface eth0 --protocol tcp --jump DROP", "-s 10.0.0.1/32 -i eth0 -p tcp -j DROP"},
		{"-s 10.1.2.3/255.0.0.0 -j DROP", "-s 10.0.0.0/8 -j DROP"},
		{"-p tcp --dport ssh -j DROP", "-p tcp -m tcp --dport 22 -j DROP"},
		{"-p tcp --destination-port ! 22 -j DROP", "-p tcp -m tcp ! --dport 22 -j DROP"},
		{"-p tcp --syn -j DROP", "-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j DROP"},
		{"-p tcp -m tcp --tcp-flags SYN,RST,ACK,FIN SYN -j DROP", "-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j DROP"},
		{"-m state --state NEW -j DROP", "-m conntrack --ctstate NEW -j DROP"},
		{"-m state ! --state NEW -j DROP", "-m conntrack ! --ctstate NEW -j DROP"},
		{"-p icmp --icmp-type 8/0 -j DROP", "-p icmp -m icmp --icmp-type 8/0 -j DROP"},
		{"-p icmp --icmp-type port-unreachable -j DROP", "-p icmp -m icmp --icmp-type 3/3 -j DROP"},
		{"-p udp -m multiport --destination-ports domain,ntp -j DROP", "-p udp -m multiport --dports 53,123 -j DROP"},
		{"-p 6 --dport=22 -j DROP", "-p tcp -m tcp --dport 22 -j DROP"},
		{"-m time --days Sun,Mon -j DROP", "-m time --weekdays Sun,Mon -j DROP"},
		{"-p ipv6-icmp -j DROP", "-p icmpv6 -j DROP"},
		{"-j REJECT", "-j REJECT --reject-with icmp-port-unreachable"},
		{"-j MARK --set-mark 0x5", "-j MARK --set-xmark 0x5/0xffffffff"},
		{"-j MARK --and-mark 0xff", "-j MARK --set-xmark 0x0/0xffffff00"},
		{"-j CONNMARK --save-mark", "-j CONNMARK --save-mark --nfmask 0xffffffff --ctmask 0xffffffff"},
		{"-i + -o + -j DROP", "-j DROP"},
		{"-p all -j DROP", "-j DROP"},
		{"-m comment --comment x -j DROP", "-j DROP"},
		{"-m ttl --ttl 5 -j DROP", "-m ttl --ttl-eq 5 -j DROP"},
		{"-m dscp --dscp-class EF -j DROP", "-m dscp --dscp 0x2e -j DROP"},
	} {
		one := func(options string) []firewall.Step {
			rs, err := iptables.Parse(firewall.IPv4, []byte("*filter\n:INPUT ACCEPT\n-A INPUT "+options+"\nCOMMIT\n"))
			if err != nil {
				t.Fatalf("%s: %v", options, err)
			}
			return rs.Tables[0].Chains[0].Rules[0].Steps
		}
		if diff := cmp.Diff(one(c[1]), one(c[0])); diff != "" {
			t.Errorf("%s\n%s\n%s", c[0], c[1], diff)
		}
	}
}

// corpus returns the recorded dumps, or skips.
func corpus(tb testing.TB) string {
	tb.Helper()
	if dir := os.Getenv("SEKIMORI_CORPUS"); dir != "" {
		return dir
	}
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		up := filepath.Dir(dir)
		if up == dir {
			tb.Fatal("no go.mod above the test")
		}
		dir = up
	}
	dir = filepath.Join(dir, "..", "shared", "corpus")
	if _, err := os.Stat(dir); err != nil {
		tb.Skipf("the corpus of recorded dumps is not here (%v); SEKIMORI_CORPUS can name it", err)
	}
	return dir
}

// TestCorpus: every recorded dump is read, and these are all of its rules that
// cannot be decided, by their lines.
func TestCorpus(t *testing.T) {
	want := map[string][]string{
		"iptables/save/parser-stress.save": {
			`12 -m multiport --ports 8080:8081,8082 --something-else`, // made up
			`40 -m icmp6 --icmpv6-type 133`,                           // a match of IPv6 in a dump of IPv4
			`41 -m icmp6 --icmpv6-type 133`,
		},
	}
	dir := corpus(t)
	var files []string
	for _, pattern := range []string{"iptables/save/*.save", "docker/*.save"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(found), err)
		}
		files = append(files, found...)
	}
	rules := 0
	for _, file := range files {
		name, err := filepath.Rel(dir, file)
		if err != nil {
			t.Fatal(err)
		}
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		rs, err := iptables.Parse(iptables.Family(src), src)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var got []string
		for _, table := range rs.Tables {
			for _, c := range table.Chains {
				for _, r := range c.Rules {
					rules++
					for _, u := range undecided(r) {
						got = append(got, fmt.Sprintf("%d %s", r.Line, u))
					}
				}
			}
		}
		if diff := cmp.Diff(want[name], got); diff != "" {
			t.Errorf("%s: undecidable rules, -want +got\n%s", name, diff)
		}
		if n := strings.Count("\n"+string(src), "\n-A ") + strings.Count("\n"+string(src), "\n["); n != ruleCount(rs) {
			t.Errorf("%s: %d rules of %d", name, ruleCount(rs), n)
		}
	}
	if rules < 6000 {
		t.Errorf("%d rules in all", rules)
	}
}

func ruleCount(rs *firewall.Ruleset) int {
	n := 0
	for _, table := range rs.Tables {
		for _, c := range table.Chains {
			n += len(c.Rules)
		}
	}
	return n
}

func TestFamily(t *testing.T) {
	for _, c := range []struct {
		src  string
		want firewall.Family
	}{
		{"# Generated by ip6tables-save v1.8.9 on x\n*filter\nCOMMIT\n", firewall.IPv6},
		{"# Generated by iptables-save v1.8.9 (nf_tables) on x\n", firewall.IPv4},
		{"*filter\n-A INPUT -s fe80::/10 -j DROP\nCOMMIT\n", firewall.IPv6},
		{"*filter\n-A INPUT -d 10.0.0.0/8 -j DROP\nCOMMIT\n", firewall.IPv4},
		{"*filter\n-A INPUT -p ipv6-icmp -j ACCEPT\nCOMMIT\n", firewall.IPv6},
		{"*filter\n-A INPUT -j DROP\n", firewall.IPv4},
		{"", firewall.IPv4},
		{" -s", firewall.IPv4},
	} {
		if got := iptables.Family([]byte(c.src)); got != c.want {
			t.Errorf("%q: %v", c.src, got)
		}
	}
}

func hundredThousand() []byte {
	var b strings.Builder
	b.WriteString("*filter\n:INPUT DROP [0:0]\n")
	for i := range 100000 {
		fmt.Fprintf(&b, "-A INPUT -s 10.%d.%d.%d/32 -i eth%d -p tcp -m conntrack --ctstate NEW -m tcp --dport %d -m comment --comment \"rule %d\" -j ACCEPT\n", i>>16&255, i>>8&255, i&255, i%4, i%60000+1, i)
	}
	b.WriteString("COMMIT\n")
	return []byte(b.String())
}

func TestHundredThousandRules(t *testing.T) {
	rs, err := iptables.Parse(firewall.IPv4, hundredThousand())
	if err != nil || ruleCount(rs) != 100000 {
		t.Fatalf("%v", err)
	}
}

func BenchmarkHundredThousandRules(b *testing.B) {
	src := hundredThousand()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := iptables.Parse(firewall.IPv4, src); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCampusFirewall(b *testing.B) {
	src, err := os.ReadFile(filepath.Join(corpus(b), "iptables/save/tum-2015-05-15.save"))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := iptables.Parse(firewall.IPv4, src); err != nil {
			b.Fatal(err)
		}
	}
}

func Example() {
	rs, err := iptables.Parse(firewall.IPv4, []byte(`
*filter
:INPUT DROP [0:0]
-A INPUT -s 10.0.0.0/8 -p tcp -m tcp --dport 22 -j ACCEPT
-A INPUT -m geoip --source-country CN -j ACCEPT
COMMIT
`))
	fmt.Println(err)
	chain := rs.Tables[0].Chain("INPUT")
	fmt.Println(chain.Place(), chain.Base.Policy)
	for _, r := range chain.Rules {
		fmt.Println(r.Line, len(r.Steps), r.Text)
	}
	_, err = iptables.Parse(firewall.IPv4, []byte("*filter\n:INPUT DROP\n-A INPUT -p tcp --dport\nCOMMIT\n"))
	fmt.Println(err)
	// Output:
	// <nil>
	// ip filter INPUT drop
	// 4 4 -A INPUT -s 10.0.0.0/8 -p tcp -m tcp --dport 22 -j ACCEPT
	// 5 2 -A INPUT -m geoip --source-country CN -j ACCEPT
	// line 3: --dport needs a value
	// hint: the line may be truncated
}
