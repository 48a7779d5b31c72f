package filter

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"
)

// In a log that mixes forms of dates, each date is read as fail2ban reads it,
// which depends on the lines before, also on those that no pattern knows.
func TestDatesAreLearntFromEveryLine(t *testing.T) {
	dir, f := installed(t), startFail2ban(t)
	d, err := Load(os.DirFS(dir), "sshd", nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := Compile(d)
	if err != nil {
		t.Fatal(err)
	}
	settings := Settings{Clock: judgeClock(t), Year: 2026, All: true}
	forms := []string{"02-01-2006 15:04:05", "01-02-2006 15:04:05", "Jan _2 15:04:05", "2006-01-02 15:04:05", "02/01/2006 15:04:05", "Jan 02 2006 15:04:05", "20060102 15:04:05", "none"}
	n, differ := 0, 0
	for seed := range uint64(25) {
		r := rand.New(rand.NewPCG(seed, 5))
		run, err := NewSet(c).NewRun(settings)
		if err != nil {
			t.Fatal(err)
		}
		alone, err := NewSet(c).NewRun(settings) // sees what matters only
		if err != nil {
			t.Fatal(err)
		}
		options := map[string]string{"publickey": []string{"nofail", "invalid", "any", "ignore"}[seed%4], "seed": fmt.Sprint(seed)}
		at := time.Date(2005, 1, 1+r.IntN(20), 1, 2, 3, 0, time.UTC)
		few := forms[:2+r.IntN(len(forms)-1)]
		// In every other log all dates are of the second form, and the first that
		// matters could be of either: only the lines before tell.
		months := seed%2 == 1
		if months {
			at, few = time.Date(2005, 1, 20, 1, 2, 3, 0, time.UTC), forms[1:2]
		}
		for range 40 {
			at = at.Add(time.Duration(r.IntN(60*60*20)) * time.Second)
			line, matters := at.Format(few[r.IntN(len(few))])+" host cron[7]: a job", r.IntN(4) == 0 && (!months || at.Day() < 13)
			if matters {
				line = at.Format(few[r.IntN(len(few))]) + " host sshd[1]: Failed password for root from 192.0.2.1 port 22 ssh2"
			}
			var a struct {
				Err   string
				Found []finding
			}
			f.ask(t, map[string]any{"f": "sshd", "o": options, "l": line}, &a)
			if a.Err != "" {
				t.Fatal(a.Err)
			}
			hits := run.Line([]byte(line))
			if len(hits) != len(a.Found) {
				t.Fatalf("seed %d: %q: %d found, fail2ban finds %d", seed, line, len(hits), len(a.Found))
			}
			for i := range hits {
				n++
				if hits[i].Time != a.Found[i].Time {
					t.Errorf("seed %d: %q is of %v, to fail2ban of %v", seed, line, time.Unix(int64(hits[i].Time), 0).UTC(), time.Unix(int64(a.Found[i].Time), 0).UTC())
				}
			}
			if matters {
				if h := alone.Line([]byte(line)); len(h) > 0 && len(a.Found) > 0 && h[0].Time != a.Found[0].Time {
					differ++
				}
			}
		}
	}
	if n < 50 || differ == 0 {
		t.Errorf("only %d dates compared, %d of which depend on other lines: the test says nothing", n, differ)
	}
	t.Logf("%d dates, %d of which would be read otherwise without the other lines", n, differ)
}
