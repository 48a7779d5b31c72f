// Package lz4 reads LZ4 frames, the form in which apt keeps its lists where it is
// told to keep them compressed. It is a reader alone; checksums of blocks and
// content are passed over, because a damaged list is found by what is in it, and
// apt has checked its signature.
//
// The format is the one of "LZ4 Frame Format Description" and "LZ4 Block Format
// Description" in the documentation of LZ4: a frame is a header, blocks and an end
// mark; a block is literals and copies of what was written at most 64 KiB before.
package lz4

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Magic begins each frame.
const Magic = 0x184D2204

// The bounds of the format.
const (
	window       = 64 << 10
	maxBlock     = 4 << 20
	minMatch     = 4
	uncompressed = 1 << 31
)

// ErrFormat is wrapped by errors about what is not LZ4, or damaged.
var ErrFormat = errors.New("not an LZ4 frame, or damaged")

func bad(what string) error { return fmt.Errorf("lz4: %w: %s", ErrFormat, what) }

// Reader gives the content of the frames of another reader.
type Reader struct {
	in *bufio.Reader
	// out holds up to 64 KiB of what was given before, then the block at hand, of
	// which everything up to next was given.
	out      []byte
	next     int
	block    []byte
	linked   bool
	blockSum bool
	sum      bool
	size     int
	open     bool // within a frame
	err      error
}

// NewReader reads frames from r.
func NewReader(r io.Reader) *Reader { return &Reader{in: bufio.NewReaderSize(r, 64<<10)} }

// Read implements io.Reader.
func (r *Reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for r.next == len(r.out) {
		if r.err != nil {
			return 0, r.err
		}
		r.err = r.fill()
	}
	n := copy(p, r.out[r.next:])
	r.next += n
	return n, nil
}

// fill reads one header or block.
func (r *Reader) fill() error {
	if !r.open {
		return r.header()
	}
	var word [4]byte
	if _, err := io.ReadFull(r.in, word[:]); err != nil {
		return cut(err)
	}
	size := binary.LittleEndian.Uint32(word[:])
	if size == 0 {
		r.open = false
		if r.sum {
			_, err := r.in.Discard(4)
			return cut(err)
		}
		return nil
	}
	stored := size&uncompressed != 0
	if size &^= uncompressed; int(size) > r.size {
		return bad("a block that is larger than the frame allows")
	}
	if cap(r.block) < int(size) {
		r.block = make([]byte, r.size)
	}
	r.block = r.block[:size]
	if _, err := io.ReadFull(r.in, r.block); err != nil {
		return cut(err)
	}
	if r.blockSum {
		if _, err := r.in.Discard(4); err != nil {
			return cut(err)
		}
	}
	r.keep()
	if stored {
		r.out = append(r.out, r.block...)
		return nil
	}
	return r.decode(r.block)
}

// keep moves what later blocks may copy from to the front.
func (r *Reader) keep() {
	back := 0
	if r.linked {
		back = min(len(r.out), window)
	}
	copy(r.out, r.out[len(r.out)-back:])
	r.out, r.next = r.out[:back], back
}

func cut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("lz4: %w", io.ErrUnexpectedEOF)
	}
	return err
}

// header reads the beginning of a frame, or the end of all.
func (r *Reader) header() error {
	var h [7]byte
	if _, err := io.ReadFull(r.in, h[:4]); err != nil {
		if errors.Is(err, io.EOF) {
			return io.EOF
		}
		return cut(err)
	}
	switch magic := binary.LittleEndian.Uint32(h[:]); {
	case magic&0xFFFFFFF0 == 0x184D2A50: // a frame of somebody else, to be passed over
		if _, err := io.ReadFull(r.in, h[:4]); err != nil {
			return cut(err)
		}
		_, err := io.CopyN(io.Discard, r.in, int64(binary.LittleEndian.Uint32(h[:])))
		return cut(err)
	case magic != Magic:
		return bad("no magic number")
	}
	if _, err := io.ReadFull(r.in, h[:2]); err != nil {
		return cut(err)
	}
	flags, size := h[0], h[1]>>4&7
	if flags>>6 != 1 || size < 4 {
		return bad("an unknown version or block size")
	}
	r.linked, r.blockSum, r.sum = flags&0x20 == 0, flags&0x10 != 0, flags&0x04 != 0
	r.size = 1 << (8 + 2*size)
	rest := 1 // the header's own sum
	if flags&0x08 != 0 {
		rest += 8 // the size of the content
	}
	if flags&0x01 != 0 {
		rest += 4 // the number of a dictionary
	}
	r.open, r.out, r.next = true, r.out[:0], 0
	_, err := r.in.Discard(rest)
	return cut(err)
}

// decode appends what a block says.
func (r *Reader) decode(b []byte) error {
	start := len(r.out)
	for len(b) > 0 {
		token := b[0]
		b = b[1:]
		literals, rest, ok := length(int(token>>4), b)
		if !ok || literals > len(rest) || len(r.out)-start+literals > r.size {
			return bad("literals beyond the block")
		}
		r.out = append(r.out, rest[:literals]...)
		b = rest[literals:]
		if len(b) == 0 {
			return nil // the last sequence has literals alone
		}
		if len(b) < 2 {
			return bad("a copy without a place")
		}
		offset := int(binary.LittleEndian.Uint16(b))
		match, rest, ok := length(int(token&15), b[2:])
		match += minMatch
		if !ok || offset == 0 || offset > len(r.out) || len(r.out)-start+match > r.size {
			return bad("a copy from nowhere, or beyond the block")
		}
		b = rest
		r.copyBack(offset, match)
	}
	return nil
}

// copyBack appends n bytes from offset bytes before the end; both may overlap,
// which repeats what lies between.
func (r *Reader) copyBack(offset, n int) {
	for n > 0 {
		from := len(r.out) - offset
		k := min(n, offset)
		r.out = append(r.out, r.out[from:from+k]...)
		n -= k
		if offset < window {
			offset += k // what was just written repeats as well
		}
	}
}

// length reads a length of which the token had n: 15 is continued by bytes, the
// last of which is not 255.
func length(n int, b []byte) (int, []byte, bool) {
	if n < 15 {
		return n, b, true
	}
	for i, c := range b {
		if n += int(c); n > maxBlock {
			return 0, nil, false
		}
		if c != 255 {
			return n, b[i+1:], true
		}
	}
	return 0, nil, false
}
