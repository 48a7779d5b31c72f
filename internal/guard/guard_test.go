package guard

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestRuleExample(t *testing.T) {
	s := New(Rule{After: 3, Within: 10 * time.Minute, For: time.Hour, Repeat: 2, Max: 3 * time.Hour})
	start := time.Date(2026, 8, 14, 10, 0, 0, 0, time.UTC)
	src := netip.MustParsePrefix("192.0.2.7/32")
	var got []string
	for _, minutes := range []int{0, 4, 9, 20, 30, 80, 81, 82, 300, 301, 302, 900, 901, 902} {
		at := start.Add(time.Duration(minutes) * time.Minute)
		if d, ok := s.Failure(Event{Time: at, Source: src, Line: fmt.Sprint("failure at ", minutes)}, at); ok {
			got = append(got, fmt.Sprintf("%d: %s for %s, %d earlier, evidence %q", minutes, d.Prefix, Words(d.For), d.Earlier, d.Evidence[0]))
		}
	}
	want := []string{
		`9: 192.0.2.7/32 for 1h, 0 earlier, evidence "failure at 0"`,
		`82: 192.0.2.7/32 for 2h, 1 earlier, evidence "failure at 80"`,
		`302: 192.0.2.7/32 for 3h, 2 earlier, evidence "failure at 300"`,
		`902: 192.0.2.7/32 for 3h, 3 earlier, evidence "failure at 900"`,
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got\n%q, want\n%q", got, want)
	}
}

func TestSources(t *testing.T) {
	start := time.Unix(1_800_000_000, 0)
	for _, c := range []struct {
		name    string
		never   string
		sources []string
		want    string // the prefix refused; "protected" or ""
	}{
		{"IPv4 one by one", "", []string{"192.0.2.1", "192.0.2.2"}, ""},
		{"IPv4 twice", "", []string{"192.0.2.1", "192.0.2.1"}, "192.0.2.1/32"},
		{"IPv6 by /64", "", []string{"2001:db8:5::1", "2001:db8:5::2"}, "2001:db8:5::/64"},
		{"IPv6 of two networks", "", []string{"2001:db8:5::1", "2001:db8:6::1"}, ""},
		{"mapped IPv4", "", []string{"::ffff:192.0.2.1", "192.0.2.1"}, "192.0.2.1/32"},
		{"a network too wide", "", []string{"0.0.0.0/0", "0.0.0.0/0"}, "0.0.0.0/24"},
		{"a protected part of a network", "192.0.2.9/32", []string{"192.0.2.0/24", "192.0.2.0/24"}, "protected"},
		{"protected", "192.0.2.0/24", []string{"192.0.2.1", "192.0.2.1"}, "protected"},
		{"protected, mapped", "192.0.2.0/24", []string{"::ffff:192.0.2.1", "::ffff:192.0.2.1"}, "protected"},
		{"a neighbour is protected", "2001:db8:5::9/128", []string{"2001:db8:5::1", "2001:db8:5::2"}, "2001:db8:5::2/128"},
		{"its network is protected", "2001:db8::/32", []string{"2001:db8:5::1", "2001:db8:5::2"}, "protected"},
	} {
		r := Rule{After: 2, Within: time.Hour, For: time.Hour}
		if c.never != "" {
			r.Never = []netip.Prefix{netip.MustParsePrefix(c.never)}
		}
		s, got := New(r), ""
		for _, a := range c.sources {
			src, err := netip.ParsePrefix(a)
			if err != nil {
				addr := netip.MustParseAddr(a)
				src = netip.PrefixFrom(addr, addr.BitLen())
			}
			if d, ok := s.Failure(Event{Time: start, Source: src}, start); ok {
				if got = d.Prefix.String(); !d.Refused {
					got = "protected"
				}
			}
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// The window says what counting all times says, whatever the order of events.
func TestWindowCountsExactly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		after := rapid.IntRange(1, 6).Draw(t, "after")
		within := rapid.Int64Range(1, 50).Draw(t, "within")
		s := New(Rule{After: after, Within: time.Duration(within) * time.Second, For: time.Second})
		src := netip.MustParsePrefix("192.0.2.1/32")
		var all []int64 // since the last decision
		base, bannedUntil := int64(1_800_000_000), int64(0)
		newest := base
		for range rapid.IntRange(1, 60).Draw(t, "n") {
			at := newest + rapid.Int64Range(-10, 30).Draw(t, "step")
			newest = max(newest, at)
			tm := time.Unix(at, 0)
			_, got := s.Failure(Event{Time: tm, Source: src}, tm)
			want := false
			if at > bannedUntil {
				late := int64(0)
				for _, x := range all {
					late = max(late, x)
				}
				if len(all) == 0 || at > late-within {
					all = append(all, at)
					n := 0
					for _, x := range all {
						if x > max(late, at)-within {
							n++
						}
					}
					want = n >= after
				}
			}
			if got != want {
				t.Fatalf("at %d: decided %t, want %t (times %v)", at-base, got, want, all)
			}
			if want {
				all, bannedUntil = nil, at+1
			}
		}
	})
}

func TestStateIsBounded(t *testing.T) {
	s := New(Rule{After: 2, Within: time.Hour, For: time.Hour, MaxSources: 1000})
	at := time.Unix(1_800_000_000, 0)
	for i := range 50_000 {
		a := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		s.Failure(Event{Time: at, Source: netip.PrefixFrom(a, 32)}, at)
	}
	if s.Sources() != 1000 || s.sources.used > 1001 {
		t.Errorf("%d sources in %d slots", s.Sources(), s.sources.used)
	}
}

func at(seconds int64) time.Time { return time.Unix(1_800_000_000+seconds, 0) }

func TestParse(t *testing.T) {
	for in, want := range map[string]time.Duration{
		"600": 10 * time.Minute, "10m": 10 * time.Minute, "1d12h": 36 * time.Hour, "1 hour 30 min": 90 * time.Minute, "-1": Forever, "1w": 168 * time.Hour,
	} {
		if got, err := ParseDuration(in); err != nil || got != want {
			t.Errorf("%q: %v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "x", "10x", "5 m m", "1e30"} {
		if got, err := ParseDuration(in); err == nil {
			t.Errorf("%q is read as %v", in, got)
		}
	}
	if n, w, err := ParseAfter("5 failures in 10m"); n != 5 || w != 10*time.Minute || err != nil {
		t.Errorf("%d %v %v", n, w, err)
	}
	if f, m, err := ParseRepeat("x2 up to 7d"); f != 2 || m != 168*time.Hour || err != nil {
		t.Errorf("%g %v %v", f, m, err)
	}
	if got := Words(36*time.Hour + 5*time.Second); got != "1d12h5s" {
		t.Errorf("%q", got)
	}
}
