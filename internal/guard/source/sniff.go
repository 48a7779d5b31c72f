package source

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/xi2/xz"
)

// maxDictionary is how much memory expanding may ask for: what xz -9 and zstd
// --ultra -22 need.
const maxDictionary = 128 << 20

// others are kinds of files that are no logs, by how they begin, with what makes
// a log of them.
var others = [...]struct{ magic, what string }{
	{"LPKSHHRH", "a file of the journal itself (journalctl -o export --file=FILE writes what can be read)"},
	{"\x04\x22\x4d\x18", "compressed with lz4 (lz4 -dc FILE writes what can be read)"},
	{"\x02\x21\x4c\x18", "compressed with lz4 (lz4 -dc FILE writes what can be read)"},
	{"\x89LZO\x00", "compressed with lzop (lzop -dc FILE writes what can be read)"},
	{"\x1f\x9d", "compressed with compress (zcat FILE writes what can be read)"},
	{"PK\x03\x04", "a zip archive (unzip -p FILE writes what can be read)"},
	{"7z\xbc\xaf\x27\x1c", "a 7z archive"},
	{"\x7fELF", "a program"},
	{"\xff\xfe\x00\x00", "UTF-32 text (iconv -f UTF-32 -t UTF-8 FILE writes what can be read)"},
	{"\x00\x00\xfe\xff", "UTF-32 text (iconv -f UTF-32 -t UTF-8 FILE writes what can be read)"},
	{"SQLite format 3\x00", "a database"},
	{"\x89PNG", "a picture"},
	{"%PDF-", "a document"},
}

// errTar and errCR are ends of logs that are read as what they are not: the first
// lines of a file in an archive, and a log in one line, would be lost.
var (
	errTar = errors.New("this is no log, but a tar archive (tar -xOf FILE writes what can be read)")
	errCR  = errors.New("its lines end in carriage returns alone (tr '\\r' '\\n' <FILE writes what can be read)")
)

// misread returns what is wrong with a log of text that begins with head.
func misread(b *bufio.Reader, head []byte) error {
	if len(head) > 262 && string(head[257:262]) == "ustar" {
		return errTar
	}
	if bytes.IndexByte(head, '\r') >= 0 && bytes.IndexByte(head, '\n') < 0 {
		// A client may have sent one: it takes a long look to be sure.
		head, _ = b.Peek(maxSniff)
		if bytes.IndexByte(head, '\n') < 0 && bytes.IndexByte(bytes.TrimRight(head, "\r"), '\r') >= 0 {
			return errCR
		}
	}
	return nil
}

// NewReader finds out what kind of log in is.
func NewReader(in io.Reader) (*Reader, error) {
	r := &Reader{}
	b := bufio.NewReaderSize(in, 64<<10)
	head, _ := b.Peek(16)
	var err error
	var z io.Reader
	kind := ""
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		kind = "gzip"
		z, err = gzip.NewReader(b)
	case bytes.HasPrefix(head, []byte("BZh")) && len(head) > 3 && '1' <= head[3] && head[3] <= '9':
		kind, z = "bzip2", bzip2.NewReader(b)
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		kind = "zstd"
		var d *zstd.Decoder
		if d, err = zstd.NewReader(b, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxDictionary), zstd.WithDecoderLowmem(true)); err == nil {
			r.close, z = d.Close, d
		}
	case bytes.HasPrefix(head, []byte{0xfd, '7', 'z', 'X', 'Z', 0}):
		kind = "xz"
		z, err = xz.NewReader(b, maxDictionary)
	default:
		for _, o := range others {
			if bytes.HasPrefix(head, []byte(o.magic)) {
				return nil, fmt.Errorf("this is no log, but %s", o.what)
			}
		}
		r.open(bufio.NewReaderSize(b, 256<<10))
		return r, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", kind, expandFault(err))
	}
	r.format = kind + ", "
	r.open(bufio.NewReaderSize(expander{kind, z}, 256<<10))
	return r, nil
}

// An expander names the kind of compression in what goes wrong.
type expander struct {
	kind string
	z    io.Reader
}

func (e expander) Read(p []byte) (int, error) {
	n, err := e.z.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("%s: %w", e.kind, expandFault(err))
	}
	return n, err
}

// expandFault says in words of its own what the expanders mean.
func expandFault(err error) error {
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, xz.ErrBuf), errors.Is(err, io.EOF):
		return fmt.Errorf("the compressed data are cut off: %w", io.ErrUnexpectedEOF)
	case errors.Is(err, xz.ErrMemlimit), errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return fmt.Errorf("expanding it takes more than %d MiB of memory", maxDictionary>>20)
	}
	return err
}

// open looks at the beginning of what was expanded.
func (r *Reader) open(b *bufio.Reader) {
	head, _ := b.Peek(4 << 10)
	trimmed := bytes.TrimLeft(head, " \t\r\n\x1e")
	switch mark, endian := utf16Of(head); {
	case endian != nil:
		r.format += "UTF-16 text"
		if mark == 0 {
			r.format += " without a byte order mark"
		}
		b.Discard(mark)
		r.next = r.text(bufio.NewReaderSize(&utf16Reader{in: b, order: endian}, 64<<10))
	case exportBegins(bytes.TrimLeft(head, "\n")):
		r.format += "journal export"
		r.next = (&export{r: r, b: b}).next
	case len(trimmed) > 0 && (trimmed[0] == '{' || trimmed[0] == '[' || bytes.HasPrefix(trimmed, []byte("data: {"))) && r.journalJSON(b):
		// journalJSON has set next.
	default:
		if err := misread(b, head); err != nil {
			r.format += "no log"
			r.next = func() (Line, error) { return Line{}, err }
			return
		}
		if bytes.HasPrefix(head, []byte("\xef\xbb\xbf")) {
			b.Discard(3)
		}
		r.format += "text"
		r.next = r.text(b)
	}
}
