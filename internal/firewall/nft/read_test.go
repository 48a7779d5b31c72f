package nft_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sekimori/internal/firewall/nft"
)

// table puts rules into a chain that is asked about what comes in.
func table(rules ...string) string {
	return "table inet t {\n\tset s { type ipv4_addr; flags interval; elements = { 10.0.0.0/8 }; }\n" +
		"\tset dyn-4 { type ipv4_addr; size 10; flags dynamic,timeout; timeout 60s; }\n\tchain next { accept; }\n\tchain c {\n" +
		"\t\ttype filter hook input priority filter; policy drop\n\t\t" + strings.Join(rules, "\n\t\t") + "\n\t}\n}\n"
}

// TestReadRefuses has texts that are no part of the language: what the reader does
// not know for certain it must not take.
func TestReadRefuses(t *testing.T) {
	for _, c := range []struct{ text, why string }{
		{table(`ct state new,invalid accept`), `unknown state "invalid"`},
		{table(`ct mark 5 accept`), `unknown key "mark"`},
		{table(`ip saddr != 10.0.0.1 accept`), `"!=" is no value`},
		{table(`ip saddr 10.0.0.1/33 accept`), "no value of type ipv4_addr"},
		{table(`ip saddr 10.0.0.9-10.0.0.1 accept`), "no value of type ipv4_addr"},
		{table(`ip saddr ::1 accept`), "no value of type ipv4_addr"},
		{table(`ip6 saddr ::ffff:10.0.0.1%eth0 accept`), "does not belong here"},
		{table(`ip saddr @nobody accept`), "there is no such set nobody"},
		{table(`tcp dport @s accept`), "there is no such set s of type inet_service"},
		{table(`ip saddr @dyn-4 accept`), "there is no such set dyn-4"},
		{table(`ip saddr vmap @s`), "there is no such set s"},
		{table(`tcp dport 65536 accept`), "no value of type inet_service"},
		{table(`tcp dport { 22, 20-30 } accept`), "elements that overlap"},
		{table(`tcp dport ssh accept`), "no value of type inet_service"},
		{table(`tcp dport vmap { 22 : goto nowhere }`), "there is no chain nowhere"},
		{table(`jump c`), "is a base chain"},
		{table(`accept drop`), "behind the end of a rule"},
		{table(`accept counter`), "behind the end of a rule"},
		{table(`reject`), `unknown statement "reject"`},
		{table(`meta mark set 1`), `unknown key "mark"`},
		{table(`meta l4proto tcp accept`), "the number of a protocol"},
		{table(`meta l4proto 256 accept`), "the number of a protocol"},
		{table(`icmp code 1 accept`), `"code" where "type" should be`},
		{table(`iifname "*" accept`), "cannot be the name of an interface"},
		{table(`iifname eth0 accept`), "in quotes should be"},
		{table(`limit rate 5/second drop`), `"drop" where "burst" should be`},
		{table(`limit rate 5/second burst 5 packets drop`), "neither of a log nor over"},
		{table(`limit rate 5/second burst 5 packets log group 5 snaplen 5 drop`), "behind the end of a rule"},
		{table(`log prefix "x" accept`), `"prefix" where "group" should be`},
		{table(`limit rate over 5/week burst 5 packets drop`), "is no rate"},
		{table(`limit rate over 5/second drop`), `"drop" where "burst" should be`},
		{table(`limit rate over 5/second burst 5 packets drop`), "does not end with a verdict"},
		{table(`update @s { ip saddr limit rate over 5/second burst 5 packets } drop`), "there is no set s that packets fill"},
		{table(`update @dyn-4 { ip daddr limit rate over 5/second burst 5 packets } drop`), `"daddr" where "saddr" should be`},
		{table(`update @dyn-4 { ip saddr limit rate over 1/hour burst 5 packets } drop`), "forgets sources before"},
		{table(`add @dyn-4 { ip saddr limit rate over 5/second burst 5 packets } drop`), `unknown statement "add"`},
		{table(`dnat ip to 10.0.0.1`), "a chain that is not for it"},
		{table(`ct original proto-dst 80 accept`), "without its protocol"},
		{table(`fib saddr type local accept`), `"saddr" where "daddr" should be`},
		{"table ip t {\n}\n", `"ip" where "inet" should be`},
		{"add table inet t\n", `unknown statement "add"`},
		{"delete table inet t\n", "deleted before it is there"},
		{"table inet t {\n\tchain c {\n\t\taccept\n", "ends where a chain has not"},
		{"table inet t {\n\tset s {\n", "where a property of a set should be"},
		{"table inet t {\n", "where set, map or chain should be"},
		{"table inet t {\n\tchain c { }\n\tchain c { }\n}\n", "defined twice"},
		{"table inet t {\n\tchain a { jump b; }\n\tchain b { goto a; }\n}\n", "leads back to itself"},
		{"table inet t {\n\tchain a { limit rate over 5/second burst 5 packets drop; jump b; accept; }\n\tchain b { }\n}\n", "leads elsewhere"},
		{"table inet t {\n\tset s { type ipv4_addr; elements = { 10.0.0.0/8 }; }\n}\n", "no flag that says so"},
		{"table inet t {\n\tset s { type ether_addr; }\n}\n", `unknown type "ether_addr"`},
		{"table inet t {\n\tset s { type ipv4_addr; flags constant; }\n}\n", `unknown flag "constant"`},
		{"table inet t {\n\tflowtable f { }\n}\n", `unknown object "flowtable"`},
		{"table inet t {\n\tchain c { type filter hook ingress priority filter; policy drop; }\n}\n", `unknown hook "ingress"`},
		{"table inet t {\n\tchain c { type filter hook input priority 5; policy drop; }\n}\n", `unknown priority "5"`},
		{"table inet t {\n\tchain c { type route hook output priority filter; policy drop; }\n}\n", `unknown type "route"`},
		{"include \"x\"\n", `unknown statement "include"`},
		{"define x = 5\n", `unknown statement "define"`},
		{"table inet t { chain c { iifname \"eth0 accept\n } }", "does not end"},
		{"table inet t {\n\tchain c { tcp dport $x accept; }\n}\n", "does not belong here"},
	} {
		_, _, err := nft.Read([]byte(c.text))
		if _, ok := errors.AsType[*nft.SyntaxError](err); !ok || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s: error %v, want one about %q", c.text, err, c.why)
		}
	}
}

// FuzzRead: any text is read or refused, and nothing else happens; what is read is
// a ruleset whose jumps lead somewhere.
func FuzzRead(f *testing.F) {
	names, err := filepath.Glob("../../compile/testdata/*.nft")
	if err != nil || len(names) == 0 {
		f.Fatalf("no texts: %v", err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Add(table("ip saddr @s tcp dport { 22, 80-90 } goto next", "icmpv6 type vmap { 1-4 : accept, 128 comment \"ping\" : drop }"))
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 1<<15 {
			return
		}
		rs, limits, err := nft.Read([]byte(text))
		if err != nil {
			if _, ok := errors.AsType[*nft.SyntaxError](err); !ok {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		for _, tb := range rs.Tables {
			for _, c := range tb.Chains {
				for i, r := range c.Rules {
					if r.Chain != c || r.Number != i+1 || len(r.Steps) == 0 {
						t.Fatalf("rule %d of %s is not whole", i+1, c.Name)
					}
				}
			}
		}
		for _, l := range limits {
			if l.Count < 1 || l.Burst < 1 || l.Per <= 0 {
				t.Fatalf("limit %+v", l)
			}
		}
	})
}
