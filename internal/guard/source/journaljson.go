package source

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

const (
	// maxJSON bounds an entry in JSON.
	maxJSON = 1 << 20
	// maxSniff is how far the first entry is searched for what makes it one of a
	// journal: its fields come in any order.
	maxSniff = 64 << 10
)

// journalJSON finds out whether b holds entries of a journal in JSON, and in
// which form.
func (r *Reader) journalJSON(b *bufio.Reader) bool {
	head, _ := b.Peek(maxSniff)
	if !bytes.Contains(head, []byte(`"__REALTIME_TIMESTAMP"`)) && !bytes.Contains(head, []byte(`"__CURSOR"`)) {
		return false
	}
	j := &jsonEntries{r: r, b: b}
	first, _, more := bytes.Cut(bytes.TrimLeft(head, " \t\r\n"), []byte("\n"))
	switch first = bytes.TrimRight(first, " \r"); {
	case len(first) > 0 && first[0] == '[':
		r.format += "journal JSON, as an array"
		j.array = true
		r.next = j.next
	case more && !bytes.HasSuffix(first, []byte("}")) && !bytes.HasPrefix(first, []byte(`{"`)):
		r.format += "journal JSON"
		r.next = j.next
	default:
		r.format += "journal JSON"
		r.next = j.nextLine
	}
	return true
}

// jsonEntries reads JSON objects: one a line, or however they stand.
type jsonEntries struct {
	r     *Reader
	b     *bufio.Reader
	array bool
	open  bool // the array has begun
	entry entry
	buf   []byte
}

// nextLine reads one object a line, whatever became of the one before. Records
// may have a mark of json-seq or json-sse.
func (j *jsonEntries) nextLine() (Line, error) {
	for {
		long := j.r.flaws.Long
		l, err := j.r.line(j.b, maxJSON)
		if err != nil {
			return Line{}, err
		}
		l = bytes.TrimPrefix(bytes.TrimLeft(l, "\x1e"), []byte("data: "))
		if l = bytes.TrimSpace(l); len(l) == 0 {
			continue
		}
		if j.r.flaws.Long > long {
			j.bad(j.r.num, fmt.Errorf("an entry of more than %d bytes", maxJSON))
			continue
		}
		if line, ok := j.object(l); ok {
			return line, nil
		}
	}
}

// next reads objects that may span lines.
func (j *jsonEntries) next() (Line, error) {
	for {
		l, err := j.span()
		if err != nil {
			return Line{}, err
		}
		if line, ok := j.object(l); ok {
			return line, nil
		}
	}
}

func (j *jsonEntries) bad(line int, err error) { j.r.bad(line, err) }

// bad counts an entry that could not be read.
func (r *Reader) bad(line int, err error) {
	f := &r.flaws
	if f.Bad++; f.Bad == 1 {
		f.FirstBad, f.Why = line, err.Error()
	}
}

var (
	errSeveral   = errors.New("it has several messages")
	errNoMessage = errors.New("its message is neither text nor bytes")
)

// span reads from { to the } that belongs to it. Entries have no objects inside,
// and strings no line ends: where one has, the entry is broken off, and the next
// { begins another.
func (j *jsonEntries) span() ([]byte, error) {
	j.buf = j.buf[:0]
	j.r.num = max(j.r.num, 1) // the line that is being read
	depth, start, quoted, escaped := 0, 0, false, false
	for {
		c, err := j.b.ReadByte()
		switch {
		case err != nil && depth > 0:
			return nil, cutOff(fmt.Sprintf("in an entry, in line %d", j.r.num), err)
		case errors.Is(err, io.EOF) && j.array && j.open:
			return nil, cutOff("before the end of the array", err)
		case err != nil:
			return nil, err
		}
		if c == '\n' {
			j.r.num++
		}
		if depth == 0 {
			switch c {
			case '{':
				depth, start = 1, j.r.num
				j.buf = append(j.buf, c)
			case '[':
				j.open = true
			case ']':
				j.open = false
			case ' ', '\t', '\r', '\n', ',', 0x1e:
			default:
				j.bad(j.r.num, fmt.Errorf("%q stands between entries", c))
				if err := j.skipLine(); err != nil {
					return nil, err
				}
			}
			continue
		}
		if len(j.buf) <= maxJSON {
			j.buf = append(j.buf, c)
		}
		switch {
		case quoted && c == '\n':
			j.bad(start, errors.New("a line end inside of a string"))
			j.buf, depth, quoted, escaped = j.buf[:0], 0, false, false
		case escaped:
			escaped = false
		case quoted && c == '\\':
			escaped = true
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{':
			j.bad(start, errors.New("an entry that does not end"))
			j.buf, depth, start = append(j.buf[:0], c), 1, j.r.num
		case c == '[':
			depth++
		case c == '}' || c == ']':
			if depth--; depth == 0 {
				return j.buf, nil
			}
		}
	}
}

// skipLine passes over the rest of a line.
func (j *jsonEntries) skipLine() error {
	for {
		switch _, err := j.b.ReadSlice('\n'); {
		case err == nil:
			j.r.num++
			return nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return err
		}
	}
}

// object makes a line of an entry. One that is none, or has no message, is counted.
func (j *jsonEntries) object(l []byte) (Line, bool) {
	if len(l) > maxJSON {
		j.bad(j.r.num, fmt.Errorf("an entry of more than %d bytes", maxJSON))
		return Line{}, false
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(l, &fields); err != nil {
		j.bad(j.r.num, err)
		return Line{}, false
	}
	e := &j.entry
	e.reset()
	for k, v := range fields {
		if !wanted(k) && !j.r.keep[k] {
			continue
		}
		if string(v) == "null" && k == "MESSAGE" {
			j.bad(j.r.num, errors.New("the message is left out for its length (journalctl --all writes it)"))
			return Line{}, false
		}
		values := jsonValues(v)
		if k == "MESSAGE" && len(values) != 1 {
			why := errSeveral
			if len(values) == 0 {
				why = errNoMessage
			}
			j.bad(j.r.num, why)
			return Line{}, false
		}
		for _, b := range values {
			e.set(k, b, j.r.keep)
		}
	}
	return e.line(), true
}

// jsonValues reads the values of a field: a string; an array of numbers, as
// which journalctl writes what is not UTF-8; or an array of these where the
// entry has the field more than once.
func jsonValues(v json.RawMessage) [][]byte {
	if b, ok := jsonBytes(v); ok {
		return [][]byte{b}
	}
	var several []json.RawMessage
	if json.Unmarshal(v, &several) != nil {
		return nil
	}
	var out [][]byte
	for _, s := range several {
		if b, ok := jsonBytes(s); ok {
			out = append(out, b)
		}
	}
	return out
}

func jsonBytes(v json.RawMessage) ([]byte, bool) {
	var s string
	if json.Unmarshal(v, &s) == nil {
		return []byte(s), true
	}
	var ns []uint16 // []byte would be read as base64
	if json.Unmarshal(v, &ns) != nil {
		return nil, false
	}
	out := make([]byte, len(ns))
	for i, n := range ns {
		if n > 0xff {
			return nil, false
		}
		out[i] = byte(n)
	}
	return out, true
}
