package kernel

import (
	"fmt"
	"strings"

	"sekimori/internal/firewall"
)

// show prints what a ruleset means, compactly: what tests compare.
func show(rs *firewall.Ruleset) string {
	var b strings.Builder
	for _, t := range rs.Tables {
		fmt.Fprintf(&b, "table %s", t.Place())
		if t.Dormant {
			b.WriteString(" dormant")
		}
		b.WriteByte('\n')
		for _, s := range t.Sets {
			if !strings.HasPrefix(s.Name, "__") {
				fmt.Fprintf(&b, "  set %s\n", showSet(s))
			}
		}
		for _, c := range t.Chains {
			fmt.Fprintf(&b, "  chain %s%s\n", c.Name, showBase(c.Base))
			for _, r := range c.Rules {
				fmt.Fprintf(&b, "    %s\n", r.Text)
				for _, s := range r.Steps {
					fmt.Fprintf(&b, "      %s\n", showStep(s))
				}
			}
		}
	}
	for _, o := range rs.Obstacles {
		fmt.Fprintf(&b, "obstacle %s: %s%s\n", o.What, o.Why, showHooks(o))
	}
	return b.String()
}

func showHooks(o firewall.Obstacle) string {
	var s strings.Builder
	if o.Family != 0 {
		s.WriteString(" (" + o.Family.String() + ")")
	}
	for _, h := range o.Hooks {
		s.WriteString(" at " + h.String())
	}
	return s.String()
}

func showBase(b *firewall.Base) string {
	if b == nil {
		return ""
	}
	s := fmt.Sprintf(" %s %s %d %s", b.Type, b.Hook, b.Priority, b.Policy)
	if len(b.Devices) > 0 {
		s += " " + strings.Join(b.Devices, ",")
	}
	return s
}

func showStep(s firewall.Step) string {
	switch s := s.(type) {
	case firewall.Match:
		return showCond(s.Cond)
	case firewall.Verdict:
		return "-> " + s.String()
	case firewall.VerdictMap:
		return showKey(s.Key) + " -> " + showSet(s.Map)
	case firewall.Assign:
		if s.Map != nil {
			return fmt.Sprintf("%s := %s of %s", s.Field, showSet(s.Map), showValue(s.Value))
		}
		return fmt.Sprintf("%s := %s", s.Field, showValue(s.Value))
	case firewall.NAT:
		kind := [...]string{"snat", "dnat", "redirect", "masquerade"}[s.Kind]
		if s.TProxy {
			kind = "tproxy"
		}
		if s.Prefix {
			kind += " prefix"
		}
		if s.Family != 0 {
			kind += " " + s.Family.String()
		}
		return "-> " + kind + showTarget(" addr", s.Addr) + showTarget(" port", s.Port)
	case firewall.NoTrack:
		return "notrack"
	case firewall.Opaque:
		return "OPAQUE " + s.Name
	}
	return fmt.Sprintf("%#v", s)
}

func showTarget(name string, t firewall.NATTarget) string {
	switch {
	case t.Unknown:
		return name + " ?"
	case t.Map != nil:
		return fmt.Sprintf("%s %s of %s at %d", name, showSet(t.Map), showKey(t.Key), t.DataOffset)
	case t.Lo != nil:
		return name + " " + showInterval(firewall.Interval{Lo: t.Lo, Hi: t.Hi})
	}
	return ""
}

func showCond(c firewall.Cond) string {
	list := func(cs []firewall.Cond, op string) string {
		parts := make([]string, len(cs))
		for i, c := range cs {
			parts[i] = showCond(c)
		}
		return "(" + strings.Join(parts, op) + ")"
	}
	switch c := c.(type) {
	case firewall.And:
		return list(c, " and ")
	case firewall.Or:
		return list(c, " or ")
	case firewall.Not:
		return "not " + showCond(c.Of)
	case firewall.Const:
		return fmt.Sprint(bool(c))
	case firewall.Compare:
		parts := make([]string, len(c.In))
		for i, iv := range c.In {
			parts[i] = showInterval(iv)
		}
		return showValue(c.Value) + " in " + strings.Join(parts, ",")
	case firewall.Lookup:
		return showKey(c.Key) + " in " + showSet(c.Set)
	case firewall.Interface:
		return fmt.Sprintf("%sname %q%s", map[bool]string{false: "iif", true: "oif"}[c.Out], c.Name, map[bool]string{true: "*"}[c.Prefix])
	case firewall.InterfaceIndex:
		return fmt.Sprintf("%s %d", map[bool]string{false: "iif", true: "oif"}[c.Out], c.Index)
	case firewall.AddrType:
		s := fmt.Sprintf("%s type %#x", map[bool]string{true: "src", false: "dst"}[c.Source], c.Types)
		return s + map[bool]string{true: " iif"}[c.LimitIn] + map[bool]string{true: " oif"}[c.LimitOut]
	case firewall.ReversePath:
		return "reverse path" + map[bool]string{true: " loose"}[c.Loose] + map[bool]string{true: " accept-local"}[c.AcceptLocal]
	case firewall.Present:
		return fmt.Sprintf("%s reaches %d", c.Header, c.Bits)
	case firewall.State:
		return "state " + flagWords(typeCtState, uint64(c.Mask))
	case firewall.Varies:
		return fmt.Sprintf("varies %q%s", c.Text, map[bool]string{true: " each time"}[c.Stateful])
	case firewall.Undecoded:
		return fmt.Sprintf("UNDECODED %q", c.Text)
	case firewall.Total:
		return "total " + showCond(c.Of)
	case nil:
		return "nil"
	}
	return fmt.Sprintf("%#v", c)
}

func showKey(key []firewall.Value) string {
	parts := make([]string, len(key))
	for i, v := range key {
		parts[i] = showValue(v)
	}
	return strings.Join(parts, " . ")
}

// showValue prints runs of bits: `@th[16:32]`, `^` before inverted ones, constants
// as 0 and 1 times how many.
func showValue(v firewall.Value) string {
	var parts []string
	for i := 0; i < len(v); {
		step := 0
		j := i + 1
		if j < len(v) && v[j].Field == v[i].Field {
			step = int(v[j].Index) - int(v[i].Index)
		}
		for j < len(v) && v[j].Field == v[i].Field && v[j].Invert == v[i].Invert && int(v[j].Index)-int(v[j-1].Index) == step && (v[i].Field == "" || step == 1) {
			j++
		}
		b := v[i]
		switch {
		case b.Field == "" && b.Invert:
			parts = append(parts, fmt.Sprintf("1x%d", j-i))
		case b.Field == "":
			parts = append(parts, fmt.Sprintf("0x%d", j-i))
		default:
			inv := map[bool]string{true: "^"}[b.Invert]
			parts = append(parts, fmt.Sprintf("%s%s[%d:%d]", inv, b.Field, b.Index, int(b.Index)+j-i))
		}
		i = j
	}
	return strings.Join(parts, "+")
}

func showInterval(iv firewall.Interval) string {
	if string(iv.Lo) == string(iv.Hi) {
		return fmt.Sprintf("%x", iv.Lo)
	}
	return fmt.Sprintf("%x-%x", iv.Lo, iv.Hi)
}

func showSet(s *firewall.Set) string {
	if s == nil {
		return "NO SET"
	}
	var parts []string
	for _, e := range s.Elems {
		p := "*"
		if e.Key != nil {
			ivs := make([]string, len(e.Key))
			for i, iv := range e.Key {
				ivs[i] = showInterval(iv)
			}
			p = strings.Join(ivs, ".")
		}
		if e.Negate {
			p = "!" + p
		}
		if e.Cond != nil {
			p += " if " + showCond(e.Cond)
		}
		switch {
		case e.Verdict != nil:
			p += ":" + e.Verdict.String()
		case e.Data != nil:
			p += fmt.Sprintf(":%x", e.Data)
		}
		parts = append(parts, p)
	}
	name := s.Name
	if strings.HasPrefix(name, "__") {
		name = ""
	}
	out := fmt.Sprintf("%s%v{%s}", name, s.Fields, strings.Join(parts, ", "))
	if s.Learns {
		out += " learns"
	}
	if s.Opaque != "" {
		out += " OPAQUE " + s.Opaque
	}
	return out
}
