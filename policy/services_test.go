package policy_test

import (
	"slices"
	"strings"
	"testing"

	"sekimori/policy"
)

// TestServiceTable checks that every name stands for its ports, in order.
func TestServiceTable(t *testing.T) {
	var names []string
	for n := range policy.Names() {
		names = append(names, n[0])
		var want []policy.Match
		for p := range strings.FieldsSeq(n[1]) {
			want = append(want, policy.Service(p).Matches()...)
		}
		if got := policy.Service(n[0]).Matches(); len(got) == 0 || !slices.Equal(got, want) {
			t.Errorf("%s: %v, not %v", n[0], got, want)
		}
	}
	if !slices.IsSorted(names) || len(slices.Compact(slices.Clone(names))) != len(names) || len(names) < 60 {
		t.Errorf("%d names, not in order or not once each: %v", len(names), names)
	}
	for _, m := range policy.Service("https").Matches() {
		if m.Protocol != 6 || m.Lo != 443 || m.Hi != 443 {
			t.Errorf("https has %v; QUIC is let in only if http3 is asked for", m)
		}
	}
}
