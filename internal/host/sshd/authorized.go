package sshd

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// An Entry is one line of an authorized_keys file, sshd(8).
type Entry struct {
	Line    int     `json:"line"`
	Key     Key     `json:"key"`
	Options Options `json:"options"`
	// Err says why sshd passes over the line; the other fields are then as far
	// as it was understood.
	Err string `json:"err,omitempty"`
}

// Options are the options of an authorized_keys line as they hold in the end.
type Options struct {
	CertAuthority   bool     `json:"cert_authority,omitempty"`
	Restrict        bool     `json:"restrict,omitempty"`
	PortForwarding  bool     `json:"port_forwarding"`
	AgentForwarding bool     `json:"agent_forwarding"`
	X11Forwarding   bool     `json:"x11_forwarding"`
	PTY             bool     `json:"pty"`
	UserRC          bool     `json:"user_rc"`
	NoTouch         bool     `json:"no_touch_required,omitempty"`
	VerifyRequired  bool     `json:"verify_required,omitempty"`
	Command         *string  `json:"command,omitempty"`
	From            *string  `json:"from,omitempty"`
	Principals      *string  `json:"principals,omitempty"`
	Expiry          []string `json:"expiry,omitempty"` // the earliest counts
	Environment     []string `json:"environment,omitempty"`
	PermitOpen      []string `json:"permitopen,omitempty"`
	PermitListen    []string `json:"permitlisten,omitempty"`
	Tunnel          string   `json:"tunnel,omitempty"`
}

// ParseAuthorizedKeys reads an authorized_keys file. Each line that is neither
// empty nor a comment gives an entry, those included that sshd cannot use.
func ParseAuthorizedKeys(text string) []Entry {
	var out []Entry
	n := 0
	for line := range strings.Lines(text) {
		n++
		line, _, _ = strings.Cut(line, "\x00")
		line = strings.TrimLeft(strings.TrimRight(line, "\n"), " \t")
		if line == "" || line[0] == '#' || line == "\r" {
			continue
		}
		e := parseEntry(line)
		e.Line = n
		out = append(out, e)
	}
	return out
}

func parseEntry(line string) Entry {
	e := Entry{Options: defaultOptions()}
	k, err := ParseKey(line)
	if err == nil {
		e.Key = k
		return e
	}
	end, ok := pastOptions(line)
	if !ok {
		e.Err = "invalid key option string"
		return e
	}
	k, keyErr := ParseKey(line[end:])
	e.Key = k
	if keyErr != nil {
		for _, start := range []string{"ssh-", "ecdsa-", "sk-"} {
			if strings.HasPrefix(line, start) {
				keyErr = err // no option starts so: the first complaint is the right one
			}
		}
		e.Err = keyErr.Error()
		return e
	}
	if err := e.Options.parse(line[:end]); err != nil {
		e.Err = err.Error()
	}
	return e
}

func defaultOptions() Options {
	return Options{PortForwarding: true, AgentForwarding: true, X11Forwarding: true, PTY: true, UserRC: true}
}

// pastOptions finds the blank behind the options; quotes hide blanks.
func pastOptions(s string) (end int, ok bool) {
	quoted := false
	for end < len(s) && (quoted || s[end] != ' ' && s[end] != '\t') {
		switch {
		case s[end] == '\\' && end+1 < len(s) && s[end+1] == '"':
			end++
		case s[end] == '"':
			quoted = !quoted
		}
		end++
	}
	return end, !quoted
}

// parse reads a list of options: sshauthopt_parse.
func (o *Options) parse(s string) error {
	for s != "" {
		rest, err := o.one(s)
		if err != nil {
			return err
		}
		if rest == "" {
			return nil
		}
		if rest[0] != ',' {
			return fmt.Errorf("unknown key option %.60q", s)
		}
		if s = rest[1:]; s == "" {
			return errors.New("unexpected end of options")
		}
	}
	return nil
}

// one reads the first option and gives what follows it.
func (o *Options) one(s string) (rest string, err error) {
	for _, f := range o.flags() {
		if rest, ok := cutFold(s, f.name); ok {
			f.set(true)
			return rest, nil
		}
		if rest, ok := cutFold(s, "no-"+f.name); ok && f.negatable {
			f.set(false)
			return rest, nil
		}
	}
	for _, name := range []string{"command", "principals", "from", "expiry-time", "environment", "permitopen", "permitlisten", "tunnel"} {
		rest, ok := cutFold(s, name+"=")
		if !ok {
			continue
		}
		value, rest, err := dequote(rest)
		if err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
		return rest, o.valued(name, value)
	}
	return s, nil // the caller finds no comma and complains
}

func cutFold(s, prefix string) (rest string, ok bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}

type optionFlag struct {
	name      string
	negatable bool
	set       func(bool)
}

func (o *Options) flags() []optionFlag {
	to := func(p *bool) func(bool) { return func(v bool) { *p = v } }
	return []optionFlag{
		{"restrict", false, func(bool) {
			o.Restrict = true
			o.PortForwarding, o.AgentForwarding, o.X11Forwarding, o.PTY, o.UserRC = false, false, false, false, false
		}},
		{"cert-authority", false, to(&o.CertAuthority)},
		{"port-forwarding", true, to(&o.PortForwarding)},
		{"agent-forwarding", true, to(&o.AgentForwarding)},
		{"x11-forwarding", true, to(&o.X11Forwarding)},
		{"touch-required", true, func(v bool) { o.NoTouch = !v }},
		{"verify-required", true, to(&o.VerifyRequired)},
		{"pty", true, to(&o.PTY)},
		{"user-rc", true, to(&o.UserRC)},
	}
}

// dequote reads a quoted value, in which only a quote can be escaped.
func dequote(s string) (value, rest string, err error) {
	if !strings.HasPrefix(s, `"`) {
		return "", "", errors.New("missing start quote")
	}
	var b []byte
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return string(b), s[i+1:], nil
		case s[i] == '\\' && i+1 < len(s) && s[i+1] == '"':
			i++
		}
		b = append(b, s[i])
	}
	return "", "", errors.New("missing end quote")
}

func (o *Options) valued(name, value string) error {
	onlyOnce := func(p **string) error {
		if *p != nil {
			return fmt.Errorf("multiple %q clauses", name)
		}
		*p = &value
		return nil
	}
	switch name {
	case "command":
		return onlyOnce(&o.Command)
	case "principals":
		return onlyOnce(&o.Principals)
	case "from":
		return onlyOnce(&o.From)
	case "expiry-time":
		if _, ok := parseExpiry(value, time.UTC); !ok {
			return errors.New("invalid expires time")
		}
		o.Expiry = append(o.Expiry, value)
	case "environment":
		return o.environment(value)
	case "permitopen", "permitlisten":
		return o.permit(name, value)
	case "tunnel":
		o.Tunnel = value
	}
	return nil
}

func (o *Options) environment(value string) error {
	name, _, ok := strings.Cut(value, "=")
	for _, c := range []byte(name) {
		ok = ok && (isAlnum(c) || c == '_')
	}
	if !ok || name == "" {
		return errors.New("invalid environment string")
	}
	for _, e := range o.Environment {
		if strings.HasPrefix(e, name+"=") {
			return nil // the first one wins
		}
	}
	o.Environment = append(o.Environment, value)
	return nil
}

func (o *Options) permit(name, value string) error {
	list := &o.PermitOpen
	if name == "permitlisten" {
		list = &o.PermitListen
		if !strings.Contains(value, ":") {
			value = "*:" + value
		}
	}
	_, port, named, err := hostPort(value)
	if err != nil {
		return errors.New("invalid permission hostname")
	}
	n, err := strtonum(port, 65535)
	if !named || port != "*" && (err != nil || n == 0) {
		return errors.New("invalid permission port")
	}
	*list = append(*list, value)
	return nil
}

// Expires gives the time from which on the entry is void; loc is the time zone
// of the host, in which sshd reads a time without Z.
func (o *Options) Expires(loc *time.Location) (t time.Time, ok bool) {
	for _, e := range o.Expiry {
		if x, good := parseExpiry(e, loc); good && (!ok || x.Before(t)) {
			t, ok = x, true
		}
	}
	return t, ok
}

func parseExpiry(s string, loc *time.Location) (time.Time, bool) {
	digits, zulu := strings.CutSuffix(s, "Z")
	if zulu {
		loc = time.UTC
	}
	layout := map[int]string{8: "20060102", 12: "200601021504", 14: "20060102150405"}[len(digits)]
	t, err := time.ParseInLocation(layout, digits, loc)
	return t, layout != "" && err == nil
}

// Allows reports whether from= lets a client in: match_host_and_ip.
func (o *Options) Allows(c *Connection) bool {
	if o.From == nil {
		return true
	}
	byAddr := addrList(c.Addr, *o.From)
	if byAddr == malformed || byAddr == negated || !c.Addr.IsValid() {
		return false
	}
	byName := hostList(c.host(), *o.From)
	return byName != negated && (byName == matched || byAddr == matched)
}

// prefixesOf are the prefixes of a list of addresses, for sampling.
func prefixesOf(list string) (prefixes []netip.Prefix, wild []string) {
	for p := range strings.SplitSeq(list, ",") {
		p = strings.TrimPrefix(p, "!")
		if prefix, class := parseCIDR(p); class == isCIDR {
			prefixes = append(prefixes, prefix)
		} else if p != "" {
			wild = append(wild, p)
		}
	}
	return prefixes, wild
}
