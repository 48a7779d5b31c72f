package guard

import (
	"container/list"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// A table does what a map with a list of its keys does.
func TestTableIsAMapThatForgets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 40).Draw(t, "limit")
		tab := newTable[int](limit)
		values, order := map[netip.Prefix]int{}, list.New() // the least recently touched first
		elements := map[netip.Prefix]*list.Element{}
		forget := func(p netip.Prefix) {
			order.Remove(elements[p])
			delete(values, p)
			delete(elements, p)
		}
		for step := range rapid.IntRange(1, 300).Draw(t, "steps") {
			p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, rapid.Byte().Draw(t, "host") % 64}), 32)
			if rapid.Bool().Draw(t, "v6") {
				p = netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 0, 0, 0, rapid.Byte().Draw(t, "net") % 16}), 64)
			}
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0, 1:
				tab.remove(p)
				if _, ok := values[p]; ok {
					forget(p)
				}
			case 2:
				odd := func(v int) bool { return v%3 == 0 }
				tab.removeIf(func(v *int) bool { return odd(*v) })
				for k, v := range values {
					if odd(v) {
						forget(k)
					}
				}
			default:
				forgotten := -1
				*tab.touch(p, func(v *int) { forgotten = *v }) = step
				if e, ok := elements[p]; ok {
					order.MoveToBack(e)
				} else {
					if len(values) == limit {
						oldest := order.Front().Value.(netip.Prefix)
						if forgotten != values[oldest] {
							t.Fatalf("forgot %d, want %d", forgotten, values[oldest])
						}
						forget(oldest)
					}
					elements[p] = order.PushBack(p)
				}
				values[p] = step
			}
			if tab.size() != len(values) {
				t.Fatalf("%d entries, want %d", tab.size(), len(values))
			}
			for k, v := range values {
				if got, ok := tab.get(k); !ok || got != v {
					t.Fatalf("%s: %d %t, want %d", k, got, ok, v)
				}
			}
			if got, ok := tab.get(p); ok {
				if want, ok := values[p]; !ok || want != got {
					t.Fatalf("%s: %d is there still", p, got)
				}
			}
		}
	})
}

// Windows keep what slices keep, however they are interleaved.
func TestTimesKeepWindows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all times
		windows, want := make([]window, 8), make([][]uint32, 8)
		for range rapid.IntRange(1, 400).Draw(t, "steps") {
			i := rapid.IntRange(0, 7).Draw(t, "window")
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0:
				all.release(&windows[i])
				want[i] = nil
			case 1:
				n := rapid.IntRange(0, len(want[i])).Draw(t, "n")
				all.drop(&windows[i], n)
				want[i] = want[i][n:]
			default:
				at := rapid.Uint32().Draw(t, "at")
				all.insert(&windows[i], at)
				want[i] = append(slices.Clone(want[i]), at)
				slices.Sort(want[i])
			}
			for i := range windows {
				if !slices.Equal(all.of(windows[i]), want[i]) {
					t.Fatalf("window %d: %v, want %v", i, all.of(windows[i]), want[i])
				}
			}
		}
	})
}

// The diary gives back what it was told last, as far as its memory reaches, and
// nothing that was never told.
func TestDiaryForgetsTheOldestFirst(t *testing.T) {
	d := newDiary(4 * pageSize)
	told, lines := map[int]uint64{}, map[int][]string{}
	const sources = 50
	for i := range 20_000 {
		n := i * i % sources
		line := fmt.Sprintf("%d of %d %0*d", i, n, i%300, i)
		told[n] = d.add(told[n], fmt.Sprint("user", i%7), line)
		lines[n] = append(lines[n], line)
		if len(d.pages) > 4 {
			t.Fatalf("%d pages", len(d.pages))
		}
		if i%97 > 0 {
			continue
		}
		for n, at := range told {
			got, users := d.tell(at, 5)
			want := lines[n][len(lines[n])-min(len(got), len(lines[n])):]
			if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b []string) bool { return slices.Equal(a, b) })); diff != "" {
				t.Fatalf("source %d after %d: (-want +got)\n%s", n, i, diff)
			}
			if len(users) > 7 {
				t.Fatalf("%q", users)
			}
		}
	}
	if got, _ := d.tell(told[19_999*19_999%sources], 5); len(got) != 5 {
		t.Errorf("of the newest, %d lines are left", len(got))
	}
}

// However many sources and lines there are, what is kept of them is bounded.
func TestEvidenceIsBounded(t *testing.T) {
	s := New(Rule{After: 3, Within: 100 * time.Hour, For: time.Second, EvidenceSize: 1 << 20})
	for i := range 30_000 {
		a := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		s.Failure(Event{Time: at(int64(i)), Source: netip.PrefixFrom(a, 32), User: "x", Line: fmt.Sprintf("%200d", i)}, at(int64(i)))
	}
	if n := len(s.diary.pages) * pageSize; n > 1<<20 {
		t.Errorf("%d bytes of evidence", n)
	}
	// The newest source has its line still.
	last := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 29_999 >> 8, 29_999 & 255}), 32)
	s.Failure(Event{Time: at(30_000), Source: last, Line: "second"}, at(30_000))
	d, ok := s.Failure(Event{Time: at(30_001), Source: last, Line: "third"}, at(30_001))
	if !ok || len(d.Evidence) != 3 || d.Evidence[2] != "third" || d.Evidence[0] != fmt.Sprintf("%200d", 29_999) {
		t.Errorf("%t %q", ok, d.Evidence)
	}
	// The first one has lost it, but not the count.
	early := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, 0}), 32)
	s.Failure(Event{Time: at(30_000), Source: early, Line: "second"}, at(30_000))
	if d, ok = s.Failure(Event{Time: at(30_001), Source: early, Line: "third"}, at(30_001)); !ok || d.Failures != 3 || len(d.Evidence) != 2 {
		t.Errorf("%t %d %q", ok, d.Failures, d.Evidence)
	}
}
