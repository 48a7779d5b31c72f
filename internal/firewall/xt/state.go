package xt

import (
	"fmt"
	"strings"

	"sekimori/internal/firewall"
)

// stateMatches are the matches without a fixed answer: they count, learn, draw
// lots or look at the clock.
func stateMatches() table {
	t := make(table)
	t.match("limit", "limit limit-burst", []int{40}, decodeLimit, stateful)
	const hash = "hashlimit hashlimit-upto hashlimit-above hashlimit-burst hashlimit-mode hashlimit-name " +
		"hashlimit-srcmask hashlimit-dstmask hashlimit-htable-size hashlimit-htable-max hashlimit-htable-gcinterval " +
		"hashlimit-htable-expire hashlimit-rate-match:0 hashlimit-rate-interval"
	t.match("hashlimit", hash, []int{0, 56, 304, 312}, decodeHashlimit, stateful)
	t.match("recent", "set!:0 rcheck!:0 update!:0 remove!:0 seconds reap:0 hitcount rttl:0 name mask rsource:0 rdest:0",
		[]int{212, 228}, decodeRecent, recent)
	t.match("connlimit", "connlimit-upto connlimit-above! connlimit-mask connlimit-saddr:0 connlimit-daddr:0",
		[]int{0, 32}, decodeConnlimit, stateful)
	t.match("quota", "quota!", []int{24}, decodeQuota, stateful)
	t.match("statistic", "mode probability! every! packet", []int{24}, decodeStatistic, statistic)
	t.match("time", "timestart timestop datestart datestop monthdays! weekdays! days=weekdays kerneltz:0 utc:0 localtz:0 contiguous:0",
		[]int{24}, decodeTime, fixedAnswer)
	t.match("cluster", "cluster-total-nodes cluster-local-node! cluster-local-nodemask! cluster-hash-seed",
		[]int{16}, decodeCluster, fixedAnswer)
	t.match("nfacct", "nfacct-name", []int{40, 40}, decodeNFAcct, stateful)
	t.match("rateest", "rateest rateest1 rateest2 rateest-delta:0 rateest-bps1 rateest-bps2 rateest-pps1 rateest-pps2 "+
		"rateest-lt! rateest-gt! rateest-eq! rateest-bps rateest-pps", nil, nil, stateful)
	t.match("random", "average", nil, nil, stateful)
	t.match("psd", "psd-weight-threshold psd-delay-threshold psd-lo-ports-weight psd-hi-ports-weight", nil, nil, stateful)
	return t
}

// rateUnits are the units of limits, in ten-thousandths of a second.
func rateUnits() []rateUnit {
	return []rateUnit{{"day", 864000000}, {"hour", 36000000}, {"min", 600000}, {"sec", 10000}}
}

type rateUnit struct {
	name string
	mult uint64
}

// rateText prints a period as libxt_limit does: in the largest unit in which it
// is a whole number of packets, or nearly so.
func rateText(period, scale uint64) string {
	if period == 0 {
		return "infinite"
	}
	i := 1
	for ; i < len(rateUnits()); i++ {
		mult := rateUnits()[i].mult * scale
		if period > mult || mult/period < mult%period {
			break
		}
	}
	u := rateUnits()[i-1]
	return fmt.Sprintf("%d/%s", u.mult*scale/period, u.name)
}

func decodeLimit(_ *Context, d *data) []Option {
	opts := []Option{opt("limit", rateText(uint64(d.u32(0)), 1))}
	if burst := d.u32(4); burst != 5 {
		opts = append(opts, opt("limit-burst", fmt.Sprint(burst)))
	}
	return opts
}

// hashlimitConfig is hashlimit_cfg1, 2 and 3.
type hashlimitConfig struct {
	avg, burst                           uint64
	mode, size, max, gc, expire, between uint32
	src, dst                             uint8
}

func readHashlimit(d *data) hashlimitConfig {
	if d.rev == 1 {
		return hashlimitConfig{
			mode: d.u32(16), avg: uint64(d.u32(20)), burst: uint64(d.u32(24)), size: d.u32(28), max: d.u32(32),
			gc: d.u32(36), expire: d.u32(40), src: d.u8(44), dst: d.u8(45),
		}
	}
	c := hashlimitConfig{
		avg: d.u64(256), burst: d.u64(264), mode: d.u32(272), size: d.u32(276), max: d.u32(280),
		gc: d.u32(284), expire: d.u32(288), src: d.u8(292), dst: d.u8(293),
	}
	if d.rev == 3 {
		c.between, c.src, c.dst = d.u32(292), d.u8(296), d.u8(297)
	}
	return c
}

func decodeHashlimit(c *Context, d *data) []Option {
	h := readHashlimit(d)
	nameSize, scale := 255, uint64(100)
	if d.rev == 1 {
		nameSize, scale = 16, 1
	}
	d.flags("mode", uint64(h.mode), 0x7f)
	kind := "hashlimit-upto"
	if h.mode&0x10 != 0 {
		kind = "hashlimit-above"
	}
	var opts []Option
	if h.mode&0x20 != 0 {
		opts = append(opts, opt(kind, byteRate(h.avg)))
		if h.burst != 0 {
			opts = append(opts, opt("hashlimit-burst", byteRate(h.burst)))
		}
	} else {
		opts = append(opts, opt(kind, rateText(h.avg, scale)), opt("hashlimit-burst", fmt.Sprint(h.burst)))
	}
	var modes []string
	for _, m := range [...]struct {
		bit  uint32
		name string
	}{{4, "srcip"}, {8, "srcport"}, {1, "dstip"}, {2, "dstport"}} {
		if h.mode&m.bit != 0 {
			modes = append(modes, m.name)
		}
	}
	if modes != nil {
		opts = append(opts, opt("hashlimit-mode", strings.Join(modes, ",")))
	}
	opts = append(opts, opt("hashlimit-name", d.str(0, nameSize)))
	for _, n := range [...]struct {
		name            string
		value, default_ uint32
	}{
		{"hashlimit-htable-size", h.size, 0},
		{"hashlimit-htable-max", h.max, 0},
		{"hashlimit-htable-gcinterval", h.gc, 1000},
		{"hashlimit-htable-expire", h.expire, hashlimitExpiry(h, scale)},
		{"hashlimit-srcmask", uint32(h.src), uint32(c.addressBits())},
		{"hashlimit-dstmask", uint32(h.dst), uint32(c.addressBits())},
	} {
		if n.value != n.default_ {
			opts = append(opts, opt(n.name, fmt.Sprint(n.value)))
		}
	}
	if h.mode&0x40 != 0 {
		opts = append(opts, opt("hashlimit-rate-match"))
		if h.between != 1 {
			opts = append(opts, opt("hashlimit-rate-interval", fmt.Sprint(h.between)))
		}
	}
	return opts
}

// hashlimitExpiry is the default of --hashlimit-htable-expire: the unit of the
// rate, in milliseconds.
func hashlimitExpiry(h hashlimitConfig, scale uint64) uint32 {
	if h.mode&0x20 != 0 { // of bytes
		return 15000
	}
	avg := h.avg
	i := 1
	for ; i < len(rateUnits()); i++ {
		mult := rateUnits()[i].mult * scale
		if avg > mult || avg == 0 || mult/avg < mult%avg {
			break
		}
	}
	return uint32(rateUnits()[i-1].mult / 10)
}

// byteRate prints a rate in bytes, which is kept as the cost of 16 of them.
func byteRate(avg uint64) string {
	if avg == 0 || avg > 0xffffffff {
		return "1b/s"
	}
	r := (0xffffffff/avg - 1) << 4
	switch {
	case r == 0:
		return "1b/s"
	case r%(1024*1024) == 0:
		return fmt.Sprintf("%dmb/s", r/1024/1024)
	case r%1024 == 0:
		return fmt.Sprintf("%dkb/s", r/1024)
	}
	return fmt.Sprintf("%db/s", r)
}

// The operations of recent.
const (
	recentCheck = 1 << iota
	recentSet
	recentUpdate
	recentRemove
	recentTTL
	recentReap
)

func decodeRecent(c *Context, d *data) []Option {
	seconds, hits, op, not := d.u32(0), d.u32(4), d.u8(8), d.boolean(9, 1)
	d.flags("operation", uint64(op), 63)
	var opts []Option
	for _, o := range [...]struct {
		bit  uint8
		name string
	}{{recentSet, "set"}, {recentCheck, "rcheck"}, {recentUpdate, "update"}, {recentRemove, "remove"}} {
		if op&o.bit != 0 {
			opts = append(opts, inv(not, o.name))
		}
	}
	if len(opts) != 1 {
		d.refuse("operations %#x", op)
		return nil
	}
	if seconds != 0 {
		opts = append(opts, opt("seconds", fmt.Sprint(seconds)))
	}
	if op&recentReap != 0 {
		opts = append(opts, opt("reap"))
	}
	if hits != 0 {
		opts = append(opts, opt("hitcount", fmt.Sprint(hits)))
	}
	if op&recentTTL != 0 {
		opts = append(opts, opt("rttl"))
	}
	opts = append(opts, opt("name", d.str(10, 200)))
	if d.rev == 1 {
		opts = append(opts, opt("mask", c.address(d.raw(212, 16))))
	}
	side := "rsource"
	if d.u8(210) == 1 {
		side = "rdest"
	} else if d.u8(210) != 0 {
		d.refuse("side %d", d.u8(210))
	}
	return append(opts, opt(side))
}

// recent: --set always matches, or never if inverted; the others depend on who
// was here before.
func recent(a *args) firewall.Cond {
	kinds := 0
	for _, o := range a.opts {
		switch o.Name {
		case "set", "rcheck", "update", "remove":
			kinds++
		}
	}
	if kinds != 1 {
		a.fail("recent needs exactly one of --set, --rcheck, --update and --remove")
	}
	if o, ok := a.get("set"); ok {
		return firewall.Const(!o.Not)
	}
	return stateful(a)
}

func decodeConnlimit(c *Context, d *data) []Option {
	flags := d.u32(20)
	d.flags("flags", uint64(flags), 3)
	kind := "connlimit-above"
	if flags&1 != 0 {
		kind = "connlimit-upto"
	}
	ones := prefixLength(d.raw(0, c.addressBits()/8))
	if ones < 0 {
		d.refuse("a mask that is not a prefix")
	}
	side := "connlimit-saddr"
	if flags&2 != 0 {
		side = "connlimit-daddr"
	}
	return []Option{opt(kind, fmt.Sprint(d.u32(16))), opt("connlimit-mask", fmt.Sprint(ones)), opt(side)}
}

func decodeQuota(_ *Context, d *data) []Option {
	d.flags("flags", uint64(d.u32(0)), 1)
	return []Option{inv(d.u32(0) == 1, "quota", fmt.Sprint(d.u64(8)))}
}

func decodeStatistic(_ *Context, d *data) []Option {
	mode, flags := d.u16(0), d.u16(2)
	d.flags("flags", uint64(flags), 1)
	switch mode {
	case 0:
		p := fmt.Sprintf("%.11f", float64(d.u32(4))/0x80000000)
		return []Option{opt("mode", "random"), inv(flags == 1, "probability", p)}
	case 1:
		return []Option{
			opt("mode", "nth"), inv(flags == 1, "every", fmt.Sprint(uint64(d.u32(4))+1)), opt("packet", fmt.Sprint(d.u32(8))),
		}
	}
	d.refuse("mode %d", mode)
	return nil
}

func statistic(a *args) firewall.Cond {
	if m := a.value("mode"); m != "random" && m != "nth" {
		a.fail("statistic needs --mode random or --mode nth")
	}
	return stateful(a)
}

func clock(seconds uint32) string {
	return fmt.Sprintf("%02d:%02d:%02d", seconds/3600, seconds/60%60, seconds%60)
}

// date prints seconds since 1970 in UTC; it reads no clock.
func date(seconds uint32) string {
	days, rest := int(seconds/86400), seconds%86400
	// Civil date from days, by the 400-year cycle that begins in March.
	z := days + 719468
	era := z / 146097
	doe := z - era*146097
	yoe := (doe - doe/1460 + doe/36524 - doe/146096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153
	month := mp + 3
	year := yoe + era*400
	if month > 12 {
		month, year = month-12, year+1
	}
	return fmt.Sprintf("%04d-%02d-%02dT%s", year, month, doy-(153*mp+2)/5+1, clock(rest))
}

func decodeTime(_ *Context, d *data) []Option {
	from, to, start, stop := d.u32(0), d.u32(4), d.u32(8), d.u32(12)
	months, week, flags := d.u32(16), d.u8(20), d.u8(21)
	d.flags("flags", uint64(flags), 3)
	var opts []Option
	if start != 0 || stop != 86399 {
		opts = append(opts, opt("timestart", clock(start)), opt("timestop", clock(stop)))
	}
	if months != 0xfffffffe {
		var days []string
		for n := 1; n <= 31; n++ {
			if months>>n&1 == 1 {
				days = append(days, fmt.Sprint(n))
			}
		}
		opts = append(opts, opt("monthdays", strings.Join(days, ",")))
	}
	if week != 0xfe {
		var days []string
		for n, name := range [...]string{"", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"} {
			if week>>n&1 == 1 {
				days = append(days, name)
			}
		}
		opts = append(opts, opt("weekdays", strings.Join(days, ",")))
	}
	if from != 0 {
		opts = append(opts, opt("datestart", date(from)))
	}
	if to != 0 {
		opts = append(opts, opt("datestop", date(to)))
	}
	if flags&1 != 0 {
		opts = append(opts, opt("kerneltz"))
	}
	if flags&2 != 0 {
		opts = append(opts, opt("contiguous"))
	}
	return opts
}

func decodeCluster(_ *Context, d *data) []Option {
	d.flags("flags", uint64(d.u32(12)), 1)
	return []Option{
		inv(d.u32(12) == 1, "cluster-local-nodemask", fmt.Sprintf("0x%08x", d.u32(4))),
		opt("cluster-total-nodes", fmt.Sprint(d.u32(0))),
		opt("cluster-hash-seed", fmt.Sprintf("0x%08x", d.u32(8))),
	}
}

func decodeNFAcct(_ *Context, d *data) []Option {
	return []Option{opt("nfacct-name", d.str(0, 32))}
}
