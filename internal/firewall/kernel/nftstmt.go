package kernel

import (
	"errors"
	"fmt"
	"strings"

	"sekimori/internal/firewall"
)

// queue hands the packet to a program.
func (r *rule) queue(data []byte) error {
	a := read(data, types(1, 2, 3, 4)) // number, total, flags, register
	flags := uint16(0)
	if a.has(3) {
		v, err := a.u16(3)
		flags = take(&a, v, err)
	}
	detail := ""
	switch {
	case a.has(4):
		v, err := r.source(a.num(4), 2)
		if err != nil || a.err != nil {
			return errors.Join(err, a.err)
		}
		detail = "to " + r.valueText(v, typePort, true)
	default:
		num, err := a.u16(1)
		num = take(&a, num, err)
		total := uint16(1)
		if a.has(2) {
			v, err := a.u16(2)
			total = take(&a, v, err)
		}
		detail = fmt.Sprintf("to %d", num)
		if total > 1 {
			detail += fmt.Sprintf("-%d", num+total-1)
		}
	}
	if a.err == nil && flags > 3 {
		return fmt.Errorf("flags %#x are not known", flags)
	}
	if a.err != nil {
		return a.err
	}
	opts := []string{"", "flags bypass ", "flags fanout ", "flags bypass,fanout "}[flags]
	r.emit(firewall.Verdict{Kind: firewall.Queue, Detail: opts + detail})
	r.say("queue " + opts + detail)
	return nil
}

// log writes a line somewhere.
func (r *rule) log(data []byte) error {
	a := read(data, types(1, 2, 3, 4, 5, 6)) // group, prefix, snaplen, threshold, level, flags
	text := "log"
	if a.has(2) {
		text += fmt.Sprintf(" prefix %q", a.text(2))
	}
	if a.has(1) {
		v, err := a.u16(1)
		text += fmt.Sprintf(" group %d", take(&a, v, err))
	}
	if n := a.numOr(3, 0); n != 0 {
		text += fmt.Sprintf(" snaplen %d", n)
	}
	if a.has(4) {
		v, err := a.u16(4)
		text += fmt.Sprintf(" queue-threshold %d", take(&a, v, err))
	}
	levels := []string{"emerg", "alert", "crit", "err", "warn", "notice", "info", "debug", "audit"}
	if l := a.numOr(5, 4); l != 4 && int(l) < len(levels) {
		text += " level " + levels[l]
	}
	if f := a.numOr(6, 0); f != 0 {
		text += fmt.Sprintf(" flags %s", logFlags(f))
	}
	if a.err != nil {
		return a.err
	}
	r.settle(nil)
	r.say(text)
	r.text.frags[len(r.text.frags)-1].save = saveLog(&a)
	return nil
}

func logFlags(f uint32) string {
	if f == 0x2f {
		return "all"
	}
	var groups []string
	switch f & 3 {
	case 3:
		groups = append(groups, "tcp sequence,options")
	case 1:
		groups = append(groups, "tcp sequence")
	case 2:
		groups = append(groups, "tcp options")
	}
	for _, g := range []struct {
		bit  uint32
		name string
	}{{4, "ip options"}, {8, "skuid"}, {32, "ether"}} {
		if f&g.bit != 0 {
			groups = append(groups, g.name)
		}
	}
	return strings.Join(groups, " flags ")
}

// dup sends a copy elsewhere and lets the packet go on.
func (r *rule) dup(data []byte) error {
	a := read(data, types(1, 2)) // address, device
	text := "dup"
	if a.has(1) {
		n := 4
		if r.text.l3 == firewall.IPv6 {
			n = 16
		}
		v, err := r.source(a.num(1), n)
		if err != nil {
			return err
		}
		text += " to " + r.valueText(v, map[int]dataType{4: typeIPv4, 16: typeIPv6}[n], false)
	}
	if a.has(2) {
		v, err := r.source(a.num(2), 4)
		if err != nil {
			return err
		}
		text += map[bool]string{true: " device ", false: " to "}[a.has(1)] + r.valueText(v, typeIfindex, true)
	}
	if a.err != nil {
		return a.err
	}
	r.settle(nil)
	r.say(text)
	return nil
}

// fwd takes a packet out of its way, to another interface: it may arrive somewhere
// that is not known here.
func (r *rule) fwd(data []byte) error {
	a := read(data, types(1, 2, 3)) // device, address, family
	v, err := r.source(a.num(1), 4)
	if err != nil || a.err != nil {
		return errors.Join(err, a.err)
	}
	text := "fwd to " + r.valueText(v, typeIfindex, true)
	r.opaque(text, nil)
	r.say(text)
	return nil
}

// synproxy answers in the name of a server and opens a connection of its own to it.
func (r *rule) synproxy(data []byte) error {
	a := read(data, types(1, 2, 3)) // mss, wscale, flags
	var text strings.Builder
	text.WriteString("synproxy")
	if a.has(1) {
		v, err := a.u16(1)
		text.WriteString(fmt.Sprintf(" mss %d", take(&a, v, err)))
	}
	if a.has(2) {
		text.WriteString(fmt.Sprintf(" wscale %d", a.byte(2)))
	}
	for i, word := range []string{" mss", " wscale", " sack-perm", " timestamp"} {
		if f := a.flags(3, 31); i > 1 && f>>i&1 == 1 {
			text.WriteString(word)
		}
	}
	if a.err != nil {
		return a.err
	}
	r.opaque(text.String(), data)
	r.say(text.String())
	return nil
}

// flowOffload lets the rest of a connection go round the rules. It ends the rule
// for what cannot be offloaded.
func (r *rule) flowOffload(data []byte) error {
	a := read(data, types(1)) // table
	name := a.text(1)
	if a.err != nil {
		return a.err
	}
	text := "flow add @" + name
	r.match(firewall.Varies{Text: text, Stateful: true})
	r.n.obstacle(firewall.Obstacle{
		What:   fmt.Sprintf("flowtable %q of table %s", name, r.t.Place()),
		Why:    "packets of the connections in it are forwarded without asking any rule",
		Family: ipFamily(r.t.Family),
		Hooks:  []firewall.Hook{firewall.Forward},
	})
	r.say(text)
	return nil
}
