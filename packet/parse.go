package packet

import (
	"fmt"
	"math/big"
	"net/netip"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// SyntaxError says what is wrong in a packet expression, and where.
type SyntaxError struct {
	Text   string // the whole expression
	Column int    // in characters, from 1
	Reason string
}

// Error is "column 5: " and the reason.
func (e *SyntaxError) Error() string { return fmt.Sprintf("column %d: %s", e.Column, e.Reason) }

// token is a word of an expression. A quoted one is unquoted already.
type token struct {
	text   string
	at     int // byte offset
	quoted bool
}

type parser struct {
	text   string
	tokens []token
	p      Packet
	given  map[string]bool
}

// ParsePacket reads an expression such as
//
//	tcp 198.51.100.7:4242 -> 203.0.113.5:22 in eth0 new
//	udp [2001:db8::1]:53 -> *:40000
//	icmp 192.0.2.1 -> 192.0.2.2 type echo-request
//
// The package documentation has the whole language. An error is a [*SyntaxError].
func ParsePacket(text string) (Packet, error) {
	ps := parser{text: text, given: map[string]bool{}}
	err := ps.parse()
	if err != nil {
		return Packet{}, err
	}
	return ps.p, nil
}

func (ps *parser) fail(t token, format string, args ...any) error {
	return &SyntaxError{ps.text, utf8.RuneCountInString(ps.text[:t.at]) + 1, fmt.Sprintf(format, args...)}
}

// scan cuts the text into words; a word that begins with a quote is a Go string.
func (ps *parser) scan() error {
	for at := 0; at < len(ps.text); {
		r, size := utf8.DecodeRuneInString(ps.text[at:])
		switch {
		case unicode.IsSpace(r):
			at += size
		case r == '"':
			quoted, err := strconv.QuotedPrefix(ps.text[at:])
			if err != nil {
				return ps.fail(token{at: at}, "this quote has no valid end")
			}
			text, err := strconv.Unquote(quoted)
			if err != nil {
				return ps.fail(token{at: at}, "%q cannot be unquoted", quoted)
			}
			ps.tokens = append(ps.tokens, token{text, at, true})
			at += len(quoted)
			if strings.HasPrefix(ps.text[at:], "/") { // "ip ttl"/8
				end := wordEnd(ps.text, at)
				ps.tokens = append(ps.tokens, token{ps.text[at:end], at, false})
				at = end
			}
		default:
			end := wordEnd(ps.text, at)
			ps.tokens = append(ps.tokens, token{ps.text[at:end], at, false})
			at = end
		}
	}
	return nil
}

func wordEnd(text string, at int) int {
	if n := strings.IndexFunc(text[at:], func(r rune) bool { return unicode.IsSpace(r) || r == '"' }); n >= 0 {
		return at + n
	}
	return len(text)
}

// peek returns the next token; at the end one without text.
func (ps *parser) peek() token {
	if len(ps.tokens) == 0 {
		return token{at: len(ps.text)}
	}
	return ps.tokens[0]
}

func (ps *parser) next() token {
	t := ps.peek()
	if len(ps.tokens) > 0 {
		ps.tokens = ps.tokens[1:]
	}
	return t
}

// argument is the word behind a keyword.
func (ps *parser) argument(keyword token, want string) (token, error) {
	if len(ps.tokens) == 0 {
		return token{}, ps.fail(ps.peek(), "%s needs %s behind it", keyword.text, want)
	}
	return ps.next(), nil
}

func (ps *parser) once(t token, what string) error {
	if ps.given[what] {
		return ps.fail(t, "%s is given twice", what)
	}
	ps.given[what] = true
	return nil
}

func (ps *parser) parse() error {
	if err := ps.scan(); err != nil {
		return err
	}
	if len(ps.tokens) == 0 {
		return nil
	}
	if err := ps.protocol(); err != nil {
		return err
	}
	if t := ps.peek(); looksLikeEndpoint(t) {
		if err := ps.endpoints(); err != nil {
			return err
		}
	}
	for len(ps.tokens) > 0 {
		if err := ps.part(ps.next()); err != nil {
			return err
		}
	}
	return nil
}

func (ps *parser) protocol() error {
	t := ps.peek()
	if t.text == "proto" && !t.quoted {
		return ps.part(ps.next())
	}
	if n, ok := numberOf(protocolNames, t.text); ok && !t.quoted {
		ps.p = ps.p.With(Protocol, uint64(n))
		ps.next()
		return ps.once(t, "the protocol")
	}
	return nil
}

func looksLikeEndpoint(t token) bool {
	return !t.quoted && (t.text == "->" || strings.ContainsAny(t.text, ".:[*") || t.text != "" && t.text[0] >= '0' && t.text[0] <= '9')
}

func (ps *parser) endpoints() error {
	src := ps.next()
	if src.text == "->" {
		return ps.fail(src, `expected a source before "->": an address, or *`)
	}
	if err := ps.endpoint(src, &ps.p.Src, SrcPort, "the source port"); err != nil {
		return err
	}
	if arrow := ps.next(); arrow.text != "->" || arrow.quoted {
		return ps.fail(arrow, `expected "->" and a destination behind the source`)
	}
	dst := ps.next()
	if !looksLikeEndpoint(dst) || dst.text == "->" {
		return ps.fail(dst, "expected a destination: an address, an address with a port, or *")
	}
	if err := ps.endpoint(dst, &ps.p.Dst, DstPort, "the destination port"); err != nil {
		return err
	}
	if ps.p.Src.IsValid() && ps.p.Dst.IsValid() && ps.p.Src.Is4() != ps.p.Dst.Is4() {
		return ps.fail(dst, "%s is not of the same family as the source %s", ps.p.Dst, ps.p.Src)
	}
	return nil
}

// endpoint reads ADDR, ADDR:PORT, [ADDR6], [ADDR6]:PORT, * or *:PORT.
func (ps *parser) endpoint(t token, addr *netip.Addr, port Field, what string) error {
	host, portText, hasPort := t.text, "", false
	switch i := strings.LastIndexByte(host, ':'); {
	case strings.HasPrefix(host, "["):
		end := strings.IndexByte(host, ']')
		if end < 0 {
			return ps.fail(t, `expected "]" behind the address`)
		}
		rest := host[end+1:]
		host = host[1:end]
		if portText, hasPort = strings.CutPrefix(rest, ":"); !hasPort && rest != "" {
			return ps.fail(t, `expected ":" and a port behind "]"`)
		}
		if !strings.Contains(host, ":") {
			return ps.fail(t, "expected an IPv6 address between the brackets")
		}
	case strings.Count(host, ":") == 1:
		host, portText, hasPort = host[:i], host[i+1:], true
	}
	if host != "*" {
		a, err := netip.ParseAddr(host)
		if err != nil {
			return ps.fail(t, "%q is not an address; expected ADDRESS, ADDRESS:PORT, [ADDRESS]:PORT or *", t.text)
		}
		if a.Zone() != "" {
			return ps.fail(t, "%q has a zone; write the interface as: in %s", t.text, a.Zone())
		}
		*addr = a
	}
	if !hasPort {
		return nil
	}
	at := token{portText, t.at + len(t.text) - len(portText), false}
	n, err := ps.number(at, "a port", 16)
	if err != nil {
		return err
	}
	if protocol, ok := ps.p.Get(Protocol); ok && !hasPorts(uint32(protocol)) {
		if isICMP(uint32(protocol)) {
			return ps.fail(at, "%s has no ports; write: type echo-request", nameOf(protocolNames, uint32(protocol)))
		}
		return ps.fail(at, "protocol %d has no ports; its bytes 0-1 and 2-3 are written sport and dport", protocol)
	}
	ps.p = ps.p.With(port, n)
	return ps.once(at, what)
}

// number reads a decimal or 0x hexadecimal number of at most width bits.
func (ps *parser) number(t token, what string, width int) (uint64, error) {
	limit := ones(width).lo
	base, digits := 10, t.text
	if rest, ok := strings.CutPrefix(digits, "0x"); ok {
		base, digits = 16, rest
	}
	n, err := strconv.ParseUint(digits, base, 64)
	if err != nil || n > limit || t.quoted {
		return 0, ps.fail(t, "%q is not %s; expected a number from 0 to %d", t.text, what, limit)
	}
	return n, nil
}

// wide reads a decimal or 0x hexadecimal number of at most width bits, which may
// be up to 128.
func (ps *parser) wide(t token, width int) (u128, error) {
	base, digits := 10, t.text
	if rest, ok := strings.CutPrefix(digits, "0x"); ok {
		base, digits = 16, rest
	}
	n, ok := new(big.Int).SetString(digits, base)
	signed := strings.HasPrefix(digits, "-") || strings.HasPrefix(digits, "+")
	if !ok || signed || t.quoted || len(digits) > 64 || n.BitLen() > width {
		return u128{}, ps.fail(t, "%q is not a number of %d bits", t.text, width)
	}
	return bigEndian(n.FillBytes(make([]byte, 16))), nil
}
