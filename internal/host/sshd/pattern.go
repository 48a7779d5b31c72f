package sshd

import (
	"net/netip"
	"strconv"
	"strings"
)

// wildcard is match_pattern of OpenSSH: * and ?, and nothing that quotes them.
// It takes time in proportion to the product of both lengths at most.
func wildcard(s, pattern string) bool {
	i, p, star, mark := 0, 0, -1, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// verdict is the answer of a list of patterns in which some may be negated.
type verdict int

const (
	malformed verdict = -2
	negated   verdict = -1
	unmatched verdict = 0
	matched   verdict = 1
)

// maxPattern is the size of match_pattern_list's buffer: with a longer pattern
// the whole list does not match.
const maxPattern = 1023

// patternList is match_pattern_list: the first negated pattern that matches
// wins over all others.
func patternList(s, list string) verdict {
	result := unmatched
	for list != "" {
		var p string
		p, list, _ = strings.Cut(list, ",")
		p, negate := strings.CutPrefix(p, "!")
		if len(p) >= maxPattern {
			return unmatched
		}
		if !wildcard(s, p) {
			continue
		}
		if negate {
			return negated
		}
		result = matched
	}
	return result
}

// hostList is match_hostname, which knows no case.
func hostList(host, list string) verdict {
	return patternList(asciiLower(host), asciiLower(list))
}

func asciiLower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// addrList is addr_match_list: CIDR prefixes first, wildcards over the text of
// the address otherwise. An invalid addr only checks the list.
func addrList(addr netip.Addr, list string) verdict {
	result := unmatched
	for p := range strings.SplitSeq(list, ",") {
		p, negate := strings.CutPrefix(p, "!")
		if p == "" {
			return malformed
		}
		prefix, class := parseCIDR(p)
		var hit bool
		switch class {
		case badCIDR:
			return malformed
		case isCIDR:
			hit = addr.IsValid() && prefix.Contains(addr.WithZone(""))
		default:
			hit = addr.IsValid() && wildcard(addr.String(), p)
		}
		if !hit {
			continue
		}
		if negate {
			return negated
		}
		result = matched
	}
	return result
}

type cidrClass int

const (
	noCIDR  cidrClass = iota // not an address at all
	isCIDR                   // a prefix
	badCIDR                  // an address with a mask that does not suit it
)

// parseCIDR is addr_pton_cidr.
func parseCIDR(s string) (netip.Prefix, cidrClass) {
	if len(s) >= 64 {
		return netip.Prefix{}, noCIDR
	}
	text, mask, masked := strings.Cut(s, "/")
	bits := -1
	if masked {
		n, err := strconv.ParseUint(mask, 10, 64)
		if err != nil || n > 128 {
			return netip.Prefix{}, noCIDR
		}
		bits = int(n)
	}
	addr, ok := parseAddr(text)
	if !ok {
		return netip.Prefix{}, noCIDR
	}
	if bits < 0 {
		bits = addr.BitLen()
	}
	prefix, err := addr.Prefix(bits)
	if err != nil || prefix.Addr() != addr {
		return netip.Prefix{}, badCIDR
	}
	return prefix, isCIDR
}

// parseAddr reads a numeric address as getaddrinfo does: IPv4 in any form that
// inet_aton(3) takes, such as 10.1 or 0x7f000001.
func parseAddr(s string) (netip.Addr, bool) {
	if strings.Contains(s, ":") {
		a, err := netip.ParseAddr(s)
		return a, err == nil && a.Zone() == ""
	}
	parts := strings.Split(s, ".")
	if len(parts) > 4 {
		return netip.Addr{}, false
	}
	var value uint64
	for i, p := range parts {
		if p == "" || p[0] < '0' || p[0] > '9' || strings.Contains(p, "_") {
			return netip.Addr{}, false
		}
		if len(p) > 1 && p[0] == '0' && strings.ContainsAny(p[1:2], "oObB") {
			return netip.Addr{}, false
		}
		n, err := strconv.ParseUint(p, 0, 64)
		room := uint64(1) << 8
		if i == len(parts)-1 {
			room = 1 << (8 * (5 - len(parts)))
		}
		if err != nil || n >= room {
			return netip.Addr{}, false
		}
		if i == len(parts)-1 {
			value |= n
		} else {
			value |= n << (24 - 8*i)
		}
	}
	return netip.AddrFrom4([4]byte{byte(value >> 24), byte(value >> 16), byte(value >> 8), byte(value)}), true
}

// userPattern is match_user: USER or USER@HOST, where HOST is a list of names
// and addresses.
func userPattern(c *Connection, pattern string) verdict {
	user, hosts, at := strings.Cut(pattern, "@")
	if !wildcard(c.User, user) {
		return unmatched
	}
	if !at {
		return matched
	}
	byAddr := addrList(c.Addr, hosts)
	switch {
	case byAddr == malformed:
		return malformed
	case byAddr == negated, c.host() == "":
		return unmatched
	}
	byName := hostList(c.host(), hosts)
	if byName == negated || byName == unmatched && byAddr == unmatched {
		return unmatched
	}
	return matched
}

// groupList is ga_match_pattern_list: one group that meets a negated pattern is
// enough for no.
func groupList(groups []string, list string) bool {
	found := false
	for _, g := range groups {
		switch patternList(g, list) {
		case negated:
			return false
		case matched:
			found = true
		}
	}
	return found
}
