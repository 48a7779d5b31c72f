package sshd

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// A parser reads the arguments of one keyword into the form in which sshd -T
// prints them. An error says why sshd refuses the line; arguments left over are
// the caller's to complain about.
type parser func(in *input) ([]string, error)

// An input is what stands behind a keyword.
type input struct {
	args []string // as splitArgs cuts them
	raw  string   // as written
	host *names
	v    Version
	note func(text string) // a remark that is no refusal
}

var errMissing = errors.New("missing argument")

// next takes an argument; ok is false where none is left.
func (in *input) next() (arg string, ok bool) {
	if len(in.args) == 0 {
		return "", false
	}
	arg, in.args = in.args[0], in.args[1:]
	return arg, true
}

// need takes an argument that must be there and not be empty.
func (in *input) need() (string, error) {
	arg, ok := in.next()
	if !ok || arg == "" {
		return "", errMissing
	}
	return arg, nil
}

// rest takes all arguments.
func (in *input) rest() []string {
	args := in.args
	in.args = nil
	return args
}

func parseNothing(in *input) ([]string, error) {
	in.rest()
	return nil, nil
}

func one(s string, err error) ([]string, error) {
	if err != nil {
		return nil, err
	}
	return []string{s}, nil
}

func parseWord(in *input) ([]string, error) { return one(in.need()) }

// parseRaw takes the line as it is written, comment and quotes included.
func parseRaw(in *input) ([]string, error) {
	in.rest()
	text := strings.TrimLeft(in.raw, blank)
	if text == "" {
		return nil, errMissing
	}
	return []string{text}, nil
}

func parseCommand(in *input) ([]string, error) {
	in.rest()
	text := strings.TrimLeft(in.raw, blank)
	if !strings.HasPrefix(text, "/") && !strings.EqualFold(text, "none") {
		return nil, errors.New("must be an absolute path")
	}
	return []string{text}, nil
}

func parseAddendum(in *input) ([]string, error) {
	if strings.Contains(in.raw, "\r") {
		return nil, errors.New("invalid argument: carriage return")
	}
	return parseRaw(in)
}

// oneOf takes one of the given words, whatever its case.
func oneOf(words ...string) parser {
	return func(in *input) ([]string, error) {
		arg, err := in.need()
		if err != nil {
			return nil, err
		}
		lower := asciiLower(arg)
		if !slices.Contains(words, lower) {
			return nil, fmt.Errorf("unsupported option %q", arg)
		}
		return []string{lower}, nil
	}
}

// exactly is oneOf with regard to case.
func exactly(words ...string) parser {
	return func(in *input) ([]string, error) {
		arg, err := in.need()
		if err == nil && !slices.Contains(words, arg) {
			err = fmt.Errorf("bad argument %q", arg)
		}
		return one(arg, err)
	}
}

// renamed gives one word in place of a synonym.
func renamed(p parser, from, to string) parser {
	return func(in *input) ([]string, error) {
		vals, err := p(in)
		if len(vals) == 1 && vals[0] == from {
			vals[0] = to
		}
		return vals, err
	}
}

func upper(p parser) parser {
	return func(in *input) ([]string, error) {
		vals, err := p(in)
		for i := range vals {
			vals[i] = strings.ToUpper(vals[i])
		}
		return vals, err
	}
}

func parseFlag(in *input) ([]string, error) { return oneOf("yes", "no")(in) }

func parseInt(in *input) ([]string, error) {
	arg, err := in.need()
	if err != nil {
		return nil, err
	}
	n, err := strtonum(arg, math.MaxInt32)
	return one(strconv.Itoa(n), err)
}

// strtonum is strtonum(3) from 0 on: blanks and a sign may come first.
func strtonum(s string, limit int) (int, error) {
	n, rest, ok := strtol(s, 10)
	switch {
	case !ok || rest != "":
		return 0, fmt.Errorf("integer value invalid: %q", s)
	case n < 0:
		return 0, fmt.Errorf("integer value too small: %q", s)
	case n > int64(limit):
		return 0, fmt.Errorf("integer value too large: %q", s)
	}
	return int(n), nil
}

// strtol is strtol(3): it stops at the first byte that does not belong to the
// number, and cuts values that are too large.
func strtol(s string, base int) (n int64, rest string, ok bool) {
	digits := strings.TrimLeft(s, " \t\n\v\f\r")
	sign := ""
	if strings.HasPrefix(digits, "-") || strings.HasPrefix(digits, "+") {
		sign, digits = digits[:1], digits[1:]
	}
	if base == 0 {
		base = 10
		if len(digits) > 2 && digits[0] == '0' && digits[1]|0x20 == 'x' && isDigit(digits[2], 16) {
			base, digits = 16, digits[2:]
		} else if strings.HasPrefix(digits, "0") {
			base = 8
		}
	}
	end := 0
	for end < len(digits) && isDigit(digits[end], base) {
		end++
	}
	if end == 0 {
		return 0, s, false
	}
	n, err := strconv.ParseInt(digits[:end], base, 64)
	if err != nil {
		n = math.MaxInt64
	}
	if sign == "-" {
		n = -n
	}
	return n, digits[end:], true
}

func isDigit(c byte, base int) bool {
	switch {
	case '0' <= c && c <= '9':
		return int(c-'0') < base
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return base == 16
	}
	return false
}

func parseTime(in *input) ([]string, error) {
	arg, err := in.need()
	if err != nil {
		return nil, err
	}
	if in.v.release() >= 1000 && !isDigit(arg[0], 10) {
		return nil, fmt.Errorf("invalid time value %q", arg)
	}
	n, err := convTime(arg)
	return one(strconv.Itoa(n), err)
}

// convTime reads a time as sshd_config(5) has it, 1h30m, into seconds.
func convTime(s string) (int, error) {
	bad := fmt.Errorf("invalid time value %q", s)
	total := int64(0)
	if s == "" {
		return 0, bad
	}
	for rest := s; rest != ""; {
		n, after, ok := strtol(rest, 10)
		if !ok || n < 0 {
			return 0, bad
		}
		unit := int64(1)
		if after != "" {
			switch after[0] | 0x20 {
			case 's':
			case 'm':
				unit = 60
			case 'h':
				unit = 3600
			case 'd':
				unit = 86400
			case 'w':
				unit = 604800
			default:
				return 0, bad
			}
			after = after[1:]
		}
		if n > math.MaxInt32/unit || total > math.MaxInt32-n*unit {
			return 0, bad
		}
		total += n * unit
		rest = after
	}
	return int(total), nil
}

// scaled reads a number with a suffix, as scan_scaled of OpenBSD's libutil.
func scaled(s string) (int64, error) {
	bad := fmt.Errorf("bad number %q", s)
	text := strings.TrimLeft(s, " \t\n\v\f\r")
	sign := int64(1)
	if strings.HasPrefix(text, "-") || strings.HasPrefix(text, "+") {
		if text[0] == '-' {
			sign = -1
		}
		text = text[1:]
	}
	end := 0
	for end < len(text) && (isDigit(text[end], 10) || text[end] == '.') {
		end++
	}
	whole, fraction, _ := strings.Cut(text[:end], ".")
	if strings.Contains(fraction, ".") || len(whole) >= 21 {
		return 0, bad
	}
	n, err := strconv.ParseInt("0"+whole, 10, 64)
	if err != nil {
		return 0, bad
	}
	suffix := text[end:]
	if suffix == "" {
		return sign * n, nil
	}
	power := strings.IndexByte("bkmgtpe", suffix[0]|0x20)
	if power < 0 || len(suffix) > 1 && isAlnum(suffix[1]) {
		return 0, bad
	}
	unit := int64(1) << (10 * power)
	if n > math.MaxInt64/unit {
		return 0, bad
	}
	part, err := strconv.ParseFloat("0."+fraction+"0", 64)
	if err != nil {
		return 0, bad
	}
	return sign*n*unit + int64(part*float64(unit)), nil
}

func isAlnum(c byte) bool {
	return isDigit(c, 10) || 'a' <= c|0x20 && c|0x20 <= 'z'
}
