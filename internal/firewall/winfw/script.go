package winfw

import (
	"fmt"
	"slices"
	"strings"
)

// Group is the group of our rules.
const Group = "sekimori"

// The statements of a script that stand as they are: what they do is known to
// whoever compares them letter by letter.
const (
	stmtStop    = `$ErrorActionPreference = 'Stop'`
	stmtRemove  = `Get-NetFirewallRule -Group 'sekimori' -ErrorAction SilentlyContinue | Remove-NetFirewallRule`
	stmtOthers  = `$others = Get-NetFirewallRule -Enabled True%s -Action Allow | Where-Object { $_.Group -ne 'sekimori' }`
	stmtShow    = `$others | Sort-Object Direction, DisplayName | Format-Table Direction, DisplayName, Name -AutoSize`
	stmtDisable = `$others | Disable-NetFirewallRule`
)

// othersOf is the statement that finds the allow rules of others, of one direction
// or of both.
func othersOf(in, out bool) string {
	direction := ""
	switch {
	case !out:
		direction = " -Direction Inbound"
	case !in:
		direction = " -Direction Outbound"
	}
	return fmt.Sprintf(stmtOthers, direction)
}

// ParseScript reads a script. The error, if there is one, is an [Errors].
func ParseScript(src []byte) (*Firewall, error) {
	s := &script{f: &Firewall{}}
	s.each(src, s.statement)
	s.line++
	if len(s.list) == 0 && !s.removed {
		s.fail("the script does not remove the rules that it made before")
	}
	if len(s.list) > 0 {
		return nil, s.list
	}
	return s.f, nil
}

type script struct {
	errs
	f                     *Firewall
	stop, removed, others bool
}

func (s *script) statement(line string) {
	switch {
	case line == "" || line[0] == '#':
		return
	case line == stmtStop:
		s.stop = true
		return
	case !s.stop:
		s.fail("the script must begin with %s: without it, it would go on behind an error", stmtStop)
		s.stop = true
		return
	case line == stmtRemove:
		if len(s.f.Rules) > 0 {
			s.fail("rules are removed that the script itself has made")
		}
		s.removed = true
		return
	case line == othersOf(true, true), line == othersOf(true, false), line == othersOf(false, true):
		s.others = true
		return
	case line == stmtShow && s.others:
		return
	case line == stmtDisable && s.others:
		s.f.Exclusive = true
		return
	}
	name, rest, _ := strings.Cut(line, " ")
	args, ok := s.arguments(strings.TrimSuffix(rest, " | Out-Null"))
	if !ok {
		return
	}
	switch name {
	case "New-NetFirewallRule":
		s.rule(args)
	case "Set-NetFirewallProfile":
		s.profile(args)
	default:
		s.fail("%q is not a statement that is understood", short(line))
	}
}

// short is as much of a line as an error shows.
func short(s string) string {
	if len(s) <= 60 {
		return s
	}
	return strings.ToValidUTF8(s[:60], "") + "…"
}

// argument is -Name with its values.
type argument struct {
	name   string
	values []string
}

// arguments reads -Name VALUE[,VALUE]… until the end.
func (s *script) arguments(text string) ([]argument, bool) {
	var args []argument
	for text = strings.TrimLeft(text, " "); text != ""; text = strings.TrimLeft(text, " ") {
		name, rest, _ := strings.Cut(text, " ")
		if !strings.HasPrefix(name, "-") || !letters(name[1:]) {
			s.fail("%q stands where a parameter should", short(name))
			return nil, false
		}
		if slices.ContainsFunc(args, func(a argument) bool { return a.name == name }) {
			s.fail("%s comes twice", name)
			return nil, false
		}
		a := argument{name: name}
		text = strings.TrimLeft(rest, " ")
		for {
			v, rest, ok := value(text)
			if !ok {
				s.fail("%s has no value that is understood", name)
				return nil, false
			}
			a.values = append(a.values, v)
			if text = rest; !strings.HasPrefix(text, ",") {
				break
			}
			text = text[1:]
		}
		if text != "" && text[0] != ' ' {
			s.fail("%q behind a value of %s", short(text), name)
			return nil, false
		}
		args = append(args, a)
	}
	return args, true
}

func letters(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

// value reads a bare word or a text in single quotes, in which two quotes are one. PowerShell
// takes the typographic quotes for quotes as well, so they are refused.
func value(text string) (v, rest string, ok bool) {
	if !strings.HasPrefix(text, "'") {
		n := 0
		for n < len(text) && strings.IndexByte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", text[n]) >= 0 {
			n++
		}
		return text[:n], text[n:], n > 0
	}
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		if text[i] != '\'' {
			b.WriteByte(text[i])
			continue
		}
		if i+1 < len(text) && text[i+1] == '\'' {
			b.WriteByte('\'')
			i++
			continue
		}
		v = b.String()
		return v, text[i+1:], !strings.ContainsAny(v, "\u2018\u2019\u201a\u201b")
	}
	return "", "", false
}

// profile reads the arguments of Set-NetFirewallProfile.
func (s *script) profile(args []argument) {
	want := map[string]string{
		"-Profile": "Domain,Private,Public", "-Enabled": "True", "-AllowInboundRules": "True", "-AllowLocalFirewallRules": "True",
	}
	for _, a := range args {
		v := strings.Join(a.values, ",")
		switch {
		case a.name == "-DefaultInboundAction":
			s.f.Inbound = s.def(v)
		case a.name == "-DefaultOutboundAction":
			s.f.Outbound = s.def(v)
		case want[a.name] == "":
			s.fail("the parameter %s is not understood here", a.name)
		case want[a.name] != v:
			s.fail("%s is %s, and not %q", a.name, want[a.name], v)
		default:
			delete(want, a.name)
		}
	}
	for _, name := range []string{"-Profile", "-Enabled", "-AllowInboundRules", "-AllowLocalFirewallRules"} {
		if want[name] != "" {
			s.fail("%s is missing: it must be %s", name, want[name])
		}
	}
}

func (s *script) def(v string) Default {
	switch v {
	case "Allow":
		return AllowAll
	case "Block":
		return BlockAll
	}
	s.fail("a default is Allow or Block, not %q", v)
	return Unset
}

// rule reads the arguments of New-NetFirewallRule.
func (s *script) rule(args []argument) {
	r := Rule{Line: s.line, Protocol: AnyProtocol}
	group, direction, action, profile := "", "", "", ""
	before := len(s.list)
	for _, a := range args {
		one := a.values[0]
		if len(a.values) > 1 && !slices.Contains([]string{"-LocalPort", "-RemotePort", "-IcmpType", "-LocalAddress", "-RemoteAddress", "-InterfaceAlias", "-Profile"}, a.name) {
			s.fail("%s has several values", a.name)
		}
		switch a.name {
		case "-Name":
			r.Name = one
		case "-DisplayName":
			r.Display = one
		case "-Description":
			r.Description = one
		case "-Group":
			group = one
		case "-Direction":
			direction = one
		case "-Action":
			action = one
		case "-Profile":
			profile = strings.Join(a.values, ",")
		case "-Protocol":
			r.Protocol = s.protocol(one)
		default:
			s.condition(&r, a)
		}
	}
	switch {
	case r.Name == "" || r.Display == "":
		s.fail("a rule needs -Name and -DisplayName")
	case slices.ContainsFunc(s.f.Rules, func(o Rule) bool { return o.Name == r.Name }):
		s.fail("two rules are named %s", r.Name)
	case group != Group:
		s.fail("a rule that is not in the group %s", Group)
	case direction != "Inbound" && direction != "Outbound":
		s.fail("-Direction is Inbound or Outbound, not %q", direction)
	case action != "Allow" && action != "Block":
		s.fail("-Action is Allow or Block, not %q", action)
	case profile != "Any":
		s.fail("-Profile is Any, not %q", profile)
	}
	if direction == "Outbound" {
		r.Direction = Out
	}
	if action == "Block" {
		r.Action = Block
	}
	r.check(&s.errs)
	if len(s.list) == before {
		s.f.Rules = append(s.f.Rules, r)
	}
}

func (s *script) protocol(v string) int {
	switch v {
	case "Any":
		return AnyProtocol
	case "TCP":
		return 6
	case "UDP":
		return 17
	case "ICMPv4":
		return 1
	case "ICMPv6":
		return 58
	}
	n, ok := number(v, 255)
	if !ok {
		s.fail("%q is not a protocol", v)
	}
	return n
}

// condition reads a parameter that restricts a rule, with all its values.
func (s *script) condition(r *Rule, a argument) {
	for _, v := range a.values {
		ok := false
		switch a.name {
		case "-LocalPort", "-RemotePort":
			to := &r.LocalPorts
			if a.name == "-RemotePort" {
				to = &r.RemotePorts
			}
			p, valid := portRange(v)
			*to, ok = append(*to, p), valid
		case "-IcmpType":
			t, valid := icmp(v)
			r.ICMP, ok = append(r.ICMP, t), valid
		case "-LocalAddress":
			ok = r.Local.add(v)
		case "-RemoteAddress":
			ok = r.Remote.add(v)
		case "-InterfaceAlias":
			r.Interfaces, ok = append(r.Interfaces, v), v != "" && !strings.ContainsAny(v, "*?[]`")
		default:
			s.fail("the parameter %s is not understood", a.name)
			return
		}
		if !ok {
			s.fail("%s %q is not understood", a.name, v)
			return
		}
	}
}
