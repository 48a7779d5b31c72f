package filter

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What a set finds by literals first is what each filter finds by itself, on
// all the lines of all the samples.
func TestSetFindsWhatFiltersFind(t *testing.T) {
	dir := installed(t)
	logs := corpus(t, "fail2ban-logs")
	entries, err := os.ReadDir(logs)
	if err != nil {
		t.Fatal(err)
	}
	all, n := 0, 0
	for _, e := range entries {
		name := e.Name()
		if !isFile(filepath.Join(dir, "filter.d", name+".conf")) {
			continue
		}
		data, err := os.ReadFile(filepath.Join(logs, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, mode := range []string{"", "aggressive"} {
			o := map[string]string{}
			if mode != "" {
				o["mode"] = mode
			}
			d, err := Load(os.DirFS(dir), name, o)
			if err != nil {
				t.Fatal(err)
			}
			f, err := Compile(d)
			if err != nil {
				t.Fatal(err)
			}
			settings := Settings{Clock: judgeClock(t), Year: 2026}
			alone, err := f.NewSession(settings)
			if err != nil {
				t.Fatal(err)
			}
			set := NewSet(f)
			if len(set.Always()) > 0 {
				all++
			}
			run, err := set.NewRun(settings)
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(string(data)) {
				var a, b []string
				for _, m := range alone.Line([]byte(line)) {
					a = append(a, fmt.Sprint(m.Pattern, m.ID, m.Attempts, m.Dated, int64(m.Time)))
				}
				for _, h := range run.Line([]byte(line)) {
					b = append(b, fmt.Sprint(h.Pattern, h.ID, h.Attempts, h.Dated, int64(h.Time)))
				}
				n += len(a)
				if fmt.Sprint(a) != fmt.Sprint(b) {
					t.Errorf("%s %s: alone %q, in a set %q: %s", name, mode, a, b, line)
				}
			}
		}
	}
	t.Logf("%d matches; %d filters look at every line", n, all)
}
