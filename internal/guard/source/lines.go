package source

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// maxLine is how much of a line is delivered. It is more than a filter looks
// at, so that cutting is seen there.
const maxLine = 16 << 10

// A Line is one line of a log. The text is valid until the next one is read.
type Line struct {
	Text []byte
	// Seconds is when it was logged, if the log itself knows (Timed): the
	// journal does, a text file has a date in the text.
	Seconds float64
	Timed   bool
}

// A Reader delivers the lines of one log.
type Reader struct {
	next   func() (Line, error)
	close  func()
	format string
	long   int
}

// Format says what the log turned out to be, for example "gzip, text".
func (r *Reader) Format() string { return r.format }

// Long returns how many lines were too long to be delivered whole.
func (r *Reader) Long() int { return r.long }

// Next returns the next line; io.EOF at the end.
func (r *Reader) Next() (Line, error) { return r.next() }

// Close releases what expanding needs. It does not close what was opened.
func (r *Reader) Close() {
	if r.close != nil {
		r.close()
	}
}

// NewReader finds out what kind of log in is.
func NewReader(in io.Reader) (*Reader, error) {
	r := &Reader{}
	b := bufio.NewReaderSize(in, 64<<10)
	head, _ := b.Peek(6)
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, fmt.Errorf("gzip: %w", err)
		}
		r.format, b = "gzip, ", bufio.NewReaderSize(z, 256<<10)
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(b, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxDictionary), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, fmt.Errorf("zstd: %w", err)
		}
		r.format, r.close, b = "zstd, ", z.Close, bufio.NewReaderSize(z, 256<<10)
	case bytes.HasPrefix(head, []byte{0xfd, '7', 'z', 'X', 'Z', 0}):
		if err := xzMemory(b); err != nil {
			return nil, err
		}
		z, err := xz.NewReader(b)
		if err != nil {
			return nil, fmt.Errorf("xz: %w", err)
		}
		r.format, b = "xz, ", bufio.NewReaderSize(z, 256<<10)
	default:
		b = bufio.NewReaderSize(b, 256<<10)
	}
	r.open(b)
	return r, nil
}

// maxDictionary is how much memory expanding may ask for: what xz -9 and zstd
// --ultra -22 need.
const maxDictionary = 128 << 20

// xzMemory reads how large a dictionary the first block asks for, which would
// be allocated at once.
func xzMemory(b *bufio.Reader) error {
	head, _ := b.Peek(12 + 64)
	if len(head) < 12+12 || head[12] == 0 {
		return nil // no block at all, or broken: the reader says so
	}
	at := 14
	for bit := byte(0x40); bit != 0; bit <<= 1 { // compressed and uncompressed size
		if head[13]&bit == 0 {
			continue
		}
		for at < len(head) && head[at]&0x80 != 0 {
			at++
		}
		at++
	}
	if at+2 >= len(head) || head[at] != 0x21 || head[at+1] != 1 {
		return errors.New("xz: a filter other than LZMA2")
	}
	if d := head[at+2]; d > 40 || uint64(2|d&1)<<(d/2+11) > maxDictionary {
		return fmt.Errorf("xz: expanding it takes more than %d MiB of memory", maxDictionary>>20)
	}
	return nil
}

// open looks at the beginning of what was expanded.
func (r *Reader) open(b *bufio.Reader) {
	head, _ := b.Peek(4 << 10)
	switch {
	case bytes.HasPrefix(head, []byte{0xff, 0xfe}), bytes.HasPrefix(head, []byte{0xfe, 0xff}):
		r.format += "UTF-16 text"
		b = bufio.NewReaderSize(newUTF16(b), 64<<10)
	case bytes.HasPrefix(head, []byte("__CURSOR=")), bytes.HasPrefix(head, []byte("__REALTIME_TIMESTAMP=")):
		r.format += "journal export"
		e := &export{b: b}
		r.next = e.next
		return
	case bytes.HasPrefix(head, []byte("{")) && bytes.Contains(head, []byte(`"__REALTIME_TIMESTAMP"`)):
		r.format += "journal JSON"
		j := &jsonLines{r: r, b: b}
		r.next = j.next
		return
	default:
		if bytes.HasPrefix(head, []byte("\xef\xbb\xbf")) {
			b.Discard(3)
		}
		r.format += "text"
	}
	r.next = func() (Line, error) {
		l, err := r.line(b, maxLine)
		return Line{Text: l}, err
	}
}

// line reads a line without its end; of a long one, the beginning.
func (r *Reader) line(b *bufio.Reader, limit int) ([]byte, error) {
	l, err := b.ReadSlice('\n')
	switch {
	case err == nil:
		return l[:len(l)-1], nil
	case errors.Is(err, io.EOF) && len(l) > 0:
		return l, nil
	case !errors.Is(err, bufio.ErrBufferFull):
		if len(l) > 0 && !errors.Is(err, io.EOF) {
			return l, nil // the fault comes again
		}
		return nil, err
	}
	r.long++
	keep := append([]byte(nil), l[:min(limit, len(l))]...)
	for {
		l, err = b.ReadSlice('\n')
		if len(keep) < limit {
			keep = append(keep, l[:min(limit-len(keep), len(l))]...)
		}
		switch {
		case err == nil:
			return keep[:min(len(keep), limit)], nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return keep, nil
		}
	}
}
