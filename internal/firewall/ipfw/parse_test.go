package ipfw

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestErrors(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"an action nobody knows", "add 100 alow tcp from any to any 22", `line 1: the action "alow" is not understood
  add 100 alow tcp from any to any 22
          ^^^^`},
		{"an option nobody knows", "add 100 allow tcp from any to any 22 iplen 40", `line 1: the option "iplen" is not understood
  add 100 allow tcp from any to any 22 iplen 40
                                       ^^^^^`},
		{"a name of a service", "add allow tcp from any to me 22,ssh in", `line 1: "ssh" is not a port, nor a range of ports
  add allow tcp from any to me 22,ssh in
                                  ^^^
hint: names of services are not looked up: write the number`},
		{"all errors at once", "add allow tcp to any\nadd deny ip from 300.1.1.1 to any", `line 1: "from" is expected here, not "to"
  add allow tcp to any
                ^^
line 2: "300.1.1.1" is neither an address nor a prefix
  add deny ip from 300.1.1.1 to any
                   ^^^^^^^^^`},
		{"a table that nothing fills", "add allow ip from table(7) to me", `line 1: table 7 is nowhere filled: what is in it is not known
  add allow ip from table(7) to me
  ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^`},
		{"shell", "ipfw add allow ip from $net to any", `line 1: shell that is not understood
  ipfw add allow ip from $net to any
       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
hint: write the command without variables, substitutions and several commands in a line`},
		{"a here-document that goes on", "ipfw -q /dev/stdin << 'END'\nadd allow ip from any to any", `line 1: a here-document that END does not end
hint: the file may be truncated`},
		{"a here-document for the shell", "ipfw -q /dev/stdin << END\nadd allow ip from $x to any\nEND", `line 1: a here-document in which the shell replaces things
  ipfw -q /dev/stdin << END
  ^^^^^^^^^^^^^^^^^^^^^^^^^
hint: quote the word that ends it: << 'END'
line 2: "$x" is neither an address nor a prefix
  add allow ip from $x to any
                    ^^
line 3: unknown command "END"
  END
  ^^^
hint: known are add, delete, flush, set, table, zero and resetlog`},
		{"an action with states that are not understood", "add count tcp from any to any keep-state", `line 1: the states of a rule that does not allow are not understood
  add count tcp from any to any keep-state
  ^`},
		{"two names of states", "add check-state :a\nadd allow tcp from any to any keep-state :b", `line 2: states with several names are not understood
  add allow tcp from any to any keep-state :b
                                           ^^`},
		{"an or-block without end", "add allow { tcp or udp from any to any", `line 1: "or" is expected here, or the closing brace, not "from"
  add allow { tcp or udp from any to any
                         ^^^^`},
		{"control characters", "add allow ip from any to any \x1b[2J", `line 1: bytes that are not text
  add allow ip from any to any ?[2J
  ^`},
		{"any interface", "add deny ip from any to any out recv any", `line 1: whether any asks for an interface differs between the manual and the program: write *
  add deny ip from any to any out recv any
                                       ^^^`},
		{"one pass", "add reass ip from any to any in", `line 1: the action "reass" is not understood
  add reass ip from any to any in
      ^^^^^`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse([]byte(c.text))
			if err == nil {
				t.Fatal("no error")
			}
			if d := cmp.Diff(c.want, err.Error()); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestOrder: numbers decide the order, and equal ones the arrival.
func TestOrder(t *testing.T) {
	rs, err := Parse([]byte(`
add 300 allow ip from any to any // third
add allow ip from any to any // fourth, at 400
add 100 count ip from any to any // first
add 300 deny ip from any to any // behind the third
add 65535 deny ip from any to any
`))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range rs.Rules {
		got = append(got, strings.Fields(r.Text)[0]+" "+r.Comment)
	}
	want := []string{"add first", "add third", "add behind the third", "add fourth, at 400", "add "}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if rs.Rules[3].Number != 400 {
		t.Errorf("the number of the rule without one is %d", rs.Rules[3].Number)
	}
}

// TestSets: what a script leaves in force after it has swapped sets.
func TestSets(t *testing.T) {
	rs, err := Parse([]byte(`#!/bin/sh
set -e
sysctl -q net.inet.ip.fw.dyn_keep_states=1 >/dev/null
fwcmd="/sbin/ipfw -q"
ipfw -q set disable 30
${fwcmd} delete set 30 2>/dev/null || :
${fwcmd} add 100 set 20 deny ip from any to any
ipfw -q /dev/stdin << 'SEKIMORI'
add 100 set 30 allow ip from any to any # text
add 200 set 30 allow tcp from any to table(admins) 22
table admins create type addr
table admins add 192.0.2.0/24
set swap 30 20
delete set 30
SEKIMORI
`))
	if err != nil {
		t.Fatal(err)
	}
	if len(rs.Rules) != 2 || !rs.Enabled(rs.Rules[0]) || rs.Rules[0].Set != 20 || rs.Rules[0].action != allow || !rs.KeepsStates {
		t.Errorf("%+v", rs)
	}
}

func TestList(t *testing.T) {
	text, err := os.ReadFile("testdata/show.txt")
	if err != nil {
		t.Fatal(err)
	}
	rs, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if len(rs.Rules) != 15 || rs.Rules[14].Number != 65535 {
		t.Errorf("%d rules, the last is %d", len(rs.Rules), rs.Rules[len(rs.Rules)-1].Number)
	}
}

func FuzzParse(f *testing.F) {
	for _, name := range []string{"testdata/show.txt", "testdata/rc.firewall.txt"} {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Add("ipfw -q /dev/stdin << 'E'\nadd 1 set 3 allow { tcp or not udp } from { 1.2.3.0/24{1,5-9} or me6 } 22,80-90 to not table(a) out\nE\ntable a add ::/0")
	f.Add("add 5 skipto 10 ip from any to any not recv em* limit src-addr 4 :x\nset move rule 5 to 7\nset enable 3 disable 2")
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 1<<14 {
			return
		}
		rs, err := Parse([]byte(text))
		if err != nil {
			if s := err.Error(); s == "" || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\n' }) {
				t.Errorf("an error that cannot be shown: %q", s)
			}
			return
		}
		checkSums(t, rs)
	})
}
