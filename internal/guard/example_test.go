package guard_test

import (
	"fmt"
	"net/netip"
	"time"

	"sekimori/internal/guard"
)

func Example() {
	s := guard.New(guard.Rule{After: 3, Within: 10 * time.Minute, For: time.Hour, Repeat: 2, Max: 24 * time.Hour})
	addr := netip.MustParsePrefix("192.0.2.7/32")
	at := time.Date(2026, 8, 14, 10, 0, 0, 0, time.UTC)
	for range 3 {
		at = at.Add(time.Minute)
		if d, ok := s.Failure(guard.Event{Source: addr, Service: "sshd", Time: at, Line: "Failed password for root"}, at); ok {
			fmt.Println(d.Prefix, "until", d.Until.Format(time.TimeOnly)+":", d.Reason)
		}
	}
	// Output:
	// 192.0.2.7/32 until 11:03:00: 3 failures in 2m (limit: 3 in 10m)
}
