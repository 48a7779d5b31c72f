package source

import (
	"encoding/binary"
	"errors"
	"io"
	"unicode/utf16"
	"unicode/utf8"
)

// utf16Of tells whether a text begins in UTF-16, in which order its bytes are,
// and how long its byte order mark is. Without one it takes a hundred
// characters, or the whole text, nearly all of which are of ASCII.
func utf16Of(head []byte) (mark int, order binary.ByteOrder) {
	if len(head) >= 2 {
		switch {
		case head[0] == 0xff && head[1] == 0xfe:
			return 2, binary.LittleEndian
		case head[0] == 0xfe && head[1] == 0xff:
			return 2, binary.BigEndian
		}
	}
	pairs := len(head) / 2
	if pairs < 8 {
		return 0, nil
	}
	var nul [2]int
	for i := range pairs * 2 {
		if head[i] == 0 {
			nul[i&1]++
		}
	}
	switch {
	case nul[1]*10 >= pairs*9 && nul[0]*10 <= pairs:
		return 0, binary.LittleEndian
	case nul[0]*10 >= pairs*9 && nul[1]*10 <= pairs:
		return 0, binary.BigEndian
	}
	return 0, nil
}

// A utf16Reader gives text in UTF-16 as UTF-8.
type utf16Reader struct {
	in    io.Reader
	order binary.ByteOrder
	out   []byte
	space []byte // for out
	high  rune   // a surrogate that waits for its second half
	half  bool   // the data ended within a character
}

func (u *utf16Reader) Read(p []byte) (int, error) {
	for len(u.out) == 0 {
		var raw [4096]byte
		n, err := io.ReadFull(u.in, raw[:])
		if errors.Is(err, io.ErrUnexpectedEOF) {
			u.half, err = n%2 == 1, nil
		}
		if n < 2 {
			if u.half || n == 1 {
				return 0, cutOff("within a character", io.EOF)
			}
			return 0, err
		}
		u.out = u.space[:0]
		for i := 0; i+1 < n; i += 2 {
			u.add(rune(u.order.Uint16(raw[i:])))
		}
		u.space = u.out
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
