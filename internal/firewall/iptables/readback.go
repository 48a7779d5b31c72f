package iptables

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"sekimori/internal/firewall"
	"sekimori/internal/firewall/acl"
)

// Read reads what [Write] has made: the text for iptables-restore, and that for
// ipset where there is one. Limits are the limiters by the text of the
// [firewall.Varies] that stands for them.
//
// The name of a user or group is read as the number that stands for it
// ([acl.NameID]). A chain with a rate must have exactly the two rules of a limiter that drops what
// exceeds it; and a list of recent belongs to one chain alone. A limit in any other
// place is none that could be compared with a policy's, and is not among Limits.
func Read(family firewall.Family, files []acl.File) (*firewall.Ruleset, map[string]acl.Limit, error) {
	p := newParser(family)
	for _, f := range files[1:] {
		if !strings.HasSuffix(f.Name, ".ipset") {
			continue
		}
		sets, err := ParseSets(f.Text)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", f.Name, err)
		}
		p.sets = sets
	}
	rs, err := p.parse(ownerName.ReplaceAllFunc(files[0].Text, numbered))
	if err != nil {
		return nil, nil, err
	}
	for _, t := range rs.Tables {
		if t.Name == "nat" || t.Name == "mangle" {
			inline(t)
		}
	}
	limits := map[string]acl.Limit{}
	lists := map[string]bool{}
	for _, t := range rs.Tables {
		for _, c := range t.Chains {
			l, ok := limiter(family, c, lists)
			if !ok {
				continue
			}
			// The limit of a chain is not that of another with the same numbers.
			text := fmt.Sprintf("the limit of chain %s: %s", c.Name, l.Rate)
			for i, s := range c.Rules[0].Steps {
				if m, ok := s.(firewall.Match); ok {
					if _, ok := m.Cond.(firewall.Varies); ok {
						c.Rules[0].Steps[i] = firewall.Match{Cond: firewall.Varies{Text: text, Stateful: true}}
						limits[text] = l
					}
				}
			}
		}
	}
	return rs, limits, nil
}

// ownerName finds users and groups by name.
var ownerName = regexp.MustCompile(`--[ug]id-owner [A-Za-z_][A-Za-z0-9_.-]*\$?`)

// numbered puts the number in the place of a name that stands for it in lists.
func numbered(option []byte) []byte {
	what, name, _ := strings.Cut(string(option), " ")
	return fmt.Appendf(nil, "%s %d", what, acl.NameID(name))
}

// inline puts the rules of our chains in the place of the jumps that lead to them,
// where a chain of the table itself has nothing but such a jump: what the rules do
// is the same, and it is in sight.
func inline(t *firewall.Table) {
	for _, c := range t.Chains {
		if c.Base == nil || len(c.Rules) != 1 || len(c.Rules[0].Steps) != 1 {
			continue
		}
		v, ok := c.Rules[0].Steps[0].(firewall.Verdict)
		if !ok || v.Kind != firewall.Jump {
			continue
		}
		if to := t.Chain(v.Chain); to != nil {
			c.Rules = nil
			for _, r := range to.Rules {
				one := *r
				one.Chain, one.Number = c, len(c.Rules)+1
				c.Rules = append(c.Rules, &one)
			}
		}
	}
}

// The rules of a limiter.
const noteText = `(?: -m comment --comment "[^"\\]*")?`

var (
	limitText  = regexp.MustCompile(`^-A \S+ -m limit --limit (\d+)/(sec|min|hour|day) --limit-burst (\d+)` + noteText + ` -j (?:RETURN|ACCEPT)$`)
	overText   = regexp.MustCompile(`^-A \S+` + noteText + ` -j DROP$`)
	hitsText   = regexp.MustCompile(`^-A \S+ -m recent --rcheck --seconds (\d+) --hitcount (\d+) --name (\S+) --mask (\S+) --rsource` + noteText + ` -j DROP$`)
	withinText = regexp.MustCompile(`^-A \S+ -m recent --set --name (\S+) --mask (\S+) --rsource` + noteText + ` -j (?:RETURN|ACCEPT)$`)
)

// sourceMask is what counts as one source.
func sourceMask(family firewall.Family) string {
	if family == firewall.IPv6 {
		return "ffff:ffff:ffff:ffff::"
	}
	return "255.255.255.255"
}

// limiter recognizes the chain of a rate.
func limiter(family firewall.Family, c *firewall.Chain, lists map[string]bool) (acl.Limit, bool) {
	name, ok := strings.CutPrefix(c.Name, prefix)
	if !ok || len(c.Rules) != 2 {
		return acl.Limit{}, false
	}
	first, second := c.Rules[0].Text, c.Rules[1].Text
	if m := limitText.FindStringSubmatch(first); m != nil && overText.MatchString(second) {
		count, _ := strconv.Atoi(m[1])
		burst, _ := strconv.Atoi(m[3])
		per := map[string]time.Duration{"sec": time.Second, "min": time.Minute, "hour": time.Hour, "day": 24 * time.Hour}[m[2]]
		return acl.Limit{Name: name, Rate: acl.Rate{Count: count, Per: per, Burst: burst}}, true
	}
	m, n := hitsText.FindStringSubmatch(first), withinText.FindStringSubmatch(second)
	if m == nil || n == nil || m[3] != n[1] || m[4] != n[2] || m[4] != sourceMask(family) || lists[m[3]] {
		return acl.Limit{}, false
	}
	lists[m[3]] = true
	seconds, _ := strconv.Atoi(m[1])
	hits, _ := strconv.Atoi(m[2])
	per := time.Duration(seconds) * time.Second
	return acl.Limit{Name: name, Rate: acl.Rate{Count: hits, Per: per, Burst: hits, PerSource: true}, Exceeded: true}, true
}
