package replay

import (
	"slices"
	"strings"

	"sekimori/internal/guard/filter"
	"sekimori/internal/guard/source"
)

// A Forged is what a jail did not believe.
type Forged struct {
	Jail    string
	Entries uint64
	// The first of them: where it stands, what it says, and the fields that tell
	// who wrote it.
	Name, Line, Fields string
	Num                int
}

// Incomplete returns how many logs could not be read wholly.
func (r *Result) Incomplete() int {
	n := 0
	for i := range r.Files {
		if f := &r.Files[i]; f.Fault != "" || f.Flaws.Bad > 0 {
			n++
		}
	}
	return n
}

// A File says what became of an input.
type File struct {
	Name, Format string
	Lines        uint64
	Fault        string // that ended it before its end; "" if none
	Flaws        source.Flaws
	// NoDate counts lines that a filter may know, but for a date that cannot be
	// or is of a form that it does not expect; the first is line FirstNoDate.
	NoDate        uint64
	FirstNoDate   int
	NoDateExample string
	// Long counts lines of more than filter.MaxLine bytes: they do not count,
	// whatever they say; the first is line FirstLong.
	Long      uint64
	FirstLong int
}

// writerFields are those that tell people who wrote an entry.
var writerFields = [...]string{"_UID", "_COMM", "_EXE", "_SYSTEMD_UNIT"}

// KeptFields returns the fields of journal entries that filters ask for, and
// those by which Writer says who wrote them.
func KeptFields(filters ...*filter.Filter) []string {
	keep := writerFields[:len(writerFields):len(writerFields)]
	for _, f := range filters {
		keep = append(keep, f.Journal().Fields()...)
	}
	slices.Sort(keep)
	return slices.Compact(keep)
}

// Writer says who wrote an entry, as far as the journal knows.
func Writer(l *source.Line) string {
	var out []string
	for _, name := range writerFields {
		if v, ok := l.Field(name); ok {
			out = append(out, name+"="+clean(v))
		}
	}
	if len(out) == 0 {
		return "no fields that say who wrote it"
	}
	return strings.Join(out, " ")
}

func (s *stream) refuse(jail int, l *source.Line) {
	f := s.forged[jail]
	if f == nil {
		f = &Forged{
			Jail: s.o.Jails[jail].Name, Name: s.current.Name, Num: s.reader.Num(), Line: clean(string(l.Text)), Fields: Writer(l),
		}
		s.forged[jail] = f
	}
	f.Entries++
}

func (s *stream) long() {
	if s.current.Long++; s.current.Long == 1 {
		s.current.FirstLong = s.reader.Num()
	}
}

func (s *stream) noDate(text []byte) {
	f := s.current
	if f.NoDate++; f.NoDate == 1 {
		f.FirstNoDate, f.NoDateExample = s.reader.Num(), clean(string(text[:min(len(text), 100)]))
	}
}

// Dated reports whether a line seems to begin with a date, of whatever form:
// there is something like 1:02 or 2026-08.
func Dated(text []byte) bool {
	digit := func(i int) bool { return text[i] >= '0' && text[i] <= '9' }
	for i := 1; i+2 < min(len(text), 48); i++ {
		if (text[i] == ':' || text[i] == '-') && digit(i-1) && digit(i+1) && digit(i+2) {
			return true
		}
	}
	return false
}
