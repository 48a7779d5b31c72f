package lz4_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"sekimori/internal/observe/lz4"
)

// frame puts blocks into a frame; each is stored or compressed as given.
func frame(flags, size byte, blocks ...[]byte) []byte {
	out := []byte{0x04, 0x22, 0x4D, 0x18, flags, size, 0}
	for _, b := range blocks {
		out = append(out, byte(len(b)), byte(len(b)>>8), 0, 0)
		out = append(out, b...)
	}
	return append(out, 0, 0, 0, 0)
}

func TestFrames(t *testing.T) {
	for _, test := range []struct {
		name string
		in   []byte
		want string
	}{
		{"nothing", nil, ""},
		{"an empty frame", frame(0x60, 0x40), ""},
		{"literals", frame(0x60, 0x40, []byte("\x50hello")), "hello"},
		{"a copy", frame(0x60, 0x40, []byte("\x41abcd\x04\x00\x20ef")), "abcdabcdaef"},
		{"an overlapping copy", frame(0x60, 0x40, []byte("\x1fa\x01\x00\x05\x10b")), "a" + strings.Repeat("a", 24) + "b"},
		{"a linked copy", frame(0x40, 0x40, []byte("\x40abcd"), []byte("\x00\x04\x00\x10!")), "abcdabcd!"},
		{"two frames", append(frame(0x60, 0x40, []byte("\x10a")), frame(0x60, 0x40, []byte("\x10b"))...), "ab"},
		{"a skippable frame", append([]byte{0x50, 0x2A, 0x4D, 0x18, 2, 0, 0, 0, 'x', 'y'}, frame(0x60, 0x40, []byte("\x10a"))...), "a"},
	} {
		got, err := io.ReadAll(lz4.NewReader(bytes.NewReader(test.in)))
		if err != nil || string(got) != test.want {
			t.Errorf("%s: %q, %v; want %q", test.name, got, err, test.want)
		}
	}
	for name, in := range map[string][]byte{
		"no frame":         []byte("Package: a\n"),
		"an unlinked copy": frame(0x60, 0x40, []byte("\x40abcd"), []byte("\x00\x04\x00\x10!")),
		"from nowhere":     frame(0x60, 0x40, []byte("\x10a\x05\x00\x10b")),
		"offset 0":         frame(0x60, 0x40, []byte("\x10a\x00\x00\x10b")),
		"block too large":  frame(0x60, 0x40, []byte("\x1fa\x01\x00"+strings.Repeat("\xff", 300)+"\x00\x10b")),
	} {
		if _, err := io.ReadAll(lz4.NewReader(bytes.NewReader(in))); !errors.Is(err, lz4.ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
	whole := frame(0x60, 0x40, []byte("\x50hello"))
	for i := 1; i < len(whole); i++ {
		if _, err := io.ReadAll(lz4.NewReader(bytes.NewReader(whole[:i]))); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("cut off after %d bytes: %v", i, err)
		}
	}
}

func FuzzReader(f *testing.F) {
	f.Add(frame(0x40, 0x40, []byte("\x40abcd"), []byte("\x00\x04\x00\x10!")))
	f.Add(frame(0x7d, 0x70, []byte("\x1fa\x01\x00\x05\x10b")))
	f.Fuzz(func(t *testing.T, in []byte) {
		n, err := io.Copy(io.Discard, io.LimitReader(lz4.NewReader(bytes.NewReader(in)), 64<<20))
		// A byte of a length stands for at most 255.
		if err == nil && n > int64(len(in))*256 {
			t.Errorf("%d bytes became %d", len(in), n)
		}
	})
}
