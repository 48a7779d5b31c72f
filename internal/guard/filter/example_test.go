package filter_test

import (
	"fmt"
	"testing/fstest"
	"time"

	"sekimori/internal/guard/filter"
	"sekimori/internal/guard/logdate"
)

func Example() {
	fsys := fstest.MapFS{"filter.d/door.conf": {Data: []byte(`
[Definition]
mode = normal
prefix = ^\s*\S+ doord\[\d+\]:
failregex = %(prefix)s wrong key for <F-USER>.*</F-USER> from <HOST>$
            <more-<mode>>
more-normal =
more-strict = %(prefix)s knocked: <HOST>$
`)}}
	d, err := filter.Load(fsys, "door", map[string]string{"mode": "strict"})
	if err != nil {
		panic(err)
	}
	f, err := filter.Compile(d)
	if err != nil {
		panic(err)
	}
	now := time.Date(2026, 8, 14, 12, 0, 0, 0, time.UTC)
	run, err := filter.NewSet(f).NewRun(filter.Settings{Clock: logdate.Clock{Now: now, Local: time.UTC}})
	if err != nil {
		panic(err)
	}
	for _, line := range []string{
		"Aug 14 10:00:00 host doord[1]: wrong key for x from 203.0.113.9 from 192.0.2.7",
		"Aug 14 10:00:05 host doord[1]: knocked: 2001:db8::7",
		"Aug 14 10:00:09 host doord[1]: opened for alice from 192.0.2.8",
	} {
		for _, h := range run.Line([]byte(line)) {
			fmt.Println(time.Unix(int64(h.Time), 0).UTC().Format(time.TimeOnly), h.Addr, h.User())
		}
	}
	// Output:
	// 10:00:00 192.0.2.7/32 x from 203.0.113.9
	// 10:00:05 2001:db8::7/128
}
