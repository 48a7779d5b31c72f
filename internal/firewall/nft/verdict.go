package nft

import (
	"fmt"
	"strings"
	"time"

	"sekimori/internal/firewall/acl"
	"sekimori/packet"
)

// verdict is what ends a rule's line.
func (w *writer) verdict(r acl.Rule) string {
	switch {
	case r.Action == acl.Count:
		return "counter"
	case len(r.ExceptUsers)+len(r.ExceptGroups) > 0:
		return "jump " + w.exceptOwners(r)
	case len(r.Users)+len(r.Groups) > 0:
		return w.ownedBy(r) + " " + w.plain(r)
	}
	return w.plain(r)
}

// plain is the verdict without regard to the sending process.
func (w *writer) plain(r acl.Rule) string {
	switch {
	case r.Rate != nil:
		return "goto " + w.limited(r)
	case r.Action == acl.Drop && w.observing:
		return "counter accept"
	case r.Action == acl.Drop:
		return "counter drop"
	}
	return "accept"
}

// ownedBy asks for the sending process.
func (w *writer) ownedBy(r acl.Rule) string {
	var parts []string
	for _, o := range []struct {
		key string
		ids []uint32
	}{{"meta skuid", r.Users}, {"meta skgid", r.Groups}} {
		if len(o.ids) > 0 {
			parts = append(parts, o.key+" "+w.numbers(o.ids))
		}
	}
	return strings.Join(parts, " ")
}

func (w *writer) numbers(ids []uint32) string {
	var out []string
	for _, id := range ids {
		if name := w.owners[id]; name != "" {
			out = append(out, fmt.Sprintf("%q", name))
		} else {
			out = append(out, fmt.Sprint(id))
		}
	}
	return alternatives(out)
}

// exceptOwners makes the chain of a rule that is not about some processes. A packet
// that no process has sent is none of theirs, and an unequal sign would say nothing
// about it: so theirs return, and the rest meets the verdict.
func (w *writer) exceptOwners(r acl.Rule) string {
	name := acl.Word(r.Path) + "-others"
	if w.made[name] {
		return name
	}
	c := w.chain(name)
	c.say(r.Origin)
	if len(r.ExceptUsers) > 0 {
		c.rule("meta skuid", w.numbers(r.ExceptUsers), "return")
	}
	if len(r.ExceptGroups) > 0 {
		c.rule("meta skgid", w.numbers(r.ExceptGroups), "return")
	}
	c.rule(w.ownedBy(r), w.plain(r), comment(r.Origin))
	return name
}

// final is a rule's verdict where only verdicts can stand, as in a map: what is
// dropped is counted by a chain of its own.
func (w *writer) final(r acl.Rule) string {
	if r.Action != acl.Drop {
		return w.verdict(r)
	}
	name := acl.Word(r.Path)
	if w.observing {
		name += "-observed"
	}
	if !w.made[name] {
		c := w.chain(name)
		c.say(r.Origin)
		c.rule(w.plain(r), comment(r.Origin))
	}
	return "goto " + name
}

// limited makes the chain of a rule with a rate, once: what exceeds the rate is
// dropped, the rest accepted.
func (w *writer) limited(r acl.Rule) string {
	rate := r.Rate
	name := rate.Name()
	if w.made[name] {
		return name
	}
	c := w.chain(name)
	c.say(r.Origin)
	unit := map[time.Duration]string{time.Second: "second", time.Minute: "minute", time.Hour: "hour", 24 * time.Hour: "day"}[rate.Per]
	over := fmt.Sprintf("limit rate over %d/%s burst %d packets", rate.Count, unit, rate.Burst)
	if !rate.PerSource {
		c.rule(over, "counter drop", comment(r.Origin))
		c.rule("accept", comment(r.Origin))
		return name
	}
	for _, f := range families {
		set := fmt.Sprintf("rate-%s-%d", name, f)
		fmt.Fprintf(&w.decls, "\tset %s {\n\t\ttype %s\n\t\tsize %d\n\t\tflags dynamic,timeout\n\t\ttimeout %ds\n\t}\n", set, addrType(f), sources, refill(rate))
		key := "ip saddr"
		if f == packet.V6 {
			key = "ip6 saddr & ffff:ffff:ffff:ffff::"
		}
		c.rule(fmt.Sprintf("update @%s { %s %s }", set, key, over), "counter drop", comment(r.Origin))
	}
	c.rule("accept", comment(r.Origin))
	return name
}

// sources is how many sources a limit keeps apart. A new one passes where it is
// full: a limit that could be filled by strangers must not shut anybody out.
const sources = 65535

// refill is the time, in seconds, after which a silent source has its whole burst
// again, so that it need not be remembered.
func refill(r *acl.Rate) int64 {
	t := int64(r.Per/time.Second)*int64(r.Burst)/int64(r.Count) + 1
	return max(t, 60)
}
