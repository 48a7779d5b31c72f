package guard

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// A Rule says when a source is refused.
type Rule struct {
	After  int           // failures; at least 1
	Within time.Duration // of so much time
	For    time.Duration // the first ban; Forever for one without an end
	Repeat float64       // how many times longer each further ban is; 1 if it is less
	Max    time.Duration // no ban is longer; 0: no limit
	// Forget is after how long without a ban a source begins anew; 0 means four
	// times the ban, and a day at least.
	Forget time.Duration
	// Never are the protected prefixes.
	Never []netip.Prefix
	// MaxSources bounds how many sources are remembered; 0 means 100,000.
	MaxSources int
	// Evidence is how many lines a decision carries; 0 means 5, less than 0 none.
	Evidence int
	// EvidenceSize bounds the memory, in bytes, for the lines and names of all
	// sources together, of which the oldest are forgotten first; 0 means 4 MiB,
	// which is about 40,000 failures.
	EvidenceSize int
	// Estimate counts as fail2ban does.
	Estimate bool
}

// Forever is the length of a ban that does not end.
const Forever time.Duration = 1<<63 - 1

const (
	defaultSources  = 100_000
	defaultEvidence = 5
	defaultSize     = 4 << 20
	// ip6Bits is the width by which IPv6 sources are counted and refused.
	ip6Bits = 64
)

// withDefaults returns r with what it leaves open filled in.
func (r Rule) withDefaults() Rule {
	r.After = max(r.After, 1)
	r.Repeat = max(r.Repeat, 1)
	if r.MaxSources <= 0 {
		r.MaxSources = defaultSources
	}
	if r.Evidence == 0 {
		r.Evidence = defaultEvidence
	}
	if r.EvidenceSize <= 0 {
		r.EvidenceSize = defaultSize
	}
	return r
}

// length returns how long the ban is that follows so many earlier ones.
func (r *Rule) length(earlier int) time.Duration {
	d := float64(r.For)
	for range min(earlier, 64) {
		d *= r.Repeat
	}
	limit := float64(Forever)
	if r.Max > 0 && r.For != Forever {
		limit = float64(r.Max)
	}
	if d >= limit {
		if r.Max > 0 && r.For != Forever {
			return r.Max
		}
		return Forever
	}
	return time.Duration(d)
}

// forget returns after how long a ban is no longer held against its source.
func (r *Rule) forget(ban time.Duration) time.Duration {
	if r.Forget > 0 {
		return r.Forget
	}
	if ban > Forever/8 {
		return Forever / 2
	}
	return max(4*ban, 24*time.Hour)
}

// ParseAfter reads "5 failures in 10m" or "5 in 10m".
func ParseAfter(s string) (after int, within time.Duration, err error) {
	f := strings.Fields(s)
	if len(f) == 4 && (f[1] == "failures" || f[1] == "failure") {
		f = append(f[:1], f[2:]...)
	}
	if len(f) == 3 && f[1] == "in" {
		if after, err = strconv.Atoi(f[0]); err == nil && after > 0 && after <= 1_000_000 {
			if within, err = ParseDuration(f[2]); err == nil && within > 0 {
				return after, within, nil
			}
		}
	}
	return 0, 0, fmt.Errorf("%q: want something like \"5 failures in 10m\"", s)
}

// ParseRepeat reads "x2", "x2 up to 7d" or "".
func ParseRepeat(s string) (factor float64, limit time.Duration, err error) {
	f := strings.Fields(s)
	switch {
	case len(f) == 0:
		return 1, 0, nil
	case len(f) == 4 && f[1] == "up" && f[2] == "to":
		if limit, err = ParseDuration(f[3]); err != nil {
			return 0, 0, err
		}
		if limit <= 0 {
			return 0, 0, fmt.Errorf("%q: up to no time at all", s)
		}
	case len(f) != 1:
		return 0, 0, fmt.Errorf("%q: want something like \"x2 up to 7d\"", s)
	}
	n, ok := strings.CutPrefix(f[0], "x")
	if factor, err = strconv.ParseFloat(n, 64); !ok || err != nil || factor < 1 || factor > 1000 {
		return 0, 0, fmt.Errorf("%q: want something like \"x2 up to 7d\"", s)
	}
	return factor, limit, nil
}

// units are those of fail2ban, by their spelling; sizes in seconds.
var units = [...]struct {
	names   string
	seconds float64
}{
	{" s sec secs second seconds ", 1},
	{" m min mins minute minutes ", 60},
	{" h hour hours ", 3600},
	{" d day days ", 86400},
	{" w week weeks ", 7 * 86400},
	{" mo month months ", 365.25 * 86400 / 12},
	{" y year years ", 365.25 * 86400},
}

// ParseDuration reads a length of time as jail.conf has it: seconds, or numbers
// with units as in "1d12h", "10m" and "1 hour 30 min". A negative number and
// "forever" mean Forever.
func ParseDuration(s string) (time.Duration, error) {
	in := strings.TrimSpace(strings.ToLower(s))
	if in == "forever" {
		return Forever, nil
	}
	if n, err := strconv.ParseFloat(in, 64); err == nil {
		if n < 0 {
			return Forever, nil
		}
		return seconds(n)
	}
	total, rest := 0.0, in
	for rest = strings.TrimLeft(rest, " "); rest != ""; rest = strings.TrimLeft(rest, " ") {
		i := 0
		for i < len(rest) && (rest[i] >= '0' && rest[i] <= '9' || rest[i] == '.') {
			i++
		}
		n, err := strconv.ParseFloat(rest[:i], 64)
		rest = strings.TrimLeft(rest[i:], " ")
		j := 0
		for j < len(rest) && rest[j] >= 'a' && rest[j] <= 'z' {
			j++
		}
		size := unit(rest[:j])
		if err != nil || size == 0 {
			return 0, fmt.Errorf("%q: want a length of time such as 10m, 1h or 7d", s)
		}
		total += n * size
		rest = rest[j:]
	}
	if in == "" {
		return 0, fmt.Errorf("%q: want a length of time such as 10m, 1h or 7d", s)
	}
	return seconds(total)
}

func unit(name string) float64 {
	if name == "" {
		return 0
	}
	for _, u := range units {
		if strings.Contains(u.names, " "+name+" ") {
			return u.seconds
		}
	}
	return 0
}

func seconds(n float64) (time.Duration, error) {
	if n > 1e9 {
		return 0, fmt.Errorf("%g seconds are too long", n)
	}
	return time.Duration(n * float64(time.Second)), nil
}

// Words writes a length of time for people: 90m0s is "1h30m".
func Words(d time.Duration) string {
	if d == Forever {
		return "forever"
	}
	if d < time.Second {
		return d.String()
	}
	var b strings.Builder
	d = d.Round(time.Second)
	for _, u := range [...]struct {
		size time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}} {
		if n := d / u.size; n > 0 {
			fmt.Fprintf(&b, "%d%s", n, u.name)
			d -= n * u.size
		}
	}
	return b.String()
}
