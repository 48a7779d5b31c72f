package source

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// An entry is what a line is made of: as syslog would write it, without a date.
type entry struct {
	host, name, comm, pid, message []byte
	micros                         int64
	dated                          bool
}

func (e *entry) line(buf []byte) Line {
	buf = append(buf[:0], e.host...)
	buf = append(buf, ' ')
	name := e.name
	if len(name) == 0 {
		name = e.comm
	}
	buf = append(buf, name...)
	if len(e.pid) > 0 {
		buf = append(append(append(buf, '['), e.pid...), ']')
	}
	buf = append(buf, ": "...)
	// A message may have several lines; the log it stands for has one.
	for _, c := range e.message[:min(len(e.message), maxLine)] {
		if c == '\n' || c == '\r' {
			c = ' '
		}
		buf = append(buf, c)
	}
	return Line{Text: buf, Seconds: float64(e.micros) / 1e6, Timed: e.dated}
}

func (e *entry) set(key string, value []byte) {
	switch key {
	case "_HOSTNAME":
		e.host = value
	case "SYSLOG_IDENTIFIER":
		e.name = value
	case "_COMM":
		e.comm = value
	case "_PID":
		e.pid = value
	case "SYSLOG_PID":
		if len(e.pid) == 0 {
			e.pid = value
		}
	case "MESSAGE":
		e.message = value
	case "__REALTIME_TIMESTAMP":
		n, err := strconv.ParseInt(string(value), 10, 64)
		e.micros, e.dated = n, err == nil
	}
}

// wanted are the fields that are kept.
func wanted(key []byte) bool {
	switch string(key) {
	case "_HOSTNAME", "SYSLOG_IDENTIFIER", "_COMM", "_PID", "SYSLOG_PID", "MESSAGE", "__REALTIME_TIMESTAMP":
		return true
	}
	return false
}

// maxField bounds a field of an entry; the journal itself allows 768 MiB.
const maxField = 64 << 10

// An export reads the Journal Export Format (systemd.io/JOURNAL_EXPORT_FORMATS).
type export struct {
	b   *bufio.Reader
	buf []byte
}

func (x *export) next() (Line, error) {
	var e entry
	any := false
	for {
		l, err := x.field()
		if err != nil && len(l) == 0 {
			if any && errors.Is(err, io.EOF) {
				break
			}
			return Line{}, err
		}
		if len(l) == 0 {
			if any {
				break
			}
			continue
		}
		any = true
		key, value, text := bytes.Cut(l, []byte("="))
		if !text {
			if value, err = x.binary(); err != nil {
				return Line{}, fmt.Errorf("journal export: field %.40q: %w", key, err)
			}
		}
		if wanted(key) {
			e.set(string(key), bytes.Clone(value))
		}
	}
	l := e.line(x.buf)
	x.buf = l.Text
	return l, nil
}

// field reads the line of a field; its rest is skipped if it is too long.
func (x *export) field() ([]byte, error) {
	var r Reader
	return r.line(x.b, maxField)
}

// binary reads a value with its length before it.
func (x *export) binary() ([]byte, error) {
	var size [8]byte
	if _, err := io.ReadFull(x.b, size[:]); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint64(size[:])
	if n > 1<<30 {
		return nil, fmt.Errorf("it claims to have %d bytes", n)
	}
	keep := make([]byte, min(n, maxField))
	if _, err := io.ReadFull(x.b, keep); err != nil {
		return nil, err
	}
	if _, err := io.CopyN(io.Discard, x.b, int64(n)-int64(len(keep))+1); err != nil {
		return nil, err
	}
	return keep, nil
}

// jsonLines reads one JSON object a line.
type jsonLines struct {
	r   *Reader
	b   *bufio.Reader
	buf []byte
}

// maxJSON bounds an entry in JSON.
const maxJSON = 1 << 20

func (j *jsonLines) next() (Line, error) {
	for {
		l, err := j.r.line(j.b, maxJSON)
		if err != nil {
			return Line{}, err
		}
		if len(bytes.TrimSpace(l)) == 0 {
			continue
		}
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(l, &fields); err != nil {
			return Line{}, fmt.Errorf("journal JSON: %w", err)
		}
		var e entry
		for k, v := range fields {
			if wanted([]byte(k)) {
				e.set(k, jsonBytes(v))
			}
		}
		line := e.line(j.buf)
		j.buf = line.Text
		return line, nil
	}
}

// jsonBytes reads a string, or an array of numbers as which journalctl writes
// what is not UTF-8.
func jsonBytes(v json.RawMessage) []byte {
	var s string
	if json.Unmarshal(v, &s) == nil {
		return []byte(s)
	}
	var ns []int
	if json.Unmarshal(v, &ns) != nil {
		return nil
	}
	out := make([]byte, len(ns))
	for i, n := range ns {
		out[i] = byte(n)
	}
	return out
}

// newUTF16 returns a reader of in, which begins with a byte order mark, as UTF-8.
func newUTF16(in io.Reader) io.Reader { return &utf16Reader{in: in} }

type utf16Reader struct {
	in    io.Reader
	order binary.ByteOrder
	out   []byte
	high  rune // a surrogate that waits for its second half
}

func (u *utf16Reader) Read(p []byte) (int, error) {
	for len(u.out) == 0 {
		var raw [4096]byte
		n, err := io.ReadFull(u.in, raw[:])
		if n < 2 {
			if err == nil || errors.Is(err, io.ErrUnexpectedEOF) {
				err = io.EOF
			}
			return 0, err
		}
		b := raw[:n&^1]
		if u.order == nil {
			u.order = binary.LittleEndian
			if b[0] == 0xfe {
				u.order = binary.BigEndian
			}
			b = b[2:]
		}
		for i := 0; i+1 < len(b); i += 2 {
			u.add(rune(u.order.Uint16(b[i:])))
		}
	}
	n := copy(p, u.out)
	u.out = u.out[n:]
	return n, nil
}

func (u *utf16Reader) add(r rune) {
	if u.high != 0 {
		pair := utf16.DecodeRune(u.high, r)
		u.high = 0
		if pair != utf8.RuneError {
			u.out = utf8.AppendRune(u.out, pair)
			return
		}
		u.out = utf8.AppendRune(u.out, utf8.RuneError)
	}
	if r >= 0xd800 && r < 0xdc00 {
		u.high = r
		return
	}
	u.out = utf8.AppendRune(u.out, r)
}
