package source

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// An entry is what a line is made of: as syslog would write it, without a date.
type entry struct {
	host, name, comm, pid, syslogPid, message []byte
	hasMessage, twice                         bool // twice: there are several messages
	micros                                    int64
	dated                                     bool
	fields                                    []Field
	// Home of the line and of the values, used again for the next entry.
	buf, space []byte
}

// reset forgets all but the memory.
func (e *entry) reset() {
	*e = entry{fields: e.fields[:0], buf: e.buf[:0], space: e.space[:0]}
}

// line composes the line. What stands for a line end inside of a field would
// begin another line: the log that the entry stands for has one.
func (e *entry) line() Line {
	name, pid := e.name, e.pid
	if len(name) == 0 {
		name = e.comm
	}
	if len(pid) == 0 {
		pid = e.syslogPid
	}
	e.add(e.host)
	e.buf = append(e.buf, ' ')
	e.add(name)
	if len(pid) > 0 {
		e.buf = append(e.buf, '[')
		e.add(pid)
		e.buf = append(e.buf, ']')
	}
	e.buf = append(e.buf, ": "...)
	e.add(e.message)
	return Line{Text: e.buf, Seconds: float64(e.micros) / 1e6, Timed: e.dated, Journal: true, Fields: e.fields}
}

func (e *entry) add(b []byte) {
	for _, c := range b[:min(len(b), maxLine)] {
		if c == '\n' || c == '\r' {
			c = ' '
		}
		e.buf = append(e.buf, c)
	}
}

// set takes over a field, if it is wanted.
func (e *entry) set(key string, value []byte, keep map[string]bool) {
	kept := keep[key]
	if !kept && !wanted(key) {
		return
	}
	at := len(e.space)
	e.space = append(e.space, value...)
	value = e.space[at:len(e.space):len(e.space)]
	if kept {
		e.fields = append(e.fields, Field{[]byte(key), value})
	}
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
		e.syslogPid = value
	case "MESSAGE":
		e.twice = e.hasMessage
		e.message, e.hasMessage = value, true
	case "__REALTIME_TIMESTAMP":
		n, err := strconv.ParseInt(string(value), 10, 64)
		e.micros, e.dated = n, err == nil && n > 0
	}
}

// wanted are the fields that a line is made of.
func wanted(key string) bool {
	switch key {
	case "_HOSTNAME", "SYSLOG_IDENTIFIER", "_COMM", "_PID", "SYSLOG_PID", "MESSAGE", "__REALTIME_TIMESTAMP":
		return true
	}
	return false
}

// maxField bounds a field of an entry; the journal itself allows 768 MiB.
const maxField = 64 << 10

// An export reads the Journal Export Format (systemd.io/JOURNAL_EXPORT_FORMATS).
type export struct {
	r     *Reader
	b     *bufio.Reader
	entry entry
	done  error
}

// next returns the next entry. It does not look for one behind what is broken:
// lengths are all that keeps a message from looking like fields.
func (x *export) next() (Line, error) {
	if x.done != nil {
		return Line{}, x.done
	}
	x.entry.reset()
	inside := false
	for {
		l, whole, err := x.field()
		switch {
		case err != nil && inside:
			x.done = fmt.Errorf("journal export: %w", err)
			if errors.Is(err, io.EOF) {
				x.done = cutOff(fmt.Sprintf("in an entry, in line %d", x.r.num), err)
			}
			if errors.Is(err, io.EOF) && x.entry.hasMessage && !x.entry.twice {
				return x.entry.line(), nil // its fields are whole; the end comes next
			}
			return Line{}, x.done
		case err != nil:
			return Line{}, err
		case !whole:
			x.done = cutOff(fmt.Sprintf("in an entry, in line %d", x.r.num), io.EOF)
			return Line{}, x.done
		case len(l) == 0 && inside && x.entry.twice:
			x.r.bad(x.r.num, errSeveral)
			x.entry.reset()
			inside = false
			continue
		case len(l) == 0 && inside:
			return x.entry.line(), nil
		case len(l) == 0:
			continue
		}
		inside = true
		key, value, text := bytes.Cut(l, []byte("="))
		name := string(key)
		if !text {
			if value, err = x.binary(); err != nil {
				if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
					x.done = cutOff(fmt.Sprintf("in an entry, in line %d", x.r.num), io.EOF)
				} else {
					x.done = fmt.Errorf("journal export: line %d: field %.40q: %w", x.r.num, name, err)
				}
				return Line{}, x.done
			}
		}
		x.entry.set(name, value, x.r.keep)
	}
}

// field reads the line of a field; its rest is skipped if it is too long. A line
// without an end is not whole.
func (x *export) field() (l []byte, whole bool, err error) {
	l, err = x.b.ReadSlice('\n')
	switch {
	case err == nil:
		x.r.num++
		return l[:len(l)-1], true, nil
	case errors.Is(err, bufio.ErrBufferFull):
		keep := bytes.Clone(l[:maxField])
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = x.b.ReadSlice('\n')
		}
		x.r.flaws.Long++
		x.r.num++
		return keep, err == nil, ignoreEOF(err)
	case errors.Is(err, io.EOF) && len(l) > 0:
		x.r.num++
		return l, false, nil
	}
	return nil, false, err
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
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
	x.r.num += bytes.Count(keep, []byte{'\n'}) + 1
	if n > maxField {
		x.r.flaws.Long++
		if _, err := io.CopyN(io.Discard, x.b, int64(n-maxField)); err != nil {
			return nil, err
		}
	}
	switch end, err := x.b.ReadByte(); {
	case err != nil:
		return nil, err
	case end != '\n':
		return nil, errors.New("it is not as long as it says")
	}
	return keep, nil
}
