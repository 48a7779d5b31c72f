package source

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// maxLine is how much of a line is delivered. It is more than a filter takes,
// so that it sees which lines are too long.
const maxLine = 16 << 10

// A Line is one line of a log, or one entry of a journal. It is valid until the
// next one is read.
type Line struct {
	Text []byte
	// Seconds is when it was logged, if the log itself knows (Timed): the
	// journal does, a text file has a date in the text.
	Seconds float64
	Timed   bool
	// Journal is set if the line is an entry of a journal; its fields are those
	// that Keep asked for.
	Journal bool
	Fields  []Field
}

// A Field is a field of a journal entry. Names that begin with _ are written by
// the journal itself; all others by whoever logs.
type Field struct{ Name, Value []byte }

// Has reports whether an entry has a field of that value.
func (l *Line) Has(name, value string) bool {
	for i := range l.Fields {
		if string(l.Fields[i].Name) == name && string(l.Fields[i].Value) == value {
			return true
		}
	}
	return false
}

// Field returns the value of a field of an entry, the first one if there are several.
func (l *Line) Field(name string) (string, bool) {
	for i := range l.Fields {
		if string(l.Fields[i].Name) == name {
			return string(l.Fields[i].Value), true
		}
	}
	return "", false
}

// Flaws counts what was wrong in a log that could be read on all the same.
type Flaws struct {
	Long int // lines too long to be delivered whole
	// NUL counts lines with NUL bytes inside, the first of which is FirstNUL.
	// Holes are stretches of NULs before or after a line or alone, as a crash or
	// a rotation in place leaves them: they are skipped.
	NUL, Holes, FirstNUL int
	// Bad counts entries of a journal that could not be read, the first of which
	// is in line FirstBad, for the reason Why.
	Bad, FirstBad int
	Why           string
}

// A Reader delivers the lines of one log.
type Reader struct {
	next   func() (Line, error)
	close  func()
	format string
	num    int // lines that were read
	flaws  Flaws
	keep   map[string]bool
	ended  error
}

// Format says what the log turned out to be, for example "gzip, text".
func (r *Reader) Format() string { return r.format }

// Num returns the number of the last line, from 1; of a journal, that of the
// line of the file with which its entry ends.
func (r *Reader) Num() int { return r.num }

// Flaws returns what was passed over so far.
func (r *Reader) Flaws() Flaws { return r.flaws }

// Keep asks for fields of journal entries. It is to be called before Next.
func (r *Reader) Keep(fields ...string) {
	if r.keep == nil {
		r.keep = map[string]bool{}
	}
	for _, f := range fields {
		r.keep[f] = true
	}
}

// errBinary is the end of a log that was none.
var errBinary = errors.New("most of its lines have NUL bytes: this is no text log")

// Next returns the next line; io.EOF at the end. Any other error says why it
// could not be read to its end.
func (r *Reader) Next() (Line, error) {
	if r.ended != nil {
		return Line{}, r.ended
	}
	l, err := r.next()
	if err != nil {
		if errors.Is(err, io.EOF) && r.flaws.NUL > 0 && r.flaws.NUL*2 > r.num {
			err = errBinary
		}
		r.ended = err
	}
	return l, err
}

// Close releases what expanding needs. It does not close what was opened.
func (r *Reader) Close() {
	if r.close != nil {
		r.close()
	}
}

// text reads lines of text.
func (r *Reader) text(b *bufio.Reader) func() (Line, error) {
	stray := strayEntries{r: r}
	return func() (Line, error) {
		for {
			l, err := r.line(b, maxLine)
			if err != nil {
				return Line{}, err
			}
			if stray.of(l) {
				continue
			}
			if bytes.IndexByte(l, 0) < 0 {
				return Line{Text: l}, nil
			}
			if l = r.withoutNUL(l); len(l) > 0 {
				return Line{Text: l}, nil
			}
		}
	}
}

// withoutNUL takes off the NULs around a line and counts them.
func (r *Reader) withoutNUL(l []byte) []byte {
	inner := bytes.Trim(l, "\x00")
	if len(inner) < len(l) {
		r.flaws.Holes++
	}
	if bytes.IndexByte(inner, 0) >= 0 {
		if r.flaws.NUL++; r.flaws.FirstNUL == 0 {
			r.flaws.FirstNUL = r.num
		}
	}
	return inner
}

// cutOff is the error of data that stop in the middle of something.
func cutOff(what string, err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("it is cut off %s: %w", what, err)
}

// line reads a line without its end; of a long one, the beginning. A line that
// ends with the data is one, but not one that ends with an error.
func (r *Reader) line(b *bufio.Reader, limit int) ([]byte, error) {
	if first, err := b.Peek(1); err == nil && first[0] == 0 {
		r.skipHole(b)
	}
	l, err := b.ReadSlice('\n')
	switch {
	case err == nil:
		r.num++
		return l[:len(l)-1], nil
	case errors.Is(err, io.EOF) && len(l) > 0:
		r.num++
		return l, nil
	case errors.Is(err, io.EOF):
		return nil, err
	case !errors.Is(err, bufio.ErrBufferFull):
		return nil, r.broken(l, err)
	}
	r.flaws.Long++
	keep := append([]byte(nil), l[:min(limit, len(l))]...)
	for {
		l, err = b.ReadSlice('\n')
		if len(keep) < limit {
			keep = append(keep, l[:min(limit-len(keep), len(l))]...)
		}
		switch {
		case err == nil, errors.Is(err, io.EOF):
			r.num++
			return keep[:min(len(keep), limit)], nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, r.broken(keep, err)
		}
	}
}

func (r *Reader) broken(rest []byte, err error) error {
	if len(rest) == 0 {
		return err
	}
	return fmt.Errorf("line %d is cut off: %w", r.num+1, err)
}

// skipHole passes over NULs at the beginning of a line: what would be looked at
// of a hole of megabytes is nothing, and the line behind it would be lost.
func (r *Reader) skipHole(b *bufio.Reader) {
	skipped := 0
	for {
		have, err := b.Peek(max(1, min(b.Buffered(), 4<<10)))
		n := 0
		for n < len(have) && have[n] == 0 {
			n++
		}
		b.Discard(n)
		if skipped += n; n < len(have) || err != nil || n == 0 {
			break
		}
	}
	if skipped > 0 {
		r.flaws.Holes++
	}
}
