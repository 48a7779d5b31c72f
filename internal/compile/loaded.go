package compile

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"sekimori/internal/firewall"
	"sekimori/internal/firewall/acl"
	"sekimori/packet"
	"sekimori/policy"
)

// Prove compares what was read back from somewhere else, such as the kernel that a
// compiled text was loaded into, with the policy, as Compile does with the text.
func Prove(target Target, reading Reading, r *Result, f *policy.File, lists Lists, host policy.Host) error {
	for _, b := range backends() {
		if b.target == target {
			b.read = func([]acl.File) (Reading, error) { return reading, nil }
			_, err := prove(b, nil, f, lists, host, r.List, !r.Proof.Equivalent)
			return err
		}
	}
	return fmt.Errorf("unknown target %q", target)
}

// Reprove proves files that Compile has returned, or that somebody has changed since.
func Reprove(target Target, files []acl.File, r *Result, f *policy.File, lists Lists, host policy.Host) error {
	for _, b := range backends() {
		if b.target == target {
			_, err := prove(b, files, f, lists, host, r.List, !r.Proof.Equivalent)
			return err
		}
	}
	return fmt.Errorf("unknown target %q", target)
}

// Loaded is the reading of what a kernel holds after nft has loaded a compiled
// text, and nothing else.
func Loaded(rs *firewall.Ruleset) Reading { return loadedReading{rulesetReading{rs: rs}} }

type loadedReading struct{ rulesetReading }

func (r loadedReading) withForeign() Reading {
	r.foreign = true
	return r
}

func (r loadedReading) Judge(family packet.Family, interfaces []string, maxNodes int) Judge {
	return loadedJudge{r.rulesetReading.Judge(family, interfaces, maxNodes).(rulesetJudge)}
}

type loadedJudge struct{ rulesetJudge }

// A limiter is known by the kernel's text of its rule, and the chain behind which
// it stands. [@nh,64,64 0/64] are the first 64 bits of an IPv6 source, the rest 0.
var (
	perSourceLimit = regexp.MustCompile(`^update @rate-(.*)-[46] \{ (?:ip saddr|\[@nh,64,64 0/64\]) limit rate over (\d+)/(second|minute|hour|day)(?: burst (\d+) packets)? \}$`)
	wholeLimit     = regexp.MustCompile(`^limit rate over (\d+)/(second|minute|hour|day)(?: burst (\d+) packets)?$`)
	placeOfLimit   = regexp.MustCompile(`\((?:.* > )?inet sekimori ([^ :]+): `)
)

// Limit reads the limiter out of the unknown.
func (j loadedJudge) Limit(unknown string) (acl.Limit, bool) {
	text, undecoded := j.e.Reason(unknown)
	if undecoded {
		return acl.Limit{}, false
	}
	if m := perSourceLimit.FindStringSubmatch(text); m != nil {
		return limitOf(m[1], m[2:], true), true
	}
	m := wholeLimit.FindStringSubmatch(text)
	place := placeOfLimit.FindStringSubmatch(strings.TrimPrefix(unknown, "~ "+text+" "))
	if m == nil || place == nil {
		return acl.Limit{}, false
	}
	return limitOf(place[1], m[1:], false), true
}

// limitOf makes a limit of count, unit and burst; a burst that is not there is 5
// (nft(8), limit statement).
func limitOf(name string, parts []string, perSource bool) acl.Limit {
	l := acl.Limit{Name: name, Exceeded: true}
	l.PerSource = perSource
	l.Count, _ = strconv.Atoi(parts[0])
	l.Per = map[string]time.Duration{"second": time.Second, "minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour}[parts[1]]
	l.Burst = 5
	if parts[2] != "" {
		l.Burst, _ = strconv.Atoi(parts[2])
	}
	return l
}
