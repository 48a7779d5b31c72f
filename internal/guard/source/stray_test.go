package source

import (
	"errors"
	"io"
	"strings"
	"testing"
)

// Entries of a journal that stand where text is read, and entries that have not
// one message, do not count; how many is told.
func TestEntriesThatDoNotCount(t *testing.T) {
	const (
		text   = "Nov  1 10:00:00 h sshd[1]: Failed password\n"
		object = `{"__CURSOR": "c0", "MESSAGE": "Failed password"}` + "\n"
		export = "__CURSOR=c\n_UID=0\nMESSAGE=Failed password\n\n"
	)
	for _, c := range []struct {
		name, in         string
		lines, bad, from int
		why              string
	}{
		{"text", text + text, 2, 0, 0, ""},
		{"text, then JSON", text + object + object + text, 2, 2, 2, "a log of its own"},
		{"a heading, then JSON", "-- Logs begin --\n" + object, 1, 1, 2, "a log of its own"},
		{"text, then an export", text + export + "__REALTIME_TIMESTAMP=1\n" + export + text, 4, 2, 2, "a log of its own"},
		{"blank lines, then an export", "\n\n\n" + export + export, 2, 0, 0, ""},
		{"words of the journal in another program's JSON", text + `{"uri":"/\"__CURSOR\"","headers":{"__CURSOR":"x"}}` + "\n", 2, 0, 0, ""},
		{"a line like a field, outside of an entry", text + "MESSAGE=x\n_UID=0\n", 3, 0, 0, ""},
		{"two messages in JSON", object + `{"__CURSOR": "c1", "MESSAGE": ["Failed password", "x"]}` + "\n" + object, 2, 1, 2, "several messages"},
		{"a message that is none", object + `{"__CURSOR": "c1", "MESSAGE": {"a": 1}}` + "\n", 1, 1, 2, "neither text nor bytes"},
		{"two messages in an export", export + "__CURSOR=c\nMESSAGE=Failed password\nMESSAGE=x\n\n" + export, 2, 1, 8, "several messages"},
	} {
		r, err := NewReader(strings.NewReader(c.in))
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for {
			if _, err = r.Next(); err != nil {
				break
			}
			n++
		}
		f := r.Flaws()
		if !errors.Is(err, io.EOF) || n != c.lines || f.Bad != c.bad || f.FirstBad != c.from || !strings.Contains(f.Why, c.why) {
			t.Errorf("%s: %d lines, %+v, %v", c.name, n, f, err)
		}
	}
}

// What would be read as one line, or with the head of an archive before its first
// line, is no log.
func TestWhatIsNoLog(t *testing.T) {
	const line = "Nov  1 10:00:00 h sshd[1]: Failed password"
	head := make([]byte, 512)
	copy(head, "auth.log")
	copy(head[257:], "ustar\x0000")
	for _, c := range []struct{ name, in, want string }{
		{"tar", string(head) + line + "\n", "a tar archive"},
		{"carriage returns", line + "\r" + line + "\r", "carriage returns alone"},
		{"many", strings.Repeat(line+"\r", 10_000), "carriage returns alone"},
		{"one in a line", line + "\r" + line + "\n" + line + "\n", ""},
		{"one in a long line", strings.Repeat(line, 200) + "\r" + line + "\n" + line + "\n", ""},
		{"the end of a line that is cut", line + "\r", ""},
		{"carriage returns and line ends", line + "\r\n" + line + "\r\n", ""},
	} {
		r, err := NewReader(strings.NewReader(c.in))
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.Next()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
