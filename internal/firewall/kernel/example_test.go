package kernel

import (
	"strings"
	"testing"

	"sekimori/internal/firewall"
)

// TestDocExample is the example of the package's documentation.
func TestDocExample(t *testing.T) {
	reg := be(1)
	got := decodeRule(firewall.IPv4,
		ex("meta", nest(1, reg), nest(2, be(16))),
		ex("cmp", nest(1, reg), nest(2, be(0)), value(3, 6)),
		ex("payload", nest(1, reg), nest(2, be(1)), nest(3, be(12)), nest(4, be(1))),
		ex("cmp", nest(1, reg), nest(2, be(0)), value(3, 10)),
		ex("payload", nest(1, reg), nest(2, be(2)), nest(3, be(2)), nest(4, be(2))),
		ex("cmp", nest(1, reg), nest(2, be(5)), value(3, 0, 22)),
		ex("cmp", nest(1, reg), nest(2, be(3)), value(3, 0, 23)),
		ex("immediate", nest(1, be(0)), nest(2, nest(2, nest(1, be(1))))))
	want := strings.Join([]string{
		"ip saddr 10.0.0.0/8 tcp dport 22-23 accept",
		"meta l4proto[0:8] in 06",
		"@nh[96:104] in 0a",
		"@th[16:32] in 0016-0017",
		"-> accept",
	}, "\n")
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
