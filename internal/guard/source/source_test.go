package source

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
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

func TestFormats(t *testing.T) {
	var gz, zs, x, u bytes.Buffer
	zw, err := zstd.NewWriter(&zs)
	if err != nil {
		t.Fatal(err)
	}
	xw, err := xz.NewWriter(&x)
	if err != nil {
		t.Fatal(err)
	}
	binary.Write(&u, binary.LittleEndian, utf16.Encode([]rune("\ufeff"+text)))
	for _, c := range []struct {
		format string
		in     []byte
	}{
		{"text", []byte(text)},
		{"text", []byte("\xef\xbb\xbf" + text)},
		{"gzip, text", compressed(t, gzip.NewWriter(&gz), &gz)},
		{"zstd, text", compressed(t, zw, &zs)},
		{"xz, text", compressed(t, xw, &x)},
		{"UTF-16 text", u.Bytes()},
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

func TestTruncated(t *testing.T) {
	var gz bytes.Buffer
	w := gzip.NewWriter(&gz)
	for range 100_000 {
		io.WriteString(w, "a line of a log that goes on and on\n")
	}
	w.Close()
	lines, _, err := readAll(t, gz.Bytes()[:gz.Len()/2])
	if len(lines) < 1000 || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%d lines, then %v", len(lines), err)
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
		"__CURSOR=s=2\n__REALTIME_TIMESTAMP=1785729907000000\n_HOSTNAME=host\n_COMM=su\nMESSAGE\n\x07\x00\x00\x00\x00\x00\x00\x00two\nx\x00y\n"
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

func FuzzReader(f *testing.F) {
	f.Add([]byte(text))
	f.Add([]byte("__CURSOR=x\nMESSAGE\n\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Add([]byte(`{"__REALTIME_TIMESTAMP":1}`))
	f.Add([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff})
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := NewReader(bytes.NewReader(in))
		if err != nil {
			return
		}
		defer r.Close()
		for range 10_000 {
			if _, err := r.Next(); err != nil {
				return
			}
		}
	})
}
