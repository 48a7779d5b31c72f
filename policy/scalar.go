package policy

import (
	"encoding/base64"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"sekimori/packet"
)

// The words of a policy: each is the text as it stands in the file, and has
// been checked when Parse returns without an error.
type (
	// Interface is the name of a network interface; a * at its end stands for
	// any rest.
	Interface string
	// Prefix is an address or a prefix without host bits.
	Prefix string
	// Address is a single address.
	Address string
	// Source is an address, a prefix, a range, or the name of a list.
	Source string
	// Peer is an address, a prefix, a range, the name of a list or a zone, or
	// anywhere.
	Peer string
	// Name is the name of a zone.
	Name string
	// User is the name or number of a user or a group.
	User string
	// Unit is the name of a service of the host, with or without .service.
	Unit string
	// Key is a public key: type, base64, comment.
	Key string
	// Verdict is allow or deny.
	Verdict string
	// Containers is enforce, observe or off; empty leaves alone.
	Containers string
	// Scope is outside or all.
	Scope string
	// Automatic is security, all or none.
	Automatic string
	// Blocked is a Service, or broadcast.
	Blocked string
	// Rate is a rate limit; Limit has its parts.
	Rate string
	// Duration is a time such as 90s, 10m, 1h or 7d; Time has its length.
	Duration string
	// Threshold is a number of failures in a time; Parts has both.
	Threshold string
	// Repeat is a factor and a bound; Parts has both.
	Repeat string
)

// Addresses returns what a checked address, prefix or range covers; of a name, the
// zero value.
func (s Source) Addresses() packet.AddrRange {
	if !looksLikeAddress(string(s)) {
		return packet.AddrRange{}
	}
	r, _ := parseAddresses(string(s))
	return r
}

// anywhere is the peer that is every address.
const anywhere = "anywhere"

// A fault is what is wrong with a word.
type fault struct {
	message string
	near    string // what was probably meant
}

func faultf(format string, args ...any) *fault { return &fault{message: fmt.Sprintf(format, args...)} }

// A word checks itself, and says what is expected in its place.
type word interface {
	fault() *fault
	syntax() string
}

// enumFault checks a word of a fixed set.
func enumFault(s string, values []string) *fault {
	if slices.Contains(values, s) {
		return nil
	}
	return &fault{message: fmt.Sprintf("unknown word %q", s), near: nearest(s, values)}
}

func (Verdict) values() []string    { return []string{"allow", "deny"} }
func (Containers) values() []string { return []string{"enforce", "observe", "off"} }
func (Scope) values() []string      { return []string{"outside", "all"} }
func (Automatic) values() []string  { return []string{"security", "all", "none"} }

func (v Verdict) fault() *fault    { return enumFault(string(v), v.values()) }
func (c Containers) fault() *fault { return enumFault(string(c), c.values()) }
func (s Scope) fault() *fault      { return enumFault(string(s), s.values()) }
func (a Automatic) fault() *fault  { return enumFault(string(a), a.values()) }

func (v Verdict) syntax() string    { return alternatives(v.values()) }
func (c Containers) syntax() string { return alternatives(c.values()) }
func (s Scope) syntax() string      { return alternatives(s.values()) }
func (a Automatic) syntax() string  { return alternatives(a.values()) }

func (Interface) syntax() string {
	return "the name of an interface, at most 15 bytes, such as eth0, or wg* for all that start so"
}

// fault follows dev_valid_name of the kernel, and nft's wildcard.
func (i Interface) fault() *fault {
	s := strings.TrimSuffix(string(i), "*")
	switch {
	case s == "":
		return faultf("%q would be every interface", string(i))
	case len(s) > 15:
		return faultf("interface name %q has more than 15 bytes", s)
	case s == "." || s == "..", strings.ContainsAny(s, "/: \t\"*\\"), strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return faultf("%q cannot be the name of an interface", string(i))
	}
	return nil
}

func (Prefix) syntax() string {
	return "a prefix such as 192.0.2.0/24 or \"2001:db8::/32\", or an address"
}
func (Address) syntax() string { return "an address such as 192.0.2.1 or \"2001:db8::1\"" }
func (Source) syntax() string {
	return "an address, a prefix, a range such as 192.0.2.1-192.0.2.9, or the name of a list"
}

func (Peer) syntax() string {
	return "a zone, a list, an address, a prefix, a range such as 192.0.2.1-192.0.2.9, or anywhere"
}
func (Name) syntax() string { return "the name of a zone: a letter, then letters, digits, - and _" }

func (p Prefix) fault() *fault {
	_, f := parseAddresses(string(p))
	if f == nil && strings.Contains(string(p), "-") {
		return faultf("%q is a range", string(p))
	}
	return f
}

func (a Address) fault() *fault {
	r, f := parseAddresses(string(a))
	if f == nil && r.Lo != r.Hi {
		return faultf("%q is more than one address", string(a))
	}
	return f
}

func (s Source) fault() *fault {
	if looksLikeAddress(string(s)) {
		_, f := parseAddresses(string(s))
		return f
	}
	return nameFault(string(s))
}

func (p Peer) fault() *fault {
	if p == anywhere {
		return nil
	}
	return Source(p).fault()
}

func (n Name) fault() *fault { return nameFault(string(n)) }

// nameFault checks the name of a zone or a list.
func nameFault(s string) *fault {
	ok := s != "" && len(s) <= 31 && letter(rune(s[0]))
	for _, r := range s {
		ok = ok && (letter(r) || '0' <= r && r <= '9' || r == '-' || r == '_')
	}
	if !ok {
		return faultf("%q cannot be a name", s)
	}
	return nil
}

func letter(r rune) bool { return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' }

// looksLikeAddress tells an address, also a mistaken one, from a name.
func looksLikeAddress(s string) bool {
	return strings.ContainsAny(s, ".:/%") || s != "" && '0' <= s[0] && s[0] <= '9'
}

func (User) syntax() string { return "the name of a user or group, or its number" }

func (u User) fault() *fault {
	if len(u) == 0 || len(u) > 32 || u[0] == '-' ||
		strings.ContainsFunc(string(u), func(r rune) bool { return !letter(r) && (r < '0' || r > '9') && !strings.ContainsRune("_-.$@", r) }) {
		return faultf("%q cannot be the name of a user or group", string(u))
	}
	return nil
}

func (Unit) syntax() string { return "the name of a service of this host, such as nginx" }

func (u Unit) fault() *fault {
	if len(u) == 0 || len(u) > 255 || u[0] == '-' ||
		strings.ContainsFunc(string(u), func(r rune) bool { return !letter(r) && (r < '0' || r > '9') && !strings.ContainsRune("_-.@:\\", r) }) {
		return faultf("%q cannot be the name of a service", string(u))
	}
	return nil
}

func (Key) syntax() string { return "a public key as in id_ed25519.pub: type, base64, comment" }

// fault compares the type of the key with the one inside (RFC 4253 section 6.6).
func (k Key) fault() *fault {
	f := strings.Fields(string(k))
	types := []string{"ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com"}
	switch {
	case strings.Contains(string(k), "PRIVATE KEY"):
		return faultf("this is a private key: it must never leave its owner's machine")
	case len(f) < 2:
		return faultf("a public key has at least two parts, a type and base64")
	case !slices.Contains(types, f[0]):
		return &fault{message: fmt.Sprintf("unknown type of key %q", f[0]), near: nearest(f[0], types)}
	}
	blob, err := base64.StdEncoding.DecodeString(f[1])
	if err != nil {
		return faultf("the key is not whole: its base64 does not decode")
	}
	n := len(f[0])
	if len(blob) <= 4+n || int(blob[0])<<24|int(blob[1])<<16|int(blob[2])<<8|int(blob[3]) != n || string(blob[4:4+n]) != f[0] {
		return faultf("the key is not whole, or not of type %s", f[0])
	}
	return nil
}

func (Blocked) syntax() string { return "a service, PORT/tcp, PORT/udp, or broadcast" }

func (b Blocked) fault() *fault {
	if b == "broadcast" {
		return nil
	}
	f := Service(b).fault()
	if f != nil && f.near == "" {
		f.near = nearest(string(b), []string{"broadcast"})
	}
	return f
}

func (Rate) syntax() string {
	return "a rate such as 6/min, 5/s per source, or 10/h per source burst 20; units are s, min, h and day"
}

func (r Rate) fault() *fault {
	_, f := r.parse()
	return f
}

// Limit is a rate limit: Count new connections in each Per, after Burst at once.
type Limit struct {
	Count     int
	Per       time.Duration
	PerSource bool // each source address has a limit of its own
	Burst     int  // Count, if the file does not say
}

// Limit returns the parts of a checked rate, and false if there is none.
func (r Rate) Limit() (Limit, bool) {
	l, f := r.parse()
	return l, r != "" && f == nil
}

func (r Rate) parse() (Limit, *fault) {
	words := strings.Fields(string(r))
	if len(words) == 0 {
		return Limit{}, faultf("an empty rate")
	}
	count, unit, ok := strings.Cut(words[0], "/")
	n, good := natural(count, 1_000_000)
	if !ok || !good || n == 0 {
		return Limit{}, faultf("%q is no rate", string(r))
	}
	l := Limit{Count: n, Burst: n}
	switch unit {
	case "s":
		l.Per = time.Second
	case "min":
		l.Per = time.Minute
	case "h":
		l.Per = time.Hour
	case "day":
		l.Per = 24 * time.Hour
	default:
		units := map[string]string{"sec": "s", "second": "s", "m": "min", "minute": "min", "hour": "h", "d": "day"}
		f := faultf("unknown unit %q of a rate", unit)
		if u := units[unit]; u != "" {
			f.near = strings.Replace(string(r), words[0], count+"/"+u, 1)
		}
		return Limit{}, f
	}
	rest := words[1:]
	if len(rest) >= 2 && rest[0] == "per" && rest[1] == "source" {
		l.PerSource, rest = true, rest[2:]
	}
	if len(rest) == 2 && rest[0] == "burst" {
		if l.Burst, good = natural(rest[1], 1_000_000); !good || l.Burst == 0 {
			return Limit{}, faultf("%q is no burst", rest[1])
		}
		rest = nil
	}
	if len(rest) > 0 {
		return Limit{}, faultf("%q does not belong to a rate", strings.Join(rest, " "))
	}
	return l, nil
}

func (Duration) syntax() string { return "a time such as 90s, 10m, 1h or 7d" }

func (d Duration) fault() *fault {
	_, f := d.parse()
	return f
}

// Time returns the length of a checked duration, and 0 if there is none.
func (d Duration) Time() time.Duration {
	t, _ := d.parse()
	return t
}

func (d Duration) parse() (time.Duration, *fault) {
	s := string(d)
	units := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour}
	if len(s) < 2 || units[s[len(s)-1]] == 0 {
		return 0, faultf("%q is no time", s)
	}
	u := units[s[len(s)-1]]
	n, ok := natural(s[:len(s)-1], int(math.MaxInt64/int64(u)))
	if !ok || n == 0 {
		return 0, faultf("%q is no time", s)
	}
	if t := time.Duration(n) * u; t <= 10*365*24*time.Hour {
		return t, nil
	}
	return 0, faultf("%q is more than ten years", s)
}

func (Threshold) syntax() string { return "such as 5 failures in 10m" }

func (t Threshold) fault() *fault {
	_, _, f := t.parse()
	return f
}

// Parts returns the number of failures and the time of a checked threshold.
func (t Threshold) Parts() (failures int, in time.Duration) {
	failures, in, _ = t.parse()
	return failures, in
}

func (t Threshold) parse() (int, time.Duration, *fault) {
	w := strings.Fields(string(t))
	if len(w) != 4 || w[1] != "failures" && w[1] != "failure" || w[2] != "in" {
		return 0, 0, faultf("%q is no threshold", string(t))
	}
	n, ok := natural(w[0], 1_000_000)
	if !ok || n == 0 {
		return 0, 0, faultf("%q is no number of failures", w[0])
	}
	d, f := Duration(w[3]).parse()
	return n, d, f
}

func (Repeat) syntax() string { return "such as x2 up to 7d" }

func (r Repeat) fault() *fault {
	_, _, f := r.parse()
	return f
}

// Parts returns the factor and the bound of a checked repetition.
func (r Repeat) Parts() (factor int, upTo time.Duration) {
	factor, upTo, _ = r.parse()
	return factor, upTo
}

func (r Repeat) parse() (int, time.Duration, *fault) {
	w := strings.Fields(string(r))
	if len(w) != 4 || !strings.HasPrefix(w[0], "x") || w[1] != "up" || w[2] != "to" {
		return 0, 0, faultf("%q is no repetition", string(r))
	}
	n, ok := natural(w[0][1:], 1000)
	if !ok || n == 0 {
		return 0, 0, faultf("%q is no factor", w[0])
	}
	d, f := Duration(w[3]).parse()
	return n, d, f
}

// natural reads a decimal number without leading zeros, at most limit.
func natural(s string, limit int) (int, bool) {
	if s == "" || len(s) > 1 && s[0] == '0' || strings.ContainsFunc(s, func(r rune) bool { return r < '0' || r > '9' }) {
		return 0, false
	}
	n, err := strconv.Atoi(s)
	return n, err == nil && n <= limit
}

// parseAddresses reads an address, a prefix or a range.
func parseAddresses(s string) (packet.AddrRange, *fault) {
	if lo, hi, ok := strings.Cut(s, "-"); ok {
		a, f := parseAddress(strings.TrimSpace(lo))
		if f != nil {
			return packet.AddrRange{}, f
		}
		b, f := parseAddress(strings.TrimSpace(hi))
		switch {
		case f != nil:
			return packet.AddrRange{}, f
		case a.Is4() != b.Is4():
			return packet.AddrRange{}, faultf("a range from %s to %s, which is of the other family", a, b)
		case b.Less(a):
			return packet.AddrRange{}, &fault{message: fmt.Sprintf("the range %s is empty: it ends before it starts", s), near: b.String() + "-" + a.String()}
		}
		return packet.AddrRange{Lo: a, Hi: b}, nil
	}
	addr, length, ok := strings.Cut(s, "/")
	a, f := parseAddress(addr)
	if f != nil {
		return packet.AddrRange{}, f
	}
	if !ok {
		return packet.AddrRange{Lo: a, Hi: a}, nil
	}
	n, good := natural(length, a.BitLen())
	if !good {
		return packet.AddrRange{}, faultf("%q is no prefix: its length is a number from 0 to %d", s, a.BitLen())
	}
	p := netip.PrefixFrom(a, n)
	if p != p.Masked() {
		return packet.AddrRange{}, &fault{message: fmt.Sprintf("prefix %s has host bits set", s), near: p.Masked().String()}
	}
	return packet.AddrRange{Lo: a, Hi: lastOf(p)}, nil
}

func parseAddress(s string) (netip.Addr, *fault) {
	a, err := netip.ParseAddr(s)
	switch {
	case err == nil && a.Zone() != "":
		return a, faultf("address %q names an interface; zones do that", s)
	case err == nil && a.Is4In6():
		return a, &fault{message: fmt.Sprintf("%q is an IPv4 address in IPv6's clothes", s), near: a.Unmap().String()}
	case err == nil:
		return a, nil
	case strings.ContainsFunc(s, func(r rune) bool { return letter(r) && (r|0x20) > 'f' }):
		return a, faultf("%q is no address, and names of hosts are not looked up", s)
	}
	return a, faultf("%q is no address", s)
}

// lastOf returns the last address of a prefix.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}
