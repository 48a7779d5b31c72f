package source

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
)

func readAll(t *testing.T, in []byte) (lines []string, format string, fault error) {
	t.Helper()
	r, err := NewReader(bytes.NewReader(in))
	if err != nil {
		return nil, "", err
	}
	defer r.Close()
	for {
		l, err := r.Next()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return lines, r.Format(), err
		}
		lines = append(lines, string(l.Text))
	}
}

const text = "first line\nsecond line\n\nlast line without an end"

// The same text as xz and bzip2 write it.
const (
	textXZ    = "/Td6WFoAAATm1rRGAgAhAQwAAACPmEGc4AAvACtdADMaSqwMcr+NWPlNb76daaelw+FOR6qvQIQ7zU9zr7v2Fl4HncQTxVD1iAAAAPuFH7wDIG4ZAAFHMEVcZ7kftvN9AQAAAAAEWVo="
	textBzip2 = "QlpoOTFBWSZTWXC9ou8AAAnRgAAQQAAvZZ6AIAAiBGJiPUChppgAZEFwpYa1YyGXdzr0udCwfAsdj3Saa+LuSKcKEg4XtF3g"
)

func decoded(t *testing.T, s string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func compressed(t *testing.T, w io.WriteCloser, b *bytes.Buffer) []byte {
	t.Helper()
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func utf16Bytes(order binary.ByteOrder, s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.ByteOrder(order).(binary.AppendByteOrder).AppendUint16(b, u)
	}
	return b
}

func TestFormats(t *testing.T) {
	var gz, zs bytes.Buffer
	zw, err := zstd.NewWriter(&zs)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		format string
		in     []byte
	}{
		{"text", []byte(text)},
		{"text", []byte("\xef\xbb\xbf" + text)},
		{"gzip, text", compressed(t, gzip.NewWriter(&gz), &gz)},
		{"zstd, text", compressed(t, zw, &zs)},
		{"xz, text", decoded(t, textXZ)},
		{"bzip2, text", decoded(t, textBzip2)},
		{"UTF-16 text", utf16Bytes(binary.LittleEndian, "\ufeff"+text)},
		{"UTF-16 text", utf16Bytes(binary.BigEndian, "\ufeff"+text)},
		{"UTF-16 text without a byte order mark", utf16Bytes(binary.LittleEndian, text)},
		{"UTF-16 text without a byte order mark", utf16Bytes(binary.BigEndian, text)},
	} {
		lines, format, err := readAll(t, c.in)
		if err != nil || format != c.format {
			t.Errorf("%s: %s, %v", c.format, format, err)
		}
		if diff := cmp.Diff(strings.Split(text, "\n"), lines); diff != "" {
			t.Errorf("%s (-want +got)\n%s", c.format, diff)
		}
	}
}

// numbered is a log whose lines cannot be compressed to nothing.
func numbered() string {
	var b strings.Builder
	x := uint64(88172645463325252)
	for i := range 40_000 {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		fmt.Fprintf(&b, "line %d: %016x from 192.0.2.70\n", i, x)
	}
	return b.String()
}

// What was compressed and is cut off in the middle delivers what can be
// expanded; but not the line that is cut.
func TestTruncated(t *testing.T) {
	var gz, zs bytes.Buffer
	all := numbered()
	zw, err := zstd.NewWriter(&zs)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []io.WriteCloser{gzip.NewWriter(&gz), zw} {
		if _, err := io.WriteString(w, all); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	want := strings.Split(all, "\n")
	for _, in := range [][]byte{gz.Bytes(), zs.Bytes()} {
		for _, cut := range []int{2, 3} {
			lines, format, err := readAll(t, in[:len(in)*(cut-1)/cut])
			if len(lines) < 10_000 || !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%s: %d lines, then %v", format, len(lines), err)
			}
			if diff := cmp.Diff(want[:len(lines)], lines); diff != "" {
				t.Errorf("%s: a line that is cut off is delivered\n%s", format, diff)
			}
		}
	}
	x := decoded(t, textXZ)
	for n := 6; n < len(x); n++ {
		lines, _, err := readAll(t, x[:n])
		if err == nil || len(lines) > 0 && lines[0] != "first line" || len(lines) > 1 && lines[1] != "second line" {
			t.Errorf("xz, %d bytes: %q, %v", n, lines, err)
		}
	}
	if lines, _, _ := readAll(t, x[:len(x)-30]); len(lines) < 3 {
		t.Errorf("xz without its index: %q", lines)
	}
}

func TestLongLines(t *testing.T) {
	lines, _, err := readAll(t, []byte("a\n"+strings.Repeat("x", 10<<20)+"\nb\n"))
	if err != nil || len(lines) != 3 || len(lines[1]) != maxLine || lines[2] != "b" {
		t.Errorf("%d lines, %v", len(lines), err)
	}
}

func TestJournal(t *testing.T) {
	export := "__CURSOR=s=1\n__REALTIME_TIMESTAMP=1785729906123456\n_HOSTNAME=host\nSYSLOG_IDENTIFIER=sshd\n_PID=77\nMESSAGE=Failed password\n\n" +
		"__CURSOR=s=2\n__REALTIME_TIMESTAMP=1785729907000000\n_HOSTNAME=host\n_COMM=su\nMESSAGE\n\x07\x00\x00\x00\x00\x00\x00\x00two\nx\x00y\n\n"
	want := []string{"host sshd[77]: Failed password", "host su: two x\x00y"}
	lines, format, err := readAll(t, []byte(export))
	if diff := cmp.Diff(want, lines); diff != "" || err != nil || format != "journal export" {
		t.Errorf("%s, %v\n%s", format, err, diff)
	}
	json := `{"__REALTIME_TIMESTAMP":"1785729906123456","_HOSTNAME":"host","SYSLOG_IDENTIFIER":"sshd","_PID":"77","MESSAGE":"Failed password"}` + "\n" +
		`{"__REALTIME_TIMESTAMP":"1785729907000000","_HOSTNAME":"host","_COMM":"su","MESSAGE":[116,119,111,10,120,0,121]}` + "\n"
	lines, format, err = readAll(t, []byte(json))
	if diff := cmp.Diff(want, lines); diff != "" || err != nil || format != "journal JSON" {
		t.Errorf("%s, %v\n%s", format, err, diff)
	}
}

const (
	entryA = "__CURSOR=s=1\n__REALTIME_TIMESTAMP=1785729906123456\n_HOSTNAME=host\nSYSLOG_IDENTIFIER=sshd\n_PID=77\nMESSAGE=from 192.0.2.70\n_UID=0\n\n"
	jsonA  = `{"_UID":"0","__CURSOR":"a","__REALTIME_TIMESTAMP":"1785729906123456","_HOSTNAME":"host","SYSLOG_IDENTIFIER":"sshd","_PID":"77","MESSAGE":"from 192.0.2.70"}`
	lineA  = "host sshd[77]: from 192.0.2.70"
)

// An export that is cut off anywhere delivers its whole entries, never one
// whose message is cut, and says so unless it is cut between two.
func TestExportCutOff(t *testing.T) {
	all := entryA + entryA
	for n := 30; n < len(all); n += 1 + n%3 {
		lines, _, err := readAll(t, []byte(all[:n]))
		if (err == nil) != (n == len(entryA)) {
			t.Errorf("%d bytes: %v", n, err)
		}
		if want := n / len(entryA); len(lines) < want {
			t.Errorf("%d bytes: %d entries, want %d", n, len(lines), want)
		}
		for _, l := range lines {
			if l != lineA {
				t.Errorf("%d bytes: %q", n, l)
			}
		}
	}
	const binary = "__CURSOR=s=2\nMESSAGE\n\x07\x00\x00\x00\x00\x00\x00\x00two\nx\x00y"
	for _, c := range []struct{ in, want string }{
		{binary, "cut off in an entry, in line 4"},
		{binary + "x", "not as long as it says"},
		{"__CURSOR=s=2\nMESSAGE\n\xff\xff\xff\xff\xff\xff\xff\xff", "claims to have 18446744073709551615 bytes"},
	} {
		lines, _, err := readAll(t, []byte(c.in))
		if len(lines) > 0 || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %q, %v, want %s", c.in, lines, err, c.want)
		}
	}
}

// Entries in JSON, in all the forms in which they are written; what is no entry
// costs itself only.
func TestJSON(t *testing.T) {
	pretty := strings.NewReplacer("{", "{\n\t", ",", ",\n\t", "}", "\n}\n").Replace(jsonA)
	for _, c := range []struct {
		in           string
		lines, bad   int
		firstBad     int
		format, want string
	}{
		{in: jsonA + "\n" + jsonA, lines: 2, format: "journal JSON"},
		{in: "\x1e" + jsonA + "\n\x1e" + jsonA + "\n", lines: 2, format: "journal JSON"},
		{in: "data: " + jsonA + "\n\ndata: " + jsonA + "\n\n", lines: 2, format: "journal JSON"},
		{in: "[" + jsonA + "," + jsonA + "]", lines: 2, format: "journal JSON, as an array"},
		{in: "[\n " + jsonA + ",\n" + pretty + "]\n", lines: 2, format: "journal JSON, as an array"},
		{in: pretty + pretty, lines: 2, format: "journal JSON"},
		{in: jsonA + "\n" + jsonA[:50] + "\n" + jsonA + "\n", lines: 2, bad: 1, firstBad: 2, format: "journal JSON"},
		{in: jsonA + "\nwhat\n" + jsonA + "\n" + jsonA[:9], lines: 2, bad: 2, firstBad: 2, format: "journal JSON"},
		{in: "[" + jsonA + "," + jsonA[:50] + "\n" + jsonA + "]", lines: 2, bad: 1, firstBad: 1, format: "journal JSON, as an array"},
		{in: "[" + jsonA + "," + jsonA, lines: 2, format: "journal JSON, as an array", want: "before the end of the array"},
		{in: "[" + jsonA + "," + jsonA[:50], lines: 1, format: "journal JSON, as an array", want: "cut off in an entry"},
		{in: strings.Replace(jsonA, `"from 192.0.2.70"`, "null", 1) + "\n" + jsonA, lines: 1, bad: 1, firstBad: 1, format: "journal JSON"},
		{in: jsonA + "\n{\"MESSAGE\":\"" + strings.Repeat("x", 2<<20) + "\"}\n" + jsonA, lines: 2, bad: 1, firstBad: 2, format: "journal JSON"},
	} {
		r, err := NewReader(strings.NewReader(c.in))
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for {
			l, err := r.Next()
			if err != nil {
				if errors.Is(err, io.EOF) != (c.want == "") || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%.300q: %v, want %q", c.in, err, c.want)
				}
				break
			}
			if n++; string(l.Text) != lineA || !l.Timed || l.Seconds != 1785729906.123456 {
				t.Errorf("%.300q: %q", c.in, l.Text)
			}
		}
		if f := r.Flaws(); n != c.lines || f.Bad != c.bad || f.FirstBad != c.firstBad || r.Format() != c.format {
			t.Errorf("%.300q: %s, %d entries, %+v", c.in, r.Format(), n, f)
		}
	}
}

func TestFields(t *testing.T) {
	twice := strings.Replace(jsonA, `"_UID":"0"`, `"_UID":["0",[49,50]]`, 1)
	for _, c := range []struct {
		in   string
		want []string
	}{
		{entryA, []string{"0"}},
		{strings.Replace(entryA, "_UID=0", "_UID=0\n_UID=12", 1), []string{"0", "12"}},
		{jsonA, []string{"0"}},
		{twice, []string{"0", "12"}},
	} {
		r, err := NewReader(strings.NewReader(c.in))
		if err != nil {
			t.Fatal(err)
		}
		r.Keep("_UID", "_EXE")
		l, err := r.Next()
		if err != nil || !l.Journal {
			t.Fatalf("%q: %v", c.in, err)
		}
		for _, v := range c.want {
			if !l.Has("_UID", v) {
				t.Errorf("%q: no %s", c.in, v)
			}
		}
		if first, _ := l.Field("_UID"); len(l.Fields) != len(c.want) || first != c.want[0] || l.Has("_UID", "1") || l.Has("_PID", "77") {
			t.Errorf("%q: %q", c.in, l.Fields)
		}
	}
}

// What stands in a field cannot begin another line.
func TestFieldsStayOneLine(t *testing.T) {
	in := "__CURSOR=s=1\nSYSLOG_IDENTIFIER\n\x03\x00\x00\x00\x00\x00\x00\x00a\nb\nMESSAGE=x\ry\n\n"
	lines, _, err := readAll(t, []byte(in))
	if diff := cmp.Diff([]string{" a b: x y"}, lines); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
}

// NULs are taken off around a line and counted inside of one; files that are
// something else are refused by name.
func TestRubbish(t *testing.T) {
	hole := strings.Repeat("\x00", 600<<10)
	for _, c := range []struct {
		in    string
		want  []string
		flaws Flaws
		err   string
	}{
		{in: hole + "a\nb\n", want: []string{"a", "b"}, flaws: Flaws{Holes: 1}},
		{in: "a\n" + hole + "b\nc" + "\x00\x00\n", want: []string{"a", "b", "c"}, flaws: Flaws{Holes: 2}},
		{in: "a\nb\x00b\nc\nd", want: []string{"a", "b\x00b", "c", "d"}, flaws: Flaws{NUL: 1, FirstNUL: 2}},
		{in: "a\n" + hole, want: []string{"a"}, flaws: Flaws{Holes: 1}},
		{in: "a\x00b\nc\x00d\ne", want: []string{"a\x00b", "c\x00d", "e"}, flaws: Flaws{NUL: 2, FirstNUL: 1}, err: "no text log"},
		{in: "LPKSHHRH" + hole, err: "journalctl -o export"},
		{in: "\x7fELF\x02\x01\x01", err: "a program"},
		{in: "\xff\xfe\x00\x00a\x00\x00\x00", err: "UTF-32"},
		{in: "a\x00b\x00c\x00d\x00e\x00f\x00g\x00h\x00i", want: nil, err: "within a character"},
	} {
		r, err := NewReader(strings.NewReader(c.in))
		var lines []string
		for err == nil {
			var l Line
			if l, err = r.Next(); err == nil {
				lines = append(lines, string(l.Text))
			}
		}
		if errors.Is(err, io.EOF) != (c.err == "") || !strings.Contains(err.Error(), c.err) {
			t.Errorf("%.20q: %v, want %q", c.in, err, c.err)
		}
		if r == nil {
			continue
		}
		if diff := cmp.Diff(c.want, lines); diff != "" {
			t.Errorf("%.20q\n%s", c.in, diff)
		}
		if diff := cmp.Diff(c.flaws, r.Flaws()); diff != "" {
			t.Errorf("%.20q\n%s", c.in, diff)
		}
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte(text))
	f.Add([]byte("__CURSOR=x\nMESSAGE\n\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Add([]byte(`{"__REALTIME_TIMESTAMP":1}`))
	f.Add([]byte(jsonA + "\n" + jsonA))
	f.Add([]byte("[" + jsonA + ",\n" + jsonA + "]"))
	f.Add([]byte(entryA + entryA))
	f.Add([]byte("a\x00\x00b\n\x00\x00c\n"))
	f.Add([]byte("a\x00b\x00c\x00d\x00e\x00f\x00g\x00h\x00"))
	for _, s := range []string{textXZ, textBzip2} {
		b, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff})
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := NewReader(bytes.NewReader(in))
		if err != nil {
			return
		}
		defer r.Close()
		r.Keep("_UID")
		for range 10_000 {
			l, err := r.Next()
			if err != nil {
				return
			}
			if bytes.IndexByte(l.Text, '\n') >= 0 {
				t.Fatalf("a line with a line end inside: %q", l.Text)
			}
		}
	})
}
