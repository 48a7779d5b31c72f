// Package sshwire meets an SSH server as a stranger does: it reads the version
// line and the algorithms (RFC 4253), agrees on keys without looking at who the
// server is, and asks by which methods a user may log in (RFC 4252 section 5.2).
// It never tries one.
//
//	m, err := sshwire.Meet(conn, "root")
//	fmt.Println(m.Banner, m.Kex, m.Methods) // SSH-2.0-OpenSSH_9.2p1 … [publickey]
//
// The caller connects, and sets the deadline of the connection. A server may send
// what it likes: lines and packets are bounded, and what it says is cut to names of
// printable ASCII. Because the server's key is not checked, an answer is about
// whoever answers at that address, as it is for a stranger.
package sshwire

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Met is what an SSH server says before anybody has logged in.
type Met struct {
	// Banner is the version line.
	Banner string
	// The algorithms that it offers, in its order; ciphers and MACs are those from
	// client to server.
	Kex, HostKeys, Ciphers, MACs []string
	// Methods are those offered to the method none; None is true where that alone
	// was enough.
	Methods []string
	None    bool
}

// The bounds of what a server may send.
const (
	maxPacket   = 256 << 10
	maxLine     = 8 << 10
	maxLines    = 64
	maxMessages = 64
	maxNames    = 200
)

// The numbers of messages, RFC 4250 section 4.1.
const (
	msgDisconnect     = 1
	msgIgnore         = 2
	msgUnimplemented  = 3
	msgDebug          = 4
	msgServiceRequest = 5
	msgServiceAccept  = 6
	msgExtInfo        = 7
	msgKexInit        = 20
	msgNewKeys        = 21
	msgKexReply       = 31
	msgAuthRequest    = 50
	msgAuthFailure    = 51
	msgAuthSuccess    = 52
	msgAuthBanner     = 53
)

// identification is our version line.
const identification = "SSH-2.0-sekimori"

// Meet talks to the server at the other end. What it has learnt before an error
// is returned beside it.
func Meet(conn io.ReadWriter, user string) (Met, error) {
	var m Met
	t := &transport{r: bufio.NewReaderSize(conn, 32<<10), w: conn}
	if _, err := io.WriteString(conn, identification+"\r\n"); err != nil {
		return m, err
	}
	banner, err := t.banner()
	if err != nil {
		return m, err
	}
	m.Banner = printable(banner)
	theirs, err := t.expect(msgKexInit)
	if err != nil {
		return m, err
	}
	lists, err := m.read(theirs)
	if err != nil {
		return m, err
	}
	if err := t.agree(banner, theirs, lists); err != nil {
		return m, err
	}
	return m, t.ask(user, &m)
}

// read takes the lists of a KEXINIT, RFC 4253 section 7.1.
func (m *Met) read(payload []byte) (offered [10][]string, err error) {
	b := reader{rest: payload[1:]}
	b.next(16)
	for i := range offered {
		offered[i] = names(b.text())
	}
	if b.bad {
		return offered, errors.New("its list of algorithms is broken")
	}
	m.Kex, m.HostKeys, m.Ciphers, m.MACs = offered[0], offered[1], offered[2], offered[4]
	return offered, nil
}

// names splits a list of names and drops what cannot be one.
func names(list []byte) []string {
	var out []string
	for name := range strings.SplitSeq(string(list), ",") {
		if name != "" && len(out) < maxNames {
			out = append(out, printable(name))
		}
	}
	return out
}

// printable cuts other people's bytes to ASCII of a bearable length.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
	return s[:min(len(s), 255)]
}

// ask asks by which methods a user may log in.
func (t *transport) ask(user string, m *Met) error {
	if err := t.send(join([]byte{msgServiceRequest}, text("ssh-userauth"))); err != nil {
		return err
	}
	if _, err := t.expect(msgServiceAccept); err != nil {
		return err
	}
	if err := t.send(join([]byte{msgAuthRequest}, text(user), text("ssh-connection"), text("none"))); err != nil {
		return err
	}
	for range maxMessages {
		p, err := t.receive()
		if err != nil {
			return err
		}
		switch p[0] {
		case msgAuthFailure:
			b := reader{rest: p[1:]}
			m.Methods = names(b.text())
			if b.bad {
				return errors.New("its list of methods is broken")
			}
			return nil
		case msgAuthSuccess:
			m.None = true
			return nil
		case msgAuthBanner:
		default:
			return fmt.Errorf("message %d where methods were asked for", p[0])
		}
	}
	return errors.New("it does not come to an answer")
}

// transport is the packets of a connection; seal and open are nil until keys are
// agreed on.
type transport struct {
	r    *bufio.Reader
	w    io.Writer
	seal func(payload []byte, number uint32) []byte
	open func(r io.Reader, number uint32) ([]byte, error)
	// sent and got count packets, RFC 4253 section 6.4.
	sent, got uint32
}

// banner reads lines up to the version, RFC 4253 section 4.2.
func (t *transport) banner() (string, error) {
	for range maxLines {
		var line []byte
		for {
			c, err := t.r.ReadByte()
			if err != nil {
				return "", fmt.Errorf("no version line: %w", err)
			}
			if c == '\n' {
				break
			}
			if line = append(line, c); len(line) > maxLine {
				return "", errors.New("no version line: a line without end")
			}
		}
		s := strings.TrimSuffix(string(line), "\r")
		if strings.HasPrefix(s, "SSH-2.0-") || strings.HasPrefix(s, "SSH-1.99-") {
			return s, nil
		}
		if strings.HasPrefix(s, "SSH-") {
			return "", fmt.Errorf("it speaks %s", printable(s))
		}
	}
	return "", errors.New("no version line")
}

// receive gives the next message that is not to be ignored.
func (t *transport) receive() ([]byte, error) {
	for range maxMessages {
		p, err := t.packet()
		if err != nil {
			return nil, err
		}
		switch p[0] {
		case msgIgnore, msgDebug, msgUnimplemented, msgExtInfo:
		case msgDisconnect:
			b := reader{rest: p[1:]}
			b.next(4)
			return nil, fmt.Errorf("it ended the connection: %s", printable(string(b.text())))
		default:
			return p, nil
		}
	}
	return nil, errors.New("nothing but messages to ignore")
}

func (t *transport) packet() ([]byte, error) {
	open := t.open
	if open == nil {
		open = func(r io.Reader, _ uint32) ([]byte, error) {
			var head [4]byte
			if _, err := io.ReadFull(r, head[:]); err != nil {
				return nil, err
			}
			n := binary.BigEndian.Uint32(head[:])
			if n > maxPacket {
				return nil, fmt.Errorf("a packet of %d bytes", n)
			}
			body := make([]byte, n)
			_, err := io.ReadFull(r, body)
			return body, err
		}
	}
	body, err := open(t.r, t.got)
	if err != nil {
		return nil, err
	}
	t.got++
	if len(body) < 2 || int(body[0]) > len(body)-2 {
		return nil, errors.New("a broken packet")
	}
	return body[1 : len(body)-int(body[0])], nil
}

func (t *transport) expect(kind byte) ([]byte, error) {
	p, err := t.receive()
	if err == nil && p[0] != kind {
		return nil, fmt.Errorf("message %d where %d is due", p[0], kind)
	}
	return p, err
}

func (t *transport) send(payload []byte) error {
	var out []byte
	if t.seal != nil {
		out = t.seal(payload, t.sent)
	} else {
		body := padded(payload, 8, 4)
		out = join(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body)
	}
	t.sent++
	_, err := t.w.Write(out)
	return err
}

// padded puts the padding around a payload: what is encrypted is a multiple of the
// block, of which counted bytes stand before (RFC 4253 section 6).
func padded(payload []byte, block, counted int) []byte {
	n := block - (counted+1+len(payload))%block
	if n < 4 {
		n += block
	}
	pad := make([]byte, n)
	_, _ = rand.Read(pad) // never fails (crypto/rand)
	return join([]byte{byte(n)}, payload, pad)
}

// reader takes apart a message; bad is set once it ends too soon.
type reader struct {
	rest []byte
	bad  bool
}

func (b *reader) next(n int) []byte {
	if n > len(b.rest) {
		b.bad, b.rest = true, nil
		return nil
	}
	head := b.rest[:n]
	b.rest = b.rest[n:]
	return head
}

// text reads a string of RFC 4251 section 5.
func (b *reader) text() []byte {
	n := b.next(4)
	if n == nil || binary.BigEndian.Uint32(n) > maxPacket {
		b.bad = true
		return nil
	}
	return b.next(int(binary.BigEndian.Uint32(n)))
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// text is a string of RFC 4251 section 5.
func text[T string | []byte](s T) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(s))), s...)
}
