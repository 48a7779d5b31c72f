package main

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"sekimori/internal/guard/filter"
	"sekimori/internal/guard/logdate"
	"sekimori/internal/guard/pyre"
	"sekimori/internal/guard/replay"
	"sekimori/internal/guard/source"
)

func newFilterTest(io streams) *cobra.Command {
	t := filterTest{look: look{streams: io}}
	cmd := &cobra.Command{
		Use: "test NAME FILE", Short: "Which lines match which pattern, and which look like attacks but do not", Args: exactly("the name of a filter", "a log"),
		Example: "  sekimori filter test sshd /var/log/auth.log\n  sekimori filter test 'nginx[mode=aggressive]' access.log --lines",
		RunE:    func(_ *cobra.Command, args []string) error { return t.run(args[0], args[1]) },
	}
	cmd.Flags().StringVar(&t.dir, "filters", "", "take the filter from `DIR`, laid out like /etc/fail2ban")
	cmd.Flags().BoolVar(&t.lines, "lines", false, "show every line that matches, with what was found in it")
	t.formatFlag(cmd)
	return cmd
}

type filterTest struct {
	look
	dir   string
	lines bool
}

// suspicious are words of lines that one would expect to match.
var suspicious = pyre.MustCompile(`(?i)(?:fail(?:ed|ure)|invalid|denied|refused|incorrect|not allowed|unauthori[sz]ed|illegal|break-in|attack|bad password|wrong)`, 0)

// maxMissed bounds how many lines that were missed are shown.
const maxMissed = 20

// A tried is what a filter did with a log.
type tried struct {
	filter    *filter.Filter
	file      replay.File
	run       *filter.Run
	hits      []int // by pattern
	matched   int
	missed    []missedLine
	missedAll int
	forged    int
	firstFrom string // who wrote the first entry that was not believed
	took      time.Duration
	shown     []matchJSON
}

type missedLine struct {
	Line int    `json:"line"`
	Text string `json:"text"`
}

func (t filterTest) run(name, file string) error {
	f, err := loadFilter(t.dir, name)
	if err != nil {
		return err
	}
	in, newest, err := t.open(file)
	if err != nil {
		return err
	}
	defer in.Close()
	r, err := source.NewReader(in)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	defer r.Close()
	run, err := filter.NewSet(f).NewRun(filter.Settings{Clock: logdate.Clock{Now: newest, Local: time.Local}, Year: newest.Year()})
	if err != nil {
		return err
	}
	r.Keep(replay.KeptFields(f)...)
	got := &tried{filter: f, run: run, hits: make([]int, f.Patterns()), file: replay.File{Name: file, Format: r.Format()}}
	start := time.Now()
	out := bufio.NewWriter(t.out)
	t.read(out, r, got, newest)
	got.took, got.file.Flaws = time.Since(start), r.Flaws()
	err = out.Flush()
	t.fileFaults(&got.file)
	if t.format == "json" {
		err = t.json(got)
	} else {
		err = cmp.Or(err, answerText(t.out, func(w io.Writer) { t.summary(w, got) }))
		t.doubts(got)
	}
	if err == nil && (got.file.Fault != "" || got.file.Flaws.Bad > 0) {
		err = fmt.Errorf("%s could not be read wholly; what is said is about the rest", file)
	}
	return err
}

// read runs the filter over the log.
func (t filterTest) read(w io.Writer, r *source.Reader, got *tried, newest time.Time) {
	m := pyre.NewMachine()
	for {
		l, err := r.Next()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				got.file.Fault = err.Error()
			}
			return
		}
		got.file.Lines++
		var found []filter.Hit
		if l.Journal {
			seconds := l.Seconds
			if !l.Timed {
				seconds = float64(newest.Unix())
			}
			var refused []filter.Hit
			if found, refused = got.run.Entry(l.Text, seconds, l.Has); len(refused) > 0 {
				if got.forged++; got.forged == 1 {
					got.firstFrom = fmt.Sprintf("line %d has %s", r.Num(), replay.Writer(&l))
				}
				continue
			}
		} else {
			found = got.run.Line(l.Text)
		}
		if got.run.Long() {
			if got.file.Long++; got.file.Long == 1 {
				got.file.FirstLong = r.Num()
			}
		}
		for i := range found {
			got.hits[found[i].Pattern]++
			if t.lines {
				t.show(w, r.Num(), &found[i], l.Text, got)
			}
		}
		if len(found) > 0 {
			got.matched++
			continue
		}
		if got.run.Undated() && !l.Journal && replay.Dated(l.Text) {
			if got.file.NoDate++; got.file.NoDate == 1 {
				got.file.FirstNoDate, got.file.NoDateExample = r.Num(), printable(l.Text[:min(len(l.Text), 100)])
			}
		}
		budget := 10_000
		if m.Search(suspicious, l.Text[:min(len(l.Text), filter.MaxLine)], &budget) == pyre.Matched {
			if got.missedAll++; len(got.missed) < maxMissed {
				got.missed = append(got.missed, missedLine{r.Num(), printable(l.Text)})
			}
		}
	}
}

func (t filterTest) open(file string) (io.ReadCloser, time.Time, error) {
	if file == "-" {
		return io.NopCloser(t.in), time.Now(), nil
	}
	st, err := statLog(file)
	if err != nil {
		return nil, time.Time{}, err
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, time.Time{}, err
	}
	return f, st.ModTime(), nil
}

// show tells of a line that matches, at once or in the answer for programs.
func (t filterTest) show(w io.Writer, num int, h *filter.Hit, text []byte, got *tried) {
	fields := map[string]string{}
	for _, n := range h.Fields() {
		if v, _ := h.Field(n); n != "mlfid" {
			fields[n] = printable([]byte(v))
		}
	}
	if t.format == "json" {
		got.shown = append(got.shown, matchJSON{num, h.Pattern + 1, time.Unix(int64(h.Time), 0).UTC(), h.Dated, fields, printable(text)})
		return
	}
	fmt.Fprintf(w, "%d: failregex %d, %s", num, h.Pattern+1, time.Unix(int64(h.Time), 0).Format(time.DateTime))
	if !h.Dated {
		fmt.Fprint(w, " (no date of its own)")
	}
	for _, n := range h.Fields() {
		if v, ok := fields[n]; ok {
			fmt.Fprintf(w, ", %s %s", n, v)
		}
	}
	fmt.Fprintf(w, "\n    %s\n", printable(text))
}

func (t filterTest) summary(w io.Writer, got *tried) {
	c := got.run.Session(0).Counts()
	fmt.Fprintf(w, "%d lines, %d failures, %s", got.file.Lines, got.matched, got.took.Round(time.Millisecond))
	if got.took > 0 {
		fmt.Fprintf(w, " (%.0f lines a second)", float64(got.file.Lines)/got.took.Seconds())
	}
	fmt.Fprintf(w, "\n%d lines had a literal of a pattern; %d of these matched none\n", c.Lines, c.Lines-min(c.Lines, c.Matched))
	if got.forged > 0 {
		fmt.Fprintf(w, "%d journal entries look like failures, but are not of the service itself and do not count; the first, in %s\n", got.forged, got.firstFrom)
	}
	fmt.Fprintln(w)
	fmt.Fprintln(w, "   found  effort")
	pattern := 0
	spent := got.run.Session(0).Spent()
	total := sum(spent)
	for i, p := range got.filter.Describe() {
		share := 100 * float64(spent[i]) / max(total, 1)
		if p.Kind != "failregex" {
			fmt.Fprintf(w, "          %4.0f %%  %s: %s\n", share, p.Kind, p.Text)
			continue
		}
		fmt.Fprintf(w, "%8d  %4.0f %%  failregex %d: %s\n", got.hits[pattern], share, pattern+1, p.Text)
		pattern++
	}
	if got.missedAll > 0 {
		fmt.Fprintf(w, "\n%d lines match nothing, but have words such as failed, invalid or denied:\n", got.missedAll)
		for _, m := range got.missed {
			fmt.Fprintf(w, "%6d: %s\n", m.Line, m.Text)
		}
		if n := got.missedAll - len(got.missed); n > 0 {
			fmt.Fprintf(w, "        and %d more\n", n)
		}
	}
}

// sum is the effort of all patterns.
func sum(spent []uint64) float64 {
	total := 0.0
	for _, n := range spent {
		total += float64(n)
	}
	return total
}

// doubts says what the figures do not cover.
func (t filterTest) doubts(got *tried) {
	c := got.run.Session(0).Counts()
	for _, x := range []struct {
		n    uint64
		what string
	}{
		{c.Exhausted, "lines took too much effort: it is not known whether they match"},
		{c.Undated, "matches had no date of their own"},
	} {
		if x.n > 0 {
			fmt.Fprintf(t.err, "sekimori: %d %s\n", x.n, x.what)
		}
	}
}

// The answer for programs; field names are a promise.
type matchJSON struct {
	Line    int               `json:"line"`
	Pattern int               `json:"pattern"`
	Time    time.Time         `json:"time"`
	Dated   bool              `json:"dated"`
	Fields  map[string]string `json:"fields"`
	Text    string            `json:"text"`
}

type testedJSON struct {
	Filter    string        `json:"filter"`
	File      fileJSON      `json:"file"`
	Failures  int           `json:"failures"`
	Candidate uint64        `json:"candidates"`
	Exhausted uint64        `json:"exhausted"`
	Undated   uint64        `json:"undated"`
	Cut       uint64        `json:"cut"`
	Forged    int           `json:"forged"`
	Patterns  []hitsJSON    `json:"patterns"`
	Missed    int           `json:"missed"`
	Examples  []missedLine  `json:"missed_examples"`
	Matches   []matchJSON   `json:"matches,omitempty"`
	Took      time.Duration `json:"took_ns"`
}

type hitsJSON struct {
	Number int    `json:"number"`
	Hits   int    `json:"hits"`
	Effort uint64 `json:"effort"` // steps
	Text   string `json:"text"`
}

func (t filterTest) json(got *tried) error {
	c := got.run.Session(0).Counts()
	out := testedJSON{
		Filter: got.filter.Name(), File: filesJSON([]replay.File{got.file})[0], Failures: got.matched, Candidate: c.Lines,
		Exhausted: c.Exhausted, Undated: c.Undated, Cut: got.file.Long, Forged: got.forged, Patterns: []hitsJSON{},
		Missed: got.missedAll, Examples: append([]missedLine{}, got.missed...), Matches: got.shown, Took: got.took,
	}
	spent := got.run.Session(0).Spent()
	for i, p := range got.filter.Describe() {
		if p.Kind == "failregex" {
			n := len(out.Patterns)
			out.Patterns = append(out.Patterns, hitsJSON{n + 1, got.hits[n], spent[i], p.Text})
		}
	}
	return answerJSON(t.out, out)
}

// printable makes bytes of a log fit for a terminal.
func printable(b []byte) string {
	b = b[:min(len(b), 1000)]
	if !bytes.ContainsFunc(b, func(r rune) bool { return r < ' ' && r != '\t' || r >= 0x7f && r < 0xa0 || r == 0xfffd }) {
		return string(b)
	}
	q := fmt.Sprintf("%q", b)
	return q[1 : len(q)-1]
}
