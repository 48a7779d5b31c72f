package filter

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sekimori/internal/guard/logdate"
)

// installed returns the directory of an installed fail2ban; $SEKIMORI_FAIL2BAN
// may name another one, such as an unpacked package.
func installed(t testing.TB) string {
	dir := os.Getenv("SEKIMORI_FAIL2BAN")
	if dir == "" {
		dir = "/etc/fail2ban"
	}
	if _, err := os.Stat(dir + "/filter.d/sshd.conf"); err != nil {
		t.Skip("fail2ban's filters are not installed: none to read")
	}
	return dir
}

// corpus returns a folder of the corpus of recorded inputs.
func corpus(t testing.TB, name string) string {
	dir := os.Getenv("SEKIMORI_CORPUS")
	if dir == "" {
		up, err := filepath.Abs(".")
		if err != nil {
			t.Fatal(err)
		}
		for !isFile(filepath.Join(up, "go.mod")) && up != "/" {
			up = filepath.Dir(up)
		}
		dir = filepath.Join(up, "../shared/corpus")
	}
	dir = filepath.Join(dir, name)
	if _, err := os.Stat(dir); err != nil {
		t.Skip("the corpus is not here: set $SEKIMORI_CORPUS")
	}
	return dir
}

func isFile(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// judgeClock is the time and place in which the corpus is to be read: CET with
// summer time, 2005-08-14T10:00:00Z.
func judgeClock(t testing.TB) logdate.Clock {
	loc, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	return logdate.Clock{Now: time.Unix(1124013600, 0), Local: loc}
}

// A judge runs one file of the corpus, by the rules of fail2ban's own
// test suite.
type judge struct {
	t        *testing.T
	filters  func(name string, options map[string]string) (*Filter, error)
	name     string
	sessions map[string]*judged
	results  []evaluation
	// oracle, if set, is asked about every evaluation too.
	oracle *fail2ban
}

type judged struct {
	s       *Session
	f       *Filter
	options map[string]any
	used    map[int]bool
}

// An evaluation is one line run through one instance of a filter.
type evaluation struct {
	where  string
	match  bool // was expected to
	got    bool // did
	detail string
}

var directive = regexp.MustCompile(`^#+ ?(failJSON|(?:file|filter)Options|addFILE):(.+)$`)

func (j *judge) run(dir string) {
	files := []string{j.name}
	var current []*judged
	common := map[string]any{}
	for i := 0; i < len(files); i++ {
		data, err := os.ReadFile(filepath.Join(dir, files[i]))
		if err != nil {
			continue // a part of the suite that this corpus does not have
		}
		ignore := false
		lines := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
		for n := 0; n < len(lines); n++ {
			line := lines[n]
			want := map[string]any{}
			if m := directive.FindStringSubmatch(line); m != nil {
				var v any
				if err := json.Unmarshal([]byte(m[2]), &v); err != nil {
					j.t.Fatalf("%s:%d: %v", files[i], n+1, err)
				}
				switch m[1] {
				case "fileOptions":
					common = v.(map[string]any)
					continue
				case "filterOptions":
					current, ignore = j.instances(common, v)
					continue
				case "addFILE":
					files = append(files, v.(string))
					continue
				}
				want = v.(map[string]any)
				n++
				line = lines[n]
			} else if ignore || strings.HasPrefix(line, "#") || strings.TrimSpace(line) == "" {
				continue
			}
			if ignore {
				continue
			}
			if current == nil {
				current, _ = j.instances(nil, map[string]any{})
			}
			for _, in := range current {
				if c, ok := want["constraint"].(string); ok && !j.constraint(c, in.options) {
					continue
				}
				j.evaluate(fmt.Sprintf("%s:%d", files[i], n+1), in, strings.TrimRight(line, "\r\n"), want)
			}
		}
	}
}

// constraint decides the three Python expressions that the corpus has.
func (j *judge) constraint(expr string, options map[string]any) bool {
	mode, _ := options["mode"].(string)
	switch expr {
	case "name == 'sshd'", "name=='sshd'":
		return j.name == "sshd"
	case "opts.get('mode') == 'aggressive'":
		return mode == "aggressive"
	case "opts.get('mode') != 'aggressive'":
		return mode != "aggressive"
	}
	j.t.Fatalf("unknown expression %q", expr)
	return false
}

func (j *judge) instances(common map[string]any, v any) (out []*judged, ignore bool) {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	for _, e := range list {
		options := maps.Clone(common)
		if options == nil {
			options = map[string]any{}
		}
		maps.Copy(options, e.(map[string]any))
		if c, ok := options["test.condition"].(string); ok && c != "" {
			ignore = !j.constraint(c, options)
		}
		if ignore {
			continue
		}
		own := map[string]string{}
		for k, v := range options {
			if !strings.HasPrefix(k, "test.") {
				own[k] = fmt.Sprint(v)
			}
		}
		key := fmt.Sprint(own)
		in := j.sessions[key]
		if in == nil {
			f, err := j.filters(j.name, own)
			if err != nil {
				j.t.Fatalf("%s %v: %v", j.name, own, err)
			}
			s, err := f.NewSession(Settings{Clock: judgeClock(j.t), Year: 2026, All: true})
			if err != nil {
				j.t.Fatal(err)
			}
			in = &judged{s: s, f: f, options: options, used: map[int]bool{}}
			j.sessions[key] = in
		}
		out = append(out, &judged{s: in.s, f: in.f, options: options, used: in.used})
	}
	return out, ignore
}

func (j *judge) evaluate(where string, in *judged, line string, want map[string]any) {
	var ms []Match
	if in.options["logtype"] == "journal" {
		prefix, _ := in.options["test.prefix-line"].(string)
		ms = in.s.LineAt([]byte(prefix+line), 1124013600)
	} else {
		ms = in.s.Line([]byte(line))
	}
	var found []Match
	for _, m := range ms {
		in.used[m.Pattern] = true
		if !m.Pending && !m.NoFailure {
			found = append(found, m)
		}
	}
	if j.oracle != nil {
		j.ask(where, in, line, found)
	}
	e := evaluation{where: fmt.Sprintf("%s %v", where, in.options), got: len(found) > 0}
	e.match, _ = want["match"].(bool)
	switch {
	case !e.match && e.got:
		e.detail = fmt.Sprintf("matches pattern %d: %s", found[0].Pattern, line)
	case e.match && !e.got:
		e.detail = "does not match: " + line
	case len(found) > 1:
		e.detail = fmt.Sprintf("%d patterns match: %s", len(found), line)
	case e.match:
		e.detail = compare(j.t, &found[0], want, line)
	}
	j.results = append(j.results, e)
}

// compare says how a match differs from what is wanted; "" if it does not.
func compare(t *testing.T, m *Match, want map[string]any, line string) string {
	var diffs []string
	for k, w := range want {
		switch k {
		case "match", "desc", "constraint":
			continue
		case "time":
			if w == nil {
				continue
			}
			at, err := time.ParseInLocation("2006-1-2T15:04:05.999999", w.(string), judgeClock(t).Local)
			if err != nil {
				t.Fatal(err)
			}
			if d := m.Time - float64(at.UnixMicro())/1e6; d > 1e-6 || d < -1e-6 {
				diffs = append(diffs, fmt.Sprintf("time %v, want %v", time.UnixMicro(int64(m.Time*1e6)).In(at.Location()), w))
			}
			continue
		case "users":
			var users []string
			for _, u := range w.([]any) {
				users = append(users, u.(string))
			}
			if got := slices.Sorted(slices.Values(m.Users())); !slices.Equal(got, slices.Sorted(slices.Values(users))) {
				diffs = append(diffs, fmt.Sprintf("users %q, want %q", got, users))
			}
			continue
		}
		var got any
		if v, ok := m.Field(k); ok {
			got = v
		} else if k == "host" {
			got = m.ID
		} else if k == "attempts" {
			got = float64(m.Attempts)
		}
		if a, ok := got.(string); ok && k == "host" && w != nil {
			// An address is the same however it is written.
			if x, err := netip.ParseAddr(a); err == nil {
				if y, err := netip.ParseAddr(w.(string)); err == nil && x == y {
					continue
				}
			}
		}
		if got != w {
			diffs = append(diffs, fmt.Sprintf("%s %q, want %q", k, got, w))
		}
	}
	if diffs == nil {
		return ""
	}
	return strings.Join(diffs, "; ") + ": " + line
}

// judgeInstalled runs the filters of an installation over the samples in logs.
func judgeInstalled(t *testing.T, dir, logs string) (total int, differ []evaluation) {
	entries, err := os.ReadDir(logs)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		name := e.Name()
		fsys := os.DirFS(dir)
		if strings.HasPrefix(name, "zzz-") {
			fsys = withTestFilter(t, dir, name)
		}
		if !exists(fsys, "filter.d/"+name+".conf") {
			continue
		}
		j := &judge{t: t, name: name, sessions: map[string]*judged{}, filters: func(name string, o map[string]string) (*Filter, error) {
			d, err := Load(fsys, name, o)
			if err != nil {
				return nil, err
			}
			return Compile(d)
		}}
		j.run(logs)
		total += len(j.results)
		for _, r := range j.results {
			if r.detail != "" {
				differ = append(differ, r)
			}
		}
	}
	return total, differ
}

// withTestFilter returns the installed filters with one of the package's test
// filters among them. That includes common.conf by a path into the source tree.
func withTestFilter(t *testing.T, dir, name string) fs.FS {
	out := fstest.MapFS{}
	for file, from := range map[string]string{name: filepath.Join(packageFiles(dir), "tests/config"), "common": dir} {
		path := "filter.d/" + file + ".conf"
		data, err := os.ReadFile(filepath.Join(from, path))
		if err != nil {
			t.Skip("the package has come without its tests")
		}
		data = regexp.MustCompile(`(?m)^before = \S*/common.conf$`).ReplaceAll(data, []byte("before = common.conf"))
		out[path] = &fstest.MapFile{Data: data}
	}
	return out
}

// packageFiles returns where the Python files of the package are that dir
// belongs to: their tests have samples and filters of the same version.
func packageFiles(dir string) string {
	return filepath.Join(dir, "../../usr/lib/python3/dist-packages/fail2ban")
}

// The samples that come with the package are of the same version as its
// filters: every one must hold.
func TestInstalledFiltersAgainstTheirSamples(t *testing.T) {
	dir := installed(t)
	logs := filepath.Join(packageFiles(dir), "tests/files/logs")
	if _, err := os.Stat(logs); err != nil {
		t.Skip("the package has come without its tests")
	}
	total, differ := judgeInstalled(t, dir, logs)
	for _, r := range differ {
		t.Errorf("%s %s", r.where, r.detail)
	}
	if total < 1000 {
		t.Errorf("only %d evaluations", total)
	}
	t.Logf("%d evaluations, %d differ", total, len(differ))
}

// The corpus is of a newer version than the package: what differs, fail2ban
// itself must find to differ too (TestSameAsFail2ban), and is listed here.
func TestInstalledFiltersAgainstCorpus(t *testing.T) {
	total, differ := judgeInstalled(t, installed(t), corpus(t, "fail2ban-logs"))
	var got []string
	for _, r := range differ {
		got = append(got, r.where)
	}
	want, err := os.ReadFile("testdata/corpus-newer-than-1.0.2.txt")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(got)
	if diff := cmp.Diff(strings.Split(strings.TrimSpace(string(want)), "\n"), got); diff != "" {
		t.Errorf("evaluations that differ (-listed +found):\n%s", diff)
	}
	t.Logf("%d evaluations, %d differ", total, len(differ))
}

func TestInstalledFiltersLoad(t *testing.T) {
	dir := installed(t)
	fsys := os.DirFS(dir)
	files, err := fs.Glob(fsys, "filter.d/*.conf")
	if err != nil || len(files) < 50 {
		t.Fatalf("%d filters: %v", len(files), err)
	}
	for _, f := range files {
		name := f[len("filter.d/") : len(f)-len(".conf")]
		d, err := Load(fsys, name, nil)
		if strings.Contains(name, "common") {
			continue
		}
		if err == nil {
			_, err = Compile(d)
		}
		if err != nil {
			t.Error(name, err)
		}
	}
}
