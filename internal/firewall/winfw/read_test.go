package winfw

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sekimori/packet"
)

const scriptHead = stmtStop + "\n" + stmtRemove + "\n"

// rule is a call of New-NetFirewallRule, with what is not said otherwise.
func rule(name, args string) string {
	for _, d := range []string{"-DisplayName 'x'", "-Group 'sekimori'", "-Direction Inbound", "-Action Allow", "-Profile Any"} {
		if !strings.Contains(args, strings.Fields(d)[0]+" ") {
			args = d + " " + args
		}
	}
	return fmt.Sprintf("New-NetFirewallRule -Name '%s' %s | Out-Null\n", name, args)
}

// TestScriptErrors: whatever is not known is no rule without it.
func TestScriptErrors(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"no stop at errors", stmtRemove, "line 1: the script must begin with $ErrorActionPreference = 'Stop': without it, it would go on behind an error"},
		{"what was there before", stmtStop + "\n" + rule("a", "-Protocol TCP"), "line 4: the script does not remove the rules that it made before"},
		{"a parameter", scriptHead + rule("a", "-Protocol TCP -Program 'c:x.exe'"), "line 3: the parameter -Program is not understood"},
		{"a variable", scriptHead + rule("a", "-Protocol TCP -LocalPort $port"), "line 3: -LocalPort has no value that is understood"},
		{"a substitution", scriptHead + "New-NetFirewallRule -Name $(x)", "line 3: -Name has no value that is understood"},
		{"another command", scriptHead + "Remove-Item -Path 'x'", `line 3: "Remove-Item -Path 'x'" is not a statement that is understood`},
		{"two commands", scriptHead + rule("a", "-Protocol TCP; -LocalPort '1'"), `line 3: "; -LocalPort '1'" behind a value of -Protocol`},
		{"ports of no protocol", scriptHead + rule("a", "-Protocol Any -LocalPort '22'"), "line 3: ports belong to TCP and UDP alone"},
		{"one profile", scriptHead + rule("a", "-Profile Public"), `line 3: -Profile is Any, not "Public"`},
		{"another group", scriptHead + rule("a", "-Group 'mine'"), "line 3: a rule that is not in the group sekimori"},
		{"twice", scriptHead + rule("a", "-Protocol TCP") + rule("a", "-Protocol UDP"), "line 4: two rules are named a"},
		{"a port too high", scriptHead + rule("a", "-Protocol TCP -LocalPort '70000'"), `line 3: -LocalPort "70000" is not understood`},
		{"an address", scriptHead + rule("a", "-RemoteAddress '10.0.0.0/33'"), `line 3: -RemoteAddress "10.0.0.0/33" is not understood`},
		{"a pattern of interfaces", scriptHead + rule("a", "-InterfaceAlias 'eth*'"), `line 3: -InterfaceAlias "eth*" is not understood`},
		{"a quote that PowerShell takes for one", scriptHead + rule("a", "-InterfaceAlias 'a\u2019b'"), "line 3: -InterfaceAlias has no value that is understood"},
		{"a firewall turned off", scriptHead + "Set-NetFirewallProfile -Profile Domain,Private,Public -Enabled False -AllowInboundRules True -AllowLocalFirewallRules True", "line 3: -Enabled is True, and not \"False\"\nline 3: -Enabled is missing: it must be True"},
		{"one profile's default", scriptHead + "Set-NetFirewallProfile -Profile Public -Enabled True -AllowInboundRules True -AllowLocalFirewallRules True", "line 3: -Profile is Domain,Private,Public, and not \"Public\"\nline 3: -Profile is missing: it must be Domain,Private,Public"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ParseScript([]byte(c.text))
			if err == nil {
				t.Fatal("no error")
			}
			if d := cmp.Diff(c.want, err.Error()); d != "" {
				t.Error(d)
			}
		})
	}
}

const regHead = regHeader + "\n[" + regKey + "\\FirewallRules]\n"

func TestRegistryErrors(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"another file", "hello", `line 1: a file of the registry begins with "Windows Registry Editor Version 5.00"`},
		{"another key", regHeader + "\n[HKEY_LOCAL_MACHINE\\SOFTWARE\\X]", `line 2: the key "[HKEY_LOCAL_MACHINE\\SOFTWARE\\X]" is not understood`},
		{"an old version", regHead + `"a"="v2.0|Action=Allow|Active=TRUE|Dir=In|"`, `line 3: a rule begins with its version, v2.10 or later 2.x, not "v2.0"`},
		{"no end", regHead + `"a"="v2.10|Action=Allow|Active=TRUE|Dir=In"`, "line 3: a rule ends with a |"},
		{"a field", regHead + `"a"="v2.10|Action=Allow|Active=TRUE|Dir=In|Colour=red|"`, `line 3: the field "Colour=red" is not understood`},
		{"a range where none may be", regHead + `"a"="v2.10|Action=Allow|Active=TRUE|Dir=In|Protocol=6|LPort=1-9|"`, `line 3: the field "LPort=1-9" is not understood`},
		{"not active, or is it", regHead + `"a"="v2.10|Action=Allow|Dir=In|"`, "line 3: a rule needs Action, Dir and Active"},
		{"the wrong family", regHead + `"a"="v2.10|Action=Allow|Active=TRUE|Dir=In|RA4=2001:db8::1|"`, `line 3: the field "RA4=2001:db8::1" is not understood`},
		{"who comes through a tunnel", regHead + `"a"="v2.10|Action=Allow|Active=TRUE|Dir=In|Edge=TRUE|"`, `line 3: the field "Edge=TRUE" is not understood`},
		{"profiles that differ", regHeader + "\n[" + regKey + "\\PublicProfile]\n\"EnableFirewall\"=dword:00000001", "line 4: EnableFirewall is not the same in all profiles"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ParseRegistry([]byte(c.text))
			if err == nil {
				t.Fatal("no error")
			}
			if d := cmp.Diff(c.want, err.Error()); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestMeaning is about one thing that Windows does otherwise than others in a line;
// sources are in the package's documentation.
func TestMeaning(t *testing.T) {
	profile := "Set-NetFirewallProfile -Profile Domain,Private,Public -Enabled True -DefaultInboundAction %s -DefaultOutboundAction %s -AllowInboundRules True -AllowLocalFirewallRules True\n"
	closed, open := scriptHead+fmt.Sprintf(profile, "Block", "Block"), scriptHead+fmt.Sprintf(profile, "Allow", "Allow")
	reg := func(fields string) string {
		return regHeader + "\n[" + regKey + "\\FirewallRules]\n\"a\"=\"v2.10|Active=TRUE|" + fields + "\"\n" +
			"[" + regKey + "\\DomainProfile]\n\"EnableFirewall\"=dword:00000001\n\"DefaultInboundAction\"=dword:00000001\n" +
			"[" + regKey + "\\StandardProfile]\n\"EnableFirewall\"=dword:00000001\n\"DefaultInboundAction\"=dword:00000001\n" +
			"[" + regKey + "\\PublicProfile]\n\"EnableFirewall\"=dword:00000001\n\"DefaultInboundAction\"=dword:00000001\n"
	}
	for _, c := range []struct {
		name, text string
		dir        Direction
		packet     string
		want       string
	}{
		{"the default refuses", closed, In, "tcp in eth0 new", "no"},
		{"the default allows", open, In, "tcp new", "yes"},
		{"answers pass", closed, In, "tcp established", "yes"},
		{"loopback is not filtered", closed, In, "tcp in lo new", "yes"},
		{"a port", closed + rule("a", "-Protocol TCP -LocalPort '22'"), In, "tcp dport 22 new", "yes"},
		{"of TCP alone", closed + rule("a", "-Protocol TCP -LocalPort '22'"), In, "udp dport 22 in eth0 new", "no"},
		{"going out, the local port is the source", closed + rule("a", "-Protocol TCP -LocalPort '22' -Direction Outbound"), Out, "tcp sport 22 dport 9 new", "yes"},
		{"one of several", closed + rule("a", "-Protocol TCP -LocalPort '22','8000-8010'"), In, "tcp dport 8005 new", "yes"},
		{"all conditions", closed + rule("a", "-Protocol TCP -LocalPort '22' -RemoteAddress '192.0.2.0/24','::1'"), In, "tcp 198.51.100.1:5 -> *:22 in eth0 new", "no"},
		{"block beats allow, in any order", closed + rule("a", "-Action Block -Protocol TCP") + rule("b", "-Protocol TCP -LocalPort '22'"), In, "tcp dport 22 in eth0 new", "no"},
		{"block beats the default", open + rule("a", "-Action Block -Protocol TCP"), In, "tcp dport 22 in eth0 new", "no"},
		{"an interface", closed + rule("a", "-InterfaceAlias 'eth0'"), In, "tcp in eth1 new", "no"},
		{"types of ICMP", closed + rule("a", "-Protocol ICMPv4 -IcmpType '8','3:4'"), In, "icmp 192.0.2.1 -> * type 3 code 4 new", "yes"},
		{"other codes", closed + rule("a", "-Protocol ICMPv4 -IcmpType '8','3:4'"), In, "icmp 192.0.2.1 -> * type 3 code 3 in eth0 new", "no"},
		{"addresses of IPv4 alone, about IPv6", closed + rule("a", "-RemoteAddress '192.0.2.0/24'"), In, "tcp 2001:db8::1 -> * in eth0 new", "undecided"},
		{"addresses of both", closed + rule("a", "-RemoteAddress '192.0.2.0/24','2001:db8::/32'"), In, "tcp 2001:db8::1 -> * new", "yes"},
		{"registry: a rule", reg("Action=Allow|Dir=In|Protocol=6|LPort=22|LPort2_10=80-90|RA4=192.0.2.0/255.255.255.0|RA6=2001:db8::/32|"), In, "tcp 192.0.2.9:5 -> *:85 new", "yes"},
		{"registry: not that port", reg("Action=Allow|Dir=In|Protocol=6|LPort=22|LPort2_10=80-90|"), In, "tcp dport 91 in eth0 new", "no"},
		{"registry: a program", reg("Action=Allow|Dir=In|App=c:x.exe|"), In, "tcp dport 91 in eth0 new", "undecided"},
		{"registry: the local subnet", reg("Action=Allow|Dir=In|RA4=LocalSubnet|RA6=LocalSubnet|"), In, "tcp 192.0.2.9 -> * in eth0 new", "undecided"},
		{"registry: one profile", reg("Action=Allow|Dir=In|Profile=Public|"), In, "tcp in eth0 new", "undecided"},
		{"registry: ICMP", reg("Action=Allow|Dir=In|Protocol=58|ICMP6=128:*|"), In, "icmpv6 2001:db8::1 -> * type 128 code 7 new", "yes"},
		{"registry: a rule that is off", strings.Replace(reg("Action=Allow|Dir=In|"), "Active=TRUE", "Active=FALSE", 1), In, "tcp in eth0 new", "no"},
	} {
		t.Run(c.name, func(t *testing.T) {
			read := ParseScript
			if strings.HasPrefix(c.text, regHeader) {
				read = ParseRegistry
			}
			fw, err := read([]byte(c.text))
			if err != nil {
				t.Fatal(err)
			}
			if got := answer(t, fw, c.dir, c.packet); got != c.want {
				t.Errorf("%s: %s, want %s", c.packet, got, c.want)
			}
		})
	}
}

func space(family packet.Family) *packet.Space {
	return packet.NewSpace(packet.Config{Family: family, Interfaces: []string{"lo", "eth0", "eth1"}, MaxNodes: 500_000})
}

func answer(t *testing.T, fw *Firewall, d Direction, expr string) string {
	t.Helper()
	p, err := packet.ParsePacket(expr)
	if err != nil {
		t.Fatal(err)
	}
	family := packet.V4
	if p.Src.Is6() {
		family = packet.V6
	}
	sp := space(family)
	answer := "undecided"
	if err := sp.Do(func() error {
		pass, in := fw.Judge(sp, d), sp.Point(p)
		switch {
		case in.Empty():
			return fmt.Errorf("%s is no packet", expr)
		case in.SubsetOf(pass):
			answer = "yes"
		case !in.Overlaps(pass):
			answer = "no"
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return answer
}

func FuzzParseScript(f *testing.F) {
	f.Add(scriptHead + rule("a", "-Protocol TCP -LocalPort '22','80-90' -RemoteAddress '192.0.2.0/24','2001:db8::1-2001:db8::9'"))
	f.Add(scriptHead + rule("a", "-Protocol ICMPv6 -IcmpType '128','1:4' -InterfaceAlias 'it''s'") + othersOf(true, true) + "\n" + stmtDisable)
	f.Add(scriptHead + "Set-NetFirewallProfile -Profile Domain,Private,Public -Enabled True -DefaultInboundAction Block -AllowInboundRules True -AllowLocalFirewallRules True")
	f.Fuzz(func(t *testing.T, text string) { judged(t, text, ParseScript) })
}

func FuzzParseRegistry(f *testing.F) {
	f.Add(regHead + `"a"="v2.10|Action=Allow|Active=TRUE|Dir=In|Protocol=6|LPort=22|LPort2_10=8000-8010|RA4=192.0.2.0/255.255.255.0|RA6=LocalSubnet|Name=\"x\"|"`)
	f.Add(regHead + `"a"="v2.30|Action=ByPass|Active=TRUE|Dir=Out|Protocol=58|ICMP6=1:*|App=c:\\x|Profile=Domain|IF={}|"`)
	f.Add(regHeader + "\n[" + regKey + "\\PublicProfile]\n\"EnableFirewall\"=dword:00000001")
	f.Fuzz(func(t *testing.T, text string) { judged(t, text, ParseRegistry) })
}

// judged reads a text; what is understood means something, and what block rules
// refuse does not pass.
func judged(t *testing.T, text string, read func([]byte) (*Firewall, error)) {
	if len(text) > 1<<13 {
		return
	}
	fw, err := read([]byte(text))
	if err != nil {
		return
	}
	for _, family := range []packet.Family{packet.V4, packet.V6} {
		sp := space(family)
		_ = sp.Do(func() error { // undecided is an answer too
			for _, d := range []Direction{In, Out} {
				pass := fw.Judge(sp, d)
				less := &Firewall{Inbound: fw.Inbound, Outbound: fw.Outbound, Rules: append(fw.Rules[:len(fw.Rules):len(fw.Rules)], Rule{Direction: d, Action: Block, Protocol: AnyProtocol})}
				if !less.Judge(sp, d).SubsetOf(pass) {
					t.Errorf("a rule that blocks everything lets more pass")
				}
			}
			return nil
		})
	}
}
