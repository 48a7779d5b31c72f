package logdate

// The two forms that nearly all logs have are read by hand where they stand at
// the very beginning of a line. What is not exactly of the usual form is left
// to the templates, so that both always agree; a test compares them.

const (
	bsdTemplate = lnBeg + `(?:%a )?%b %d %k:%M:%S(?:\.%f)?(?: %ExY)?`
	isoTemplate = lnBeg + `%ExY(?P<_sep>[-/.])%m(?P=_sep)%d(?:T|  ?)%H:%M:%S(?:[.,]%f)?(?:\s*%z)?`
)

// fast reads the date at the beginning of line if t is one of the two usual
// templates, and returns where it ends; 0 if the templates have to decide.
func (d *Detector) fast(t *template, line []byte) (end int, v civil) {
	switch t.quick {
	case quickBSD:
		return bsdDate(line)
	case quickISO:
		return isoDate(line, d.year)
	}
	return 0, v
}

type quick uint8

const (
	quickNone quick = iota
	quickBSD
	quickISO
)

func quickOf(key string) quick {
	switch key {
	case bsdTemplate:
		return quickBSD
	case isoTemplate:
		return quickISO
	}
	return quickNone
}

func two(b []byte) (n int, ok bool) {
	x, y := b[0]-'0', b[1]-'0'
	return int(x)*10 + int(y), x <= 9 && y <= 9
}

func wordByte(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c >= 0x80
}

// bsdDate reads "Mar  7 10:11:12 ".
func bsdDate(b []byte) (end int, v civil) {
	// A year could follow, or a fraction.
	if len(b) < 18 || b[3] != ' ' || b[6] != ' ' || b[9] != ':' || b[12] != ':' || b[15] != ' ' || b[16] == '2' {
		return 0, v
	}
	switch [3]byte{b[0], b[1], b[2]} {
	case [3]byte{'J', 'a', 'n'}:
		v.month = 1
	case [3]byte{'F', 'e', 'b'}:
		v.month = 2
	case [3]byte{'M', 'a', 'r'}:
		v.month = 3
	case [3]byte{'A', 'p', 'r'}:
		v.month = 4
	case [3]byte{'M', 'a', 'y'}:
		v.month = 5
	case [3]byte{'J', 'u', 'n'}:
		v.month = 6
	case [3]byte{'J', 'u', 'l'}:
		v.month = 7
	case [3]byte{'A', 'u', 'g'}:
		v.month = 8
	case [3]byte{'S', 'e', 'p'}:
		v.month = 9
	case [3]byte{'O', 'c', 't'}:
		v.month = 10
	case [3]byte{'N', 'o', 'v'}:
		v.month = 11
	case [3]byte{'D', 'e', 'c'}:
		v.month = 12
	default:
		return 0, v
	}
	day := [2]byte{b[4], b[5]}
	if day[0] == ' ' {
		day[0] = '0'
	}
	var ok [4]bool
	v.day, ok[0] = two(day[:])
	v.hour, ok[1] = two(b[7:])
	v.minute, ok[2] = two(b[10:])
	v.second, ok[3] = two(b[13:])
	if ok != [4]bool{true, true, true, true} || v.day < 1 || v.day > 31 || v.hour > 23 || v.minute > 59 || v.second > 59 {
		return 0, v
	}
	return 15, v
}

// isoDate reads "2026-03-07T10:11:12.123456+01:00 " with its usual variations.
func isoDate(b []byte, year int) (end int, v civil) {
	if len(b) < 21 || b[4] != '-' || b[7] != '-' || b[10] != 'T' && b[10] != ' ' || b[13] != ':' || b[16] != ':' {
		return 0, v
	}
	var ok [7]bool
	century, okc := two(b)
	v.year, ok[0] = two(b[2:])
	v.month, ok[1] = two(b[5:])
	v.day, ok[2] = two(b[8:])
	v.hour, ok[3] = two(b[11:])
	v.minute, ok[4] = two(b[14:])
	v.second, ok[5] = two(b[17:])
	ok[6] = okc && century == 20
	v.year += 2000
	if ok != [7]bool{true, true, true, true, true, true, true} || v.year/10 > (max(year, 2001)+3)/10 ||
		v.month < 1 || v.month > 12 || v.day < 1 || v.day > 31 || v.hour > 23 || v.minute > 59 || v.second > 59 {
		return 0, v
	}
	end = 19
	if b[end] == '.' || b[end] == ',' {
		from := end + 1
		for end++; end < len(b) && '0' <= b[end] && b[end] <= '9'; end++ {
		}
		if n := end - from; n < 1 || n > 6 {
			return 0, v
		}
	}
	if end+6 >= len(b) {
		return 0, v
	}
	switch c := b[end]; {
	case c == ' ':
		// A zone could follow.
		if n := b[end+1]; n == 'Z' || n == 'U' || n == 'G' || n == '+' || n == '-' || n == ' ' || n == '\t' || n >= 0x80 || n < ' ' {
			return 0, v
		}
		return end, v
	case c == 'Z' && !wordByte(b[end+1]):
		v.hasOffset = true
		return end + 1, v
	case (c == '+' || c == '-') && b[end+3] == ':' && !wordByte(b[end+6]) && b[end+1] <= '1':
		h, ok1 := two(b[end+1:])
		m, ok2 := two(b[end+4:])
		if !ok1 || !ok2 {
			return 0, v
		}
		if v.offset, v.hasOffset = h*60+m, true; c == '-' {
			v.offset = -v.offset
		}
		return end + 6, v
	}
	return 0, v
}
