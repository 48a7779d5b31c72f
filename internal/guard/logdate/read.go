package logdate

import (
	"math"
	"strconv"
	"time"
)

// A Clock says when and where a line is read.
type Clock struct {
	Now   time.Time      // complements dates without year or day
	Local *time.Location // dates without a zone are of this one
	// Offset, if Fixed, is where dates without a zone are instead, in minutes
	// east of UTC (the jail option logtimezone).
	Offset int
	Fixed  bool
}

// A reader holds what Read learns: the last hour is read again and again.
type reader struct {
	hour  hourKey
	start int64
}

type hourKey struct {
	year, month, day, hour int
	loc                    *time.Location
}

// Read returns the time of the date that Find found last, in seconds since
// 1970. It is not ok if there is no such time.
func (d *Detector) Read(c Clock) (seconds float64, ok bool) {
	t := d.found
	if t == nil {
		return 0, false
	}
	switch t.kind {
	case epoch, longEpoch:
		s := d.group(t.group)
		v, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return 0, false
		}
		if t.kind == longEpoch && len(s) >= 13 {
			if v /= 1000; len(s) >= 16 && !hasDot(s) {
				v /= 1000
			}
		}
		return v, true
	case tai64n:
		s := d.group(1)
		if len(s) < 17 {
			return 0, false
		}
		v, err := strconv.ParseUint(s[2:17], 16, 64)
		return float64(v), err == nil
	}
	return d.readFields(t, c)
}

func hasDot(s string) bool {
	for i := range len(s) {
		if s[i] == '.' {
			return true
		}
	}
	return false
}

func (d *Detector) group(g int) string {
	if g >= len(d.spans) || d.spans[g][0] < 0 {
		return ""
	}
	return string(d.line[d.spans[g][0]:d.spans[g][1]])
}

// raw returns the text of a field; nil if the template has none or it took no part.
func (d *Detector) raw(t *template, field byte) []byte {
	g := t.fields[fieldIndex(field)]
	if g <= 0 || int(g) >= len(d.spans) || d.spans[g][0] < 0 || d.spans[g][1] < d.spans[g][0] {
		return nil
	}
	return d.line[d.spans[g][0]:d.spans[g][1]]
}

// number reads decimal digits, of any script as \d matches them; blanks before are skipped.
func number(b []byte) (int, bool) {
	if b == nil {
		return 0, false
	}
	n, seen := 0, false
	for _, c := range b {
		switch {
		case c == ' ' && !seen:
			continue
		case c < '0' || c > '9' || n > math.MaxInt32:
			return 0, false
		}
		n, seen = n*10+int(c-'0'), true
	}
	return n, seen
}

// index returns the place of b in names, in any case; -1 if it is not there.
func index(b []byte, names []string) int {
	for i, n := range names {
		if len(n) == len(b) && equalFold(b, n) {
			return i
		}
	}
	return -1
}

func equalFold(b []byte, lower string) bool {
	for i := range lower {
		c := b[i]
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// A civil is a date as it is written: 0 stands for what is missing.
type civil struct {
	year, month, day, hour, minute, second int
	offset                                 int // minutes
	hasOffset                              bool
}

func (d *Detector) readFields(t *template, c Clock) (float64, bool) {
	v := d.byHand
	if !d.hasRead {
		var ok bool
		if v, ok = d.civil(t); !ok {
			return 0, false
		}
	}
	now := c.Now.In(c.Local)
	assumeYear := v.year == 0
	if assumeYear {
		v.year = now.Year()
	}
	if (v.month == 0 || v.day == 0) && !d.ordinal(t, &v) {
		return 0, false
	}
	assumeToday := v.month == 0 && v.day == 0
	if assumeToday {
		v.month, v.day = int(now.Month()), now.Day()
	}
	if assumeYear {
		v.leap()
	}
	if !v.exists() {
		return 0, false
	}
	if !v.hasOffset && c.Fixed {
		v.offset, v.hasOffset = c.Offset, true
	}
	if v.hasOffset {
		v.shift(-v.offset)
	}
	// As in fail2ban, what is compared are times as written, of whatever zone.
	if assumeToday && v.after(now) {
		v.shift(-24 * 60)
	}
	if assumeYear && v.month >= int(now.Month()) && v.after(now.AddDate(0, 0, 1)) {
		month, day := v.month, v.day
		v.year, v.month, v.day = v.year-1, month, day
		v.leap()
	}
	if v.hasOffset {
		return float64(v.utc().Unix()), true
	}
	return float64(d.local(v, c.Local)), true
}

// civil collects the fields of the date that was found.
func (d *Detector) civil(t *template) (v civil, ok bool) {
	if n, ok := number(d.raw(t, 'y')); ok {
		if v.year = n; n <= 2000 {
			v.year += 2000
		}
	}
	if n, ok := number(d.raw(t, 'Y')); ok {
		v.year = n
	}
	if n, ok := number(d.raw(t, 'm')); ok {
		v.month = n
	}
	if b := d.raw(t, 'b'); b != nil {
		v.month = index(b, monthAbbrs[:]) + 1
	} else if b := d.raw(t, 'B'); b != nil {
		v.month = index(b, months[:]) + 1
	}
	v.day, _ = number(d.raw(t, 'd'))
	v.hour, _ = number(d.raw(t, 'H'))
	if n, ok := number(d.raw(t, 'I')); ok {
		v.hour = n
		switch pm := d.raw(t, 'p'); {
		case pm != nil && equalFold(pm, "pm"):
			if v.hour != 12 {
				v.hour += 12
			}
		case v.hour == 12:
			v.hour = 0
		}
	}
	v.minute, _ = number(d.raw(t, 'M'))
	v.second, _ = number(d.raw(t, 'S'))
	for _, f := range [...]byte{'z', 'Z'} {
		if b := d.raw(t, f); b != nil {
			if v.offset, ok = zoneOffset(string(b)); !ok {
				return v, false
			}
			v.hasOffset = true
		}
	}
	return v, true
}

// ordinal takes month and day from the day of the year, or from the week and
// the day of the week; without these, nothing is lost.
func (d *Detector) ordinal(t *template, v *civil) bool {
	julian, ok := number(d.raw(t, 'j'))
	if !ok {
		julian, ok = d.weekdate(t, v.year)
	}
	if !ok {
		// A month without a day, or the other way round, is no date.
		return v.month == 0 && v.day == 0
	}
	day := time.Date(v.year, 1, julian, 0, 0, 0, 0, time.UTC)
	v.year, v.month, v.day = day.Year(), int(day.Month()), day.Day()
	return true
}

func (d *Detector) weekdate(t *template, year int) (julian int, ok bool) {
	week, mondays := number(d.raw(t, 'W'))
	if !mondays {
		if week, ok = number(d.raw(t, 'U')); !ok {
			return 0, false
		}
	}
	weekday := -1 // 0 is Monday
	if b := d.raw(t, 'a'); b != nil {
		weekday = index(b, weekdayAbbrs[:])
	} else if b := d.raw(t, 'A'); b != nil {
		weekday = index(b, weekdays[:])
	} else if n, ok := number(d.raw(t, 'w')); ok {
		weekday = (n + 6) % 7
	}
	if weekday < 0 {
		return 0, false
	}
	first := (int(time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC).Weekday()) + 6) % 7
	if !mondays {
		first, weekday = (first+1)%7, (weekday+1)%7
	}
	before := (7 - first) % 7
	if week == 0 {
		return 1 + weekday - first, true
	}
	return 1 + before + 7*(week-1) + weekday, true
}

// leap goes back to the last year that has the day, if it is February 29.
func (v *civil) leap() {
	for v.month == 2 && v.day == 29 && daysIn(v.year, 2) < 29 {
		v.year--
	}
}

func (v *civil) exists() bool {
	if v.year < 1 || v.year > 9999 || v.month < 1 || v.month > 12 || v.day < 1 || v.hour > 23 || v.minute > 59 || v.second > 59 {
		return false
	}
	return v.day <= daysIn(v.year, v.month)
}

func daysIn(year, month int) int {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

func (v *civil) utc() time.Time {
	return time.Date(v.year, time.Month(v.month), v.day, v.hour, v.minute, v.second, 0, time.UTC)
}

// shift moves the written time by minutes.
func (v *civil) shift(minutes int) {
	t := v.utc().Add(time.Duration(minutes) * time.Minute)
	v.year, v.month, v.day = t.Year(), int(t.Month()), t.Day()
	v.hour, v.minute, v.second = t.Hour(), t.Minute(), t.Second()
}

// after compares with the wall clock of now.
func (v *civil) after(now time.Time) bool {
	wall := time.Date(now.Year(), now.Month(), now.Day(), now.Hour(), now.Minute(), now.Second(), now.Nanosecond(), time.UTC)
	return v.utc().After(wall)
}

// local converts a time of loc. Hours are remembered: a log stays in one for long.
func (r *reader) local(v civil, loc *time.Location) int64 {
	k := hourKey{v.year, v.month, v.day, v.hour, loc}
	if k != r.hour || r.hour.loc == nil {
		t := time.Date(v.year, time.Month(v.month), v.day, v.hour, v.minute, v.second, 0, loc)
		s := t.Unix()
		// Only an hour that passes without a jump may be remembered.
		a := time.Date(v.year, time.Month(v.month), v.day, v.hour, 0, 0, 0, loc).Unix()
		b := time.Date(v.year, time.Month(v.month), v.day, v.hour, 59, 59, 0, loc).Unix()
		if b-a == 3599 {
			r.hour, r.start = k, a
		}
		return s
	}
	return r.start + int64(v.minute)*60 + int64(v.second)
}
