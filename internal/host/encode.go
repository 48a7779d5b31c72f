package host

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// maxFile bounds what [Read] takes into memory: far more than a host with
// 100,000 rules and as many routes gives.
const maxFile = 512 << 20

// Write writes a snapshot as indented JSON with a final newline. The same
// snapshot always gives the same bytes.
func Write(w io.Writer, s *Snapshot) error {
	if s.Schema != Schema {
		return fmt.Errorf("write snapshot: it has schema %d, this program writes %d", s.Schema, Schema)
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	if err := enc.Encode(s); err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	if _, err := w.Write(buf.Bytes()); err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	return nil
}

// Read reads one snapshot and nothing after it.
func Read(r io.Reader) (*Snapshot, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read snapshot: %w", err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("read snapshot: more than %d MiB, not a snapshot", maxFile>>20)
	}
	if err := checkSchema(data); err != nil {
		return nil, fmt.Errorf("read snapshot: %w", err)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	s := new(Snapshot)
	if err := dec.Decode(s); err != nil {
		return nil, fmt.Errorf("read snapshot: %s: %w", place(data, dec.InputOffset(), err), err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read snapshot: %s: something follows the snapshot", place(data, dec.InputOffset(), nil))
	}
	// The first schema had none of what only an audit looks at, which is what a
	// snapshot says that is not Audited; the rest of it is the same.
	s.Schema = Schema
	return s, nil
}

// checkSchema looks at the version alone, so that a newer file is answered with
// its version and not with the first member that is unknown here.
func checkSchema(data []byte) error {
	var head struct {
		Schema *int `json:"schema"`
	}
	if err := json.NewDecoder(bytes.NewReader(data)).Decode(&head); err != nil {
		return fmt.Errorf("%s: not a snapshot: %w", place(data, 0, err), err)
	}
	switch {
	case head.Schema == nil:
		return errors.New(`no "schema": not a snapshot of sekimori`)
	case *head.Schema > Schema:
		return fmt.Errorf("it has schema %d, this program knows %d\nhint: read it with the version of sekimori that wrote it, or a later one", *head.Schema, Schema)
	case *head.Schema < 1:
		return fmt.Errorf("schema %d does not exist", *head.Schema)
	}
	return nil
}

// place turns a byte offset, the one in err where it has one, into "line N".
func place(data []byte, offset int64, err error) string {
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		offset = e.Offset
	}
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		offset = e.Offset
	}
	offset = min(max(offset, 0), int64(len(data)))
	return fmt.Sprintf("line %d", 1+bytes.Count(data[:offset], []byte("\n")))
}
