package pyre

import (
	"bufio"
	"encoding/json"
	"io"
	"os/exec"
	"strings"
	"testing"
)

// pythonScript answers one request a line: a pattern, flags and texts in, the
// spans of all groups of the leftmost match per text out.
const pythonScript = `
import sys, re, json, warnings
warnings.simplefilter("ignore")
for line in sys.stdin:
    q = json.loads(line)
    try:
        r = re.compile(q["p"], q["f"])
    except (re.error, OverflowError, RecursionError) as e:
        print(json.dumps({"err": str(e)}), flush=True); continue
    out = []
    for t in q["t"]:
        m = r.search(t)
        if m is None:
            out.append(None); continue
        spans = []
        for g in range(r.groups + 1):
            a, b = m.span(g)
            if a < 0: spans.append([-1, -1])
            else: spans.append([len(t[:a].encode()), len(t[:b].encode())])
        out.append(spans)
    print(json.dumps({"m": out}), flush=True)
`

// A python is a running interpreter that answers what re would.
type python struct {
	in  io.WriteCloser
	out *bufio.Reader
}

type pyAnswer struct {
	Err   string     `json:"err"`
	Match [][][2]int `json:"m"`
}

func startPython(t testing.TB) *python {
	path, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is not installed: nothing to compare with")
	}
	cmd := exec.CommandContext(t.Context(), path, "-c", pythonScript)
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
	return &python{in, bufio.NewReaderSize(out, 1<<20)}
}

func (p *python) ask(t testing.TB, pattern string, flags Flags, texts []string) pyAnswer {
	pyFlags := 0
	for f, v := range map[Flags]int{IgnoreCase: 2, Multiline: 8, DotAll: 16, Verbose: 64, ASCII: 256} {
		if flags&f != 0 {
			pyFlags |= v
		}
	}
	q, err := json.Marshal(map[string]any{"p": pattern, "f": pyFlags, "t": texts})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.in.Write(append(q, '\n')); err != nil {
		t.Fatal(err)
	}
	line, err := p.out.ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	var a pyAnswer
	if err := json.Unmarshal(line, &a); err != nil {
		t.Fatal(err)
	}
	return a
}

// sameAsPython compares one pattern over texts; exhausted searches are let
// pass only if may is set.
func sameAsPython(t *testing.T, py *python, m *Machine, pattern string, flags Flags, texts []string) {
	t.Helper()
	want := py.ask(t, pattern, flags, texts)
	re, err := Compile(pattern, flags)
	if (err != nil) != (want.Err != "") {
		if err != nil && strings.Contains(err.Error(), "too large") {
			return
		}
		t.Errorf("%q: we say %v, Python says %q", pattern, err, want.Err)
		return
	}
	if err != nil {
		return
	}
	for i, text := range texts {
		for _, first := range []bool{true, false} {
			budget := 5_000_000
			r := m.search(re, []byte(text), &budget, first)
			if r == Exhausted {
				if re.Way() != Bounded {
					t.Errorf("%q on %q: exhausted", pattern, text)
				}
				continue
			}
			if (r == Matched) != (want.Match[i] != nil) {
				t.Errorf("%q (flags %d, optimistic %t) on %q: we say %v, Python says %v", pattern, flags, first, text, r, want.Match[i])
				continue
			}
			if r != Matched {
				continue
			}
			for g := range re.groups {
				a, b := m.Span(g)
				if w := want.Match[i][g]; a != w[0] || b != w[1] {
					t.Errorf("%q (flags %d, optimistic %t) on %q: group %d: we say %d-%d, Python says %v", pattern, flags, first, text, g, a, b, w)
				}
			}
		}
	}
}

// search is Search, or with optimistic unset its second attempt alone.
func (m *Machine) search(re *Regexp, text []byte, budget *int, optimistic bool) Result {
	if optimistic || !re.memoable() {
		return m.Search(re, text, budget)
	}
	none := 0
	m.Search(re, text, &none) // sets up
	m.remember()
	m.left, m.over = *budget, false
	defer func() { m.memo = nil }()
	return m.scan()
}
