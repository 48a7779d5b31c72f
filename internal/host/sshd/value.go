package sshd

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

func parsePath(in *input) ([]string, error) {
	arg, err := in.need()
	if err != nil {
		return nil, err
	}
	return one(in.absolute(arg))
}

func parseTilde(in *input) ([]string, error) {
	arg, err := in.need()
	if err != nil {
		return nil, err
	}
	return one(in.host.tilde(arg))
}

func parseAgent(in *input) ([]string, error) {
	arg, err := in.need()
	if err != nil || arg == "SSH_AUTH_SOCK" {
		return one(arg, err)
	}
	return one(in.absolute(arg))
}

func parseProvider(in *input) ([]string, error) {
	arg, err := in.need()
	if err != nil || strings.EqualFold(arg, "internal") {
		return one(arg, err)
	}
	return one(in.absolute(arg))
}

func parsePort(in *input) ([]string, error) {
	arg, err := in.need()
	if err != nil {
		return nil, err
	}
	p, err := in.host.port(arg)
	if err == nil && p == 0 {
		err = errors.New("port 0")
	}
	return one(strconv.Itoa(p), err)
}

// parseListen gives the address, and the port if one is named, as two values;
// which ports it listens on otherwise is known when all of the file is read.
func parseListen(in *input) ([]string, error) {
	arg, err := in.need()
	if err != nil {
		return nil, err
	}
	host, port := arg, ""
	if strings.Contains(arg, "[") || strings.Count(arg, ":") < 2 {
		var named bool
		if host, port, named, err = hostPort(arg); err != nil {
			return nil, err
		}
		if named {
			p, err := in.host.port(port)
			if err != nil || p == 0 {
				return nil, fmt.Errorf("bad port %q", port)
			}
			port = strconv.Itoa(p)
		}
	}
	domain := ""
	if word, ok := in.next(); ok {
		d, ok := in.next()
		if word != "rdomain" || !ok {
			return nil, errors.New("bad ListenAddress syntax")
		}
		domain = " rdomain " + d
	}
	return []string{host + "\x00" + port + "\x00" + domain}, nil
}

// hostPort is hpdelim and cleanhostname: HOST, HOST:PORT, [ADDR]:PORT.
func hostPort(s string) (host, port string, named bool, err error) {
	bad := fmt.Errorf("bad address:port usage in %q", s)
	end := 0
	if strings.HasPrefix(s, "[") {
		if end = strings.IndexByte(s, ']'); end < 0 {
			return "", "", false, bad
		}
		end++
	} else if end = strings.IndexAny(s, ":/"); end < 0 {
		end = len(s)
	}
	host = s[:end]
	switch {
	case end == len(s):
	case s[end] == ':':
		port, named = s[end+1:], true
	default:
		return "", "", false, bad
	}
	if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		host = host[1 : len(host)-1]
	}
	return host, port, named, nil
}

func parseFacility(in *input) ([]string, error) {
	return upper(oneOf("daemon", "user", "auth", "authpriv", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"))(in)
}

func parseLevel(in *input) ([]string, error) {
	p := oneOf("silent", "quiet", "fatal", "error", "info", "verbose", "debug", "debug1", "debug2", "debug3")
	return upper(renamed(renamed(p, "debug1", "debug"), "quiet", "silent"))(in)
}

func parseVerbose(in *input) ([]string, error) {
	return in.listOrNone(func(string) error { return nil })
}

// listOrNone takes a list of items, or the word none alone.
func (in *input) listOrNone(check func(string) error) ([]string, error) {
	args := in.rest()
	for i, a := range args {
		switch {
		case a == "":
			return nil, errors.New("empty argument")
		case strings.EqualFold(a, "none"):
			if i > 0 || len(args) > 1 {
				return nil, errors.New(`"none" must appear alone`)
			}
		default:
			if err := check(a); err != nil {
				return nil, err
			}
		}
	}
	if len(args) == 0 && in.v.release() >= 905 {
		return nil, errMissing
	}
	return args, nil
}

func parseTimeouts(in *input) ([]string, error) {
	return in.listOrNone(func(item string) error {
		kind, span, ok := strings.Cut(item, "=")
		if !ok || kind == "" {
			return fmt.Errorf("invalid channel timeout %q", item)
		}
		_, err := convTime(span)
		return err
	})
}

func parseUnused(in *input) ([]string, error) {
	if len(in.args) > 0 && strings.EqualFold(in.args[0], "none") {
		in.next()
		return []string{"none", "none"}, nil // the second says: whatever came before
	}
	vals, err := parseTime(in)
	if err == nil && vals[0] == "0" {
		vals[0] = "none"
	}
	return vals, err
}

// parseUserEnv gives the flag, and the pattern list if there is one. Only the
// lower-case words are flags: "YES" is a pattern.
func parseUserEnv(in *input) ([]string, error) {
	arg, err := in.need()
	switch {
	case err != nil:
		return nil, err
	case arg == "yes", arg == "no":
		return []string{arg}, nil
	case strings.EqualFold(arg, "yes"), strings.EqualFold(arg, "no"):
		in.note(fmt.Sprintf("%q is taken for the name of an environment variable; the words are in lower case here", arg))
	}
	return []string{"yes", arg}, nil
}

// parseMaxStartups gives start, rate and full; rate is empty where only one
// number is written.
func parseMaxStartups(in *input) ([]string, error) {
	arg, err := in.need()
	if err != nil {
		return nil, err
	}
	bad := fmt.Errorf("invalid MaxStartups spec %q", arg)
	n, count := scanInts(arg, 3)
	begin, rate, full := n[0], n[1], n[2]
	switch count {
	case 3:
		if begin > full || rate > 100 || rate < 1 {
			return nil, bad
		}
	case 1:
		full = begin
	default:
		return nil, bad
	}
	if full <= 0 || begin <= 0 {
		return nil, bad
	}
	vals := []string{strconv.Itoa(begin), "", strconv.Itoa(full)}
	if count == 3 {
		vals[1] = strconv.Itoa(rate)
	}
	return vals, nil
}

// scanInts is sscanf with "%d:%d:…": how many numbers it found before what does
// not fit, and what comes behind them is not looked at.
func scanInts(s string, most int) (n [3]int, count int) {
	for count < most {
		v, rest, ok := strtol(s, 10)
		if !ok {
			return n, count
		}
		n[count] = int(int32(max(min(v, math.MaxInt64), math.MinInt64)))
		count++
		if !strings.HasPrefix(rest, ":") {
			return n, count
		}
		s = rest[1:]
	}
	return n, count
}

func parsePerSource(in *input) ([]string, error) {
	arg, err := in.need()
	if err != nil {
		return nil, err
	}
	if arg == "none" {
		return []string{"none"}, nil
	}
	n, err := strtonum(arg, math.MaxInt32)
	return one(strconv.Itoa(n), err)
}

func parseNetBlock(in *input) ([]string, error) {
	arg, err := in.need()
	if err != nil {
		return nil, err
	}
	n, count := scanInts(arg, 2)
	if count == 0 || n[0] < 0 || n[0] > 32 || n[1] < 0 || n[1] > 128 {
		return nil, fmt.Errorf("invalid PerSourceNetBlockSize spec %q", arg)
	}
	if count == 1 {
		// The length for IPv6 is then a variable that sshd never set.
		in.note("without a length for IPv6, sshd uses an arbitrary one")
		n[1] = 128
	}
	return []string{fmt.Sprintf("%d:%d", n[0], n[1])}, nil
}

func parsePenalties(in *input) ([]string, error) {
	args := in.rest()
	if len(args) == 0 {
		return nil, errMissing
	}
	for i, a := range args {
		if strings.EqualFold(a, "yes") || strings.EqualFold(a, "no") {
			if i < len(args)-1 {
				return nil, fmt.Errorf("%q must appear alone", a)
			}
			args[i] = asciiLower(a)
			continue
		}
		name, value, _ := strings.Cut(a, ":")
		n, err := 0, error(nil)
		switch name {
		case "crash", "authfail", "noauth", "grace-exceeded", "refuseconnection", "max", "min":
			n, err = convTime(value)
			value = strconv.Itoa(n)
		case "invaliduser":
			if in.v.release() < 1002 {
				return nil, fmt.Errorf("unsupported keyword %q", a)
			}
		case "max-sources4", "max-sources6":
			n, err = strtonum(value, math.MaxInt32)
			value = strconv.Itoa(n)
		case "overflow", "overflow6":
			if value != "deny-all" && value != "permissive" {
				err = fmt.Errorf("unsupported keyword %q", a)
			}
		default:
			err = fmt.Errorf("unsupported keyword %q", a)
		}
		if err != nil {
			return nil, err
		}
		args[i] = name + ":" + value
	}
	return args, nil
}

func parseExempt(in *input) ([]string, error) {
	arg, err := in.need()
	if err == nil && addrList(netip.Addr{}, arg) != unmatched {
		err = fmt.Errorf("invalid address argument %q", arg)
	}
	return one(arg, err)
}

func parseSubsystem(in *input) ([]string, error) {
	name, err := in.need()
	if err != nil {
		return nil, err
	}
	args := in.rest()
	if in.v.release() >= 905 {
		for i, a := range args {
			args[i] = requote(a)
		}
	}
	return append([]string{name}, args...), nil
}

// requote writes an argument as newer releases hand it to the shell.
func requote(s string) string {
	out := strings.NewReplacer(`\`, `\\`, `'`, `\'`, `"`, `\"`).Replace(s)
	if strings.ContainsAny(s, " \t") {
		return `"` + out + `"`
	}
	return out
}

func parsePubkeyOptions(in *input) ([]string, error) {
	touch, verify := false, false
	for _, a := range in.rest() {
		switch asciiLower(a) {
		case "none":
		case "touch-required":
			touch = true
		case "verify-required":
			verify = true
		default:
			return nil, fmt.Errorf("unsupported option %q", a)
		}
	}
	var vals []string
	if touch {
		vals = append(vals, "touch-required")
	}
	if verify {
		vals = append(vals, "verify-required")
	}
	if vals == nil {
		vals = []string{"none"}
	}
	return vals, nil
}

func parseMethods(in *input) ([]string, error) {
	args := in.rest()
	if len(args) == 0 {
		return nil, errMissing
	}
	sawAny := false
	for _, a := range args {
		switch {
		case a == "any":
			sawAny = true
		case sawAny:
			return nil, errors.New(`"any" must appear alone`)
		default:
			if err := checkMethods(a); err != nil {
				return nil, err
			}
		}
	}
	return args, nil
}

func checkMethods(list string) error {
	for m := range strings.SplitSeq(list, ",") {
		name, _, _ := strings.Cut(m, ":")
		switch name {
		case "none", "publickey", "password", "keyboard-interactive", "hostbased", "gssapi-with-mic", "gssapi-keyex":
		default:
			return fmt.Errorf("unknown authentication method %q", m)
		}
	}
	return nil
}

func parseKeyFiles(in *input) ([]string, error) {
	args := in.rest()
	for i, a := range args {
		if a == "" {
			return nil, errors.New("empty argument")
		}
		full, err := in.host.tilde(a)
		if err != nil {
			return nil, err
		}
		args[i] = full
	}
	return args, in.someSince905(args)
}

func (in *input) someSince905(args []string) error {
	if len(args) == 0 && in.v.release() >= 905 {
		return errMissing
	}
	return nil
}

func parseUsers(in *input) ([]string, error) {
	args := in.rest()
	for _, a := range args {
		_, hosts, at := strings.Cut(a, "@")
		if a == "" || at && addrList(netip.Addr{}, hosts) == malformed {
			return nil, fmt.Errorf("invalid pattern %q", a)
		}
	}
	return args, in.someSince905(args)
}

func parseGroups(in *input) ([]string, error) {
	args := in.rest()
	if slices.Contains(args, "") {
		return nil, errors.New("empty pattern")
	}
	return args, in.someSince905(args)
}

func parseEnvNames(in *input) ([]string, error) {
	args := in.rest()
	for _, a := range args {
		if a == "" || strings.Contains(a, "=") {
			return nil, fmt.Errorf("invalid environment name %q", a)
		}
	}
	return args, in.someSince905(args)
}

func parseSetEnv(in *input) ([]string, error) {
	var vals []string
	seen := map[string]bool{}
	for _, a := range in.rest() {
		name, _, ok := strings.Cut(a, "=")
		if !ok {
			return nil, fmt.Errorf("invalid environment %q", a)
		}
		if !seen[name] {
			vals = append(vals, a)
		}
		seen[name] = true
	}
	return vals, in.someSince905(vals)
}

func parseMask(in *input) ([]string, error) {
	arg, err := in.need()
	if err != nil {
		return nil, err
	}
	n, _, ok := strtol(arg, 8)
	if !ok || n < 0 || n > 0o777 {
		return nil, fmt.Errorf("invalid mask %q", arg)
	}
	return []string{fmt.Sprintf("0%o", n)}, nil
}

// parsePermit reads PermitOpen and PermitListen, whose any and none count only
// as the first word.
func parsePermit(bare bool) parser {
	return func(in *input) ([]string, error) {
		arg, err := in.need()
		if err != nil || arg == "any" || arg == "none" {
			return one(arg, err)
		}
		var vals []string
		for ok := true; ok && arg != ""; {
			port := arg
			if bare && !strings.Contains(arg, ":") {
				arg = "*:" + arg
			} else {
				var named bool
				if _, port, named, err = hostPort(arg); err != nil {
					return nil, err
				}
				if !named {
					return nil, fmt.Errorf("bad port number in %q", arg)
				}
			}
			if p, err := in.host.port(port); port != "*" && (err != nil || p == 0) {
				return nil, fmt.Errorf("bad port number in %q", arg)
			}
			vals = append(vals, arg)
			arg, ok = in.next()
		}
		return vals, nil
	}
}

// parseRekey gives the bytes, and the seconds if a time is named.
func parseRekey(in *input) ([]string, error) {
	arg, err := in.need()
	if err != nil {
		return nil, err
	}
	var bytes int64
	if arg != "default" {
		if bytes, err = scaled(arg); err != nil {
			return nil, err
		}
		if bytes != 0 && bytes < 16 {
			return nil, fmt.Errorf("%q is too small", arg)
		}
	}
	vals := []string{strconv.FormatInt(bytes, 10)}
	if len(in.args) == 0 {
		return vals, nil
	}
	if in.args[0] == "none" {
		in.next()
		return vals, nil
	}
	span, err := parseTime(in)
	return append(vals, span...), err
}

func parseIPQoS(in *input) ([]string, error) {
	arg, err := in.need()
	if err != nil {
		return nil, err
	}
	first, err := serviceClass(arg, in.v)
	if err != nil {
		return nil, err
	}
	arg, ok := in.next()
	if !ok {
		return []string{first, first}, nil
	}
	second, err := serviceClass(arg, in.v)
	return []string{first, second}, err
}

// serviceClass gives the name of a DSCP or type of service value, RFC 2474 and
// 1349, or its number where it has none.
func serviceClass(s string, v Version) (string, error) {
	names := classNames()
	value, known := int64(-1), false
	lower := asciiLower(s)
	for _, c := range names {
		if c.name == lower {
			value, known = c.value, true
			break
		}
	}
	if known && v.release() >= 1000 && (lower == "lowdelay" || lower == "throughput" || lower == "reliability") {
		return "none", nil
	}
	if lower == "none" {
		return "none", nil
	}
	if !known {
		base := 0
		if v.release() >= 1000 {
			base = 10
		}
		n, rest, ok := strtol(s, base)
		if !ok || rest != "" || n < 0 || n > 255 {
			return "", fmt.Errorf("bad IPQoS value %q", s)
		}
		value = n
	}
	for _, c := range names {
		if c.value == value {
			return c.name, nil
		}
	}
	return fmt.Sprintf("0x%02x", value), nil
}

type class struct {
	name  string
	value int64
}

func classNames() []class {
	list := []class{}
	for x := int64(1); x <= 4; x++ {
		for y := int64(1); y <= 3; y++ {
			list = append(list, class{fmt.Sprintf("af%d%d", x, y), (8*x + 2*y) << 2})
		}
	}
	for x := range int64(8) {
		list = append(list, class{fmt.Sprintf("cs%d", x), x << 5})
	}
	return append(list, class{"ef", 0xb8}, class{"le", 0x04}, class{"lowdelay", 0x10}, class{"throughput", 0x08}, class{"reliability", 0x04})
}

func parseGSSKex(in *input) ([]string, error) {
	arg, err := in.need()
	if err != nil {
		return nil, err
	}
	for name := range strings.SplitSeq(arg, ",") {
		if name == "" {
			break
		}
		if !strings.HasPrefix(name, "gss-") || !isKex(name, in.v) {
			return nil, fmt.Errorf("unsupported key exchange %q", name)
		}
	}
	return []string{arg}, nil
}

func parseNoRDomain(in *input) ([]string, error) {
	in.rest()
	return nil, errors.New("RDomain is not supported on Linux")
}
