package filter

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// oracleScript drives fail2ban's own classes: it loads filters as its server
// does, runs lines through them, and reports what they find.
const oracleScript = `
import sys, json, os, time
os.environ["TZ"] = "CET-01CEST-02,M3.5.0,M10.5.0"
time.tzset()
sys.path.insert(0, sys.argv[1])
import logging
logging.disable(logging.CRITICAL)
from fail2ban.server.mytime import MyTime
MyTime.setAlternateNow(1124013600)
MyTime.setTime(1124013600)
from fail2ban.server.filter import Filter
from fail2ban.client.filterreader import FilterReader
made, conf = {}, sys.argv[2]

def make(name, opts):
    r = FilterReader(name, "jail", dict(opts), basedir=conf)
    if not r.read(): raise ValueError("cannot read")
    r.getOptions({})
    out = {"failregex": [], "ignoreregex": [], "datepattern": None, "prefregex": None, "maxlines": 1}
    f = Filter(None)
    f.returnRawHost, f.checkAllRegex, f.checkFindTime, f.active = True, True, False, True
    for c in r.convert():
        vals = c[3] if c[0] == "multi-set" else [c[3]]
        for v in vals:
            k = c[2]
            if k == "prefregex": f.prefRegex = v; out[k] = v
            elif k == "addfailregex": f.addFailRegex(v); out["failregex"].append(v)
            elif k == "addignoreregex": f.addIgnoreRegex(v); out["ignoreregex"].append(v)
            elif k == "maxlines": f.setMaxLines(v); out[k] = int(v)
            elif k == "datepattern": f.setDatePattern(v); out[k] = v
    return f, out

for q in sys.stdin:
    q = json.loads(q)
    key = q["f"] + json.dumps(q["o"], sort_keys=True)
    try:
        if key not in made: made[key] = make(q["f"], q["o"])
    except Exception as e:
        print(json.dumps({"err": str(e)}), flush=True); continue
    f, d = made[key]
    if "l" not in q:
        print(json.dumps(d), flush=True); continue
    line = q["l"]
    if q.get("j"): got = f.processLine(("", "2005-08-14T10:00:00", line), 1124013600)
    else: got = f.processLine(line)
    out = []
    for i, fid, t, fail in got:
        if fid is None or fail.get("nofail"): continue
        out.append({"pattern": i, "id": str(fid), "time": t, "user": fail.get("user") or "",
                    "users": sorted(fail.get("users") or []), "attempts": len(fail.get("matches") or [])})
    print(json.dumps({"found": out}), flush=True)
`

// everything makes the comparison of definitions complete: half a minute more.
var everything = flag.Bool("everything", false, "compare the definitions of all modes with all types of logs")

// A fail2ban is a running interpreter with the classes of an installed package.
type fail2ban struct {
	in  io.WriteCloser
	out *bufio.Reader
}

func startFail2ban(t testing.TB) *fail2ban {
	dir := installed(t)
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is not installed")
	}
	lib := filepath.Dir(packageFiles(dir))
	if _, err := os.Stat(lib + "/fail2ban/server/filter.py"); err != nil {
		t.Skip("fail2ban's Python classes are not installed")
	}
	cmd := exec.CommandContext(t.Context(), python, "-c", oracleScript, lib, dir)
	cmd.Stderr = os.Stderr
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
	t.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	return &fail2ban{in, bufio.NewReaderSize(out, 1<<20)}
}

func (f *fail2ban) ask(t testing.TB, q map[string]any, answer any) {
	b, err := json.Marshal(q)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.in.Write(append(b, '\n')); err != nil {
		t.Fatal(err)
	}
	line, err := f.out.ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(line, answer); err != nil {
		t.Fatal(err)
	}
}

// A finding is what both sides say about a failure.
type finding struct {
	Pattern  int      `json:"pattern"`
	ID       string   `json:"id"`
	Time     float64  `json:"time"`
	User     string   `json:"user"`
	Users    []string `json:"users"`
	Attempts int      `json:"attempts"`
}

func (j *judge) ask(where string, in *judged, line string, found []Match) {
	own := map[string]string{}
	for k, v := range in.options {
		if !strings.HasPrefix(k, "test.") {
			own[k] = fmt.Sprint(v)
		}
	}
	q := map[string]any{"f": j.name, "o": own, "l": line}
	if in.options["logtype"] == "journal" {
		prefix, _ := in.options["test.prefix-line"].(string)
		q["l"], q["j"] = prefix+line, true
	}
	var a struct {
		Err   string
		Found []finding
	}
	j.oracle.ask(j.t, q, &a)
	if a.Err != "" {
		j.t.Errorf("%s: fail2ban refuses the filter: %s", where, a.Err)
		return
	}
	got := []finding{}
	for _, m := range found {
		users := slices.Sorted(slices.Values(m.Users()))
		if users == nil {
			users = []string{}
		}
		got = append(got, finding{m.Pattern, m.ID, m.Time, m.User(), users, m.Attempts})
	}
	if diff := cmp.Diff(a.Found, got); diff != "" {
		j.t.Errorf("%s %v: %s\n(-fail2ban +we)\n%s", where, own, line, diff)
	}
}

// Every line of the corpus means to us what it means to the fail2ban that is
// installed, whether its annotation is of this version or not.
func TestSameAsFail2ban(t *testing.T) {
	dir := installed(t)
	for _, logs := range []string{corpus(t, "fail2ban-logs"), filepath.Join(packageFiles(dir), "tests/files/logs")} {
		entries, err := os.ReadDir(logs)
		if err != nil {
			continue
		}
		n, f := 0, startFail2ban(t)
		for _, e := range entries {
			name := e.Name()
			if !isFile(filepath.Join(dir, "filter.d", name+".conf")) {
				continue
			}
			j := &judge{t: t, name: name, sessions: map[string]*judged{}, oracle: f, filters: func(name string, o map[string]string) (*Filter, error) {
				d, err := Load(os.DirFS(dir), name, o)
				if err != nil {
					return nil, err
				}
				return Compile(d)
			}}
			j.run(logs)
			n += len(j.results)
		}
		t.Logf("%d evaluations are the same", n)
	}
}

// Definitions are the same after includes and substitutions, for all filters in
// all modes.
func TestSameDefinitionsAsFail2ban(t *testing.T) {
	dir, f := installed(t), startFail2ban(t)
	files, err := filepath.Glob(dir + "/filter.d/*.conf")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".conf")
		if strings.HasSuffix(name, "common") {
			continue
		}
		for _, mode := range []string{"", "normal", "aggressive", "ddos", "extra", "auth", "more", "errors", "rbl", "any"} {
			for _, logtype := range []string{"", "file", "short", "journal", "rfc5424"} {
				if mode != "" && logtype != "" && !*everything {
					continue
				}
				o := map[string]string{}
				if mode != "" {
					o["mode"] = mode
				}
				if logtype != "" {
					o["logtype"] = logtype
				}
				var a struct {
					Err         string   `json:"err"`
					Failregex   []string `json:"failregex"`
					Ignoreregex []string `json:"ignoreregex"`
					Datepattern string   `json:"datepattern"`
					Prefregex   string   `json:"prefregex"`
					Maxlines    int      `json:"maxlines"`
				}
				f.ask(t, map[string]any{"f": name, "o": o}, &a)
				d, err := Load(os.DirFS(dir), name, o)
				if err == nil {
					_, err = Compile(d)
				}
				if strayMode(err, o) {
					err = nil // fail2ban takes <x-MODE> for text, which no line has
				}
				if (err != nil) != (a.Err != "") {
					t.Errorf("%s %v: we say %v, fail2ban says %q", name, o, err, a.Err)
				}
				if err != nil {
					continue
				}
				n++
				want := []any{a.Prefregex, a.Failregex, a.Ignoreregex, a.Maxlines, nonEmptyLines(a.Datepattern)}
				got := []any{d.Prefregex, append([]string{}, d.Failregex...), append([]string{}, d.Ignoreregex...), d.MaxLines, append([]string{}, d.DatePatterns...)}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s %v (-fail2ban +we)\n%s", name, o, diff)
				}
			}
		}
	}
	t.Logf("%d definitions are the same", n)
}

// strayMode reports whether all that is wrong is a mode, or a type of log, that
// the filter does not have.
func strayMode(err error, options map[string]string) bool {
	errs, ok := errors.AsType[Errors](err)
	for _, e := range errs {
		known := false
		for option, value := range options {
			known = known || strings.Contains(e.Msg, option+" = "+value+": there is no <")
		}
		ok = ok && known
	}
	return ok
}
