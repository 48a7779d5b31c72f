package logdate

import (
	"bufio"
	"encoding/json"
	"io"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"
	"time"

	"sekimori/internal/guard/pyre"
)

// datesScript formats and reads dates by Python's datetime.
const datesScript = `
import sys, json
from datetime import datetime, timezone
for q in sys.stdin:
    q = json.loads(q)
    d = datetime.fromtimestamp(q["t"], timezone.utc)
    s = d.strftime(q["f"])
    back = datetime.strptime(s, q["f"])
    if back.tzinfo is None: back = back.replace(tzinfo=timezone.utc)
    print(json.dumps({"s": s, "t": int(back.timestamp())}), flush=True)
`

// pythonDates asks Python to write a time in a format, and to read it again.
type pythonDates struct {
	in  io.WriteCloser
	out *bufio.Scanner
}

func startDates(t testing.TB) *pythonDates {
	path, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is not installed: nothing to compare with")
	}
	cmd := exec.CommandContext(t.Context(), path, "-c", datesScript)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); cmd.Wait() })
	return &pythonDates{in, bufio.NewScanner(out)}
}

func (p *pythonDates) ask(t testing.TB, sec int64, format string) (text string, back int64) {
	if err := json.NewEncoder(p.in).Encode(map[string]any{"t": sec, "f": format}); err != nil || !p.out.Scan() {
		t.Fatal("python does not answer: ", err)
	}
	var a struct {
		S string
		T int64
	}
	if err := json.Unmarshal(p.out.Bytes(), &a); err != nil {
		t.Fatal(err)
	}
	return a.S, a.T
}

// formats are what the default templates are for, with a year.
var formats = []string{
	"%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S+0000", "%Y/%m/%d %H:%M:%S", "%Y.%m.%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S%z",
	"%a %b %d %H:%M:%S %Y", "%b %d %Y %H:%M:%S", "%d/%m/%Y %H:%M:%S", "%d/%b/%Y:%H:%M:%S %z", "%d-%b-%Y %H:%M:%S",
	"%m/%d/%Y:%H:%M:%S", "<%m/%d/%y@%H:%M:%S>", "%y%m%d %H:%M:%S", "%b %d, %Y %I:%M:%S %p", "%b-%d-%y %H:%M:%S", "%Y%m%dT%H%M%S",
}

func checkDate(t *testing.T, py *pythonDates, d *Detector, sec int64, format string) {
	text, want := py.ask(t, sec, format)
	m, budget := pyre.NewMachine(), 1_000_000
	from, to, ok := d.Find(m, []byte(text+" host x: y"), &budget)
	got, ok2 := d.Read(Clock{Now: time.Unix(sec, 0), Local: time.UTC})
	if !ok || !ok2 || int64(got) != want {
		t.Errorf("%q (%s): found %d-%d %t, read %d %t; Python reads %d", text, format, from, to, ok, int64(got), ok2, want)
	}
}

func fresh(t testing.TB, lib *Library) *Detector {
	d, err := New(nil, Options{Year: 2026, Library: lib})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDatesAreThoseOfPython(t *testing.T) {
	py, r, lib := startDates(t), rand.New(rand.NewPCG(1, 1)), &Library{}
	lo, hi := time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC).Unix(), time.Date(2028, 12, 31, 0, 0, 0, 0, time.UTC).Unix()
	for _, f := range formats {
		// Leap days, and the ends of years, first.
		for _, s := range []string{"2004-02-29T23:59:59Z", "2024-02-29T00:00:00Z", "2023-12-31T23:59:59Z", "2024-01-01T00:00:00Z"} {
			at, err := time.Parse(time.RFC3339, s)
			if err != nil {
				t.Fatal(err)
			}
			checkDate(t, py, fresh(t, lib), at.Unix(), f)
		}
		for range 200 {
			checkDate(t, py, fresh(t, lib), lo+r.Int64N(hi-lo), f)
		}
	}
}

// FuzzDates looks for dates in anything, and reads what Python writes.
func FuzzDates(f *testing.F) {
	py, lib := startDates(f), &Library{}
	f.Add(int64(1_785_729_906), 0, "Aug 3 04:05:06 host")
	f.Add(int64(1_078_099_199), 4, "2026-02-30T25:61:61+99:99")
	f.Add(int64(1_300_000_000), 9, strings.Repeat("1", 200))
	f.Fuzz(func(t *testing.T, sec int64, format int, line string) {
		lo, hi := int64(978307200), int64(1861833600)
		sec = lo + (sec%(hi-lo)+(hi-lo))%(hi-lo)
		d := fresh(t, lib)
		m, budget := pyre.NewMachine(), 1_000_000
		if from, to, ok := d.Find(m, []byte(line), &budget); ok && (from < 0 || to < from || to > len(line)) {
			t.Fatalf("%q: %d-%d", line, from, to)
		}
		d.Read(Clock{Now: time.Unix(sec, 0), Local: time.UTC})
		n := len(formats)
		checkDate(t, py, fresh(t, lib), sec, formats[(format%n+n)%n])
	})
}
