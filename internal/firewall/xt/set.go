package xt

import (
	"fmt"

	"sekimori/internal/firewall"
)

// setMatches is the match on ipsets.
func setMatches() table {
	t := make(table)
	t.match("set",
		"match-set!:2 set!:2=match-set return-nomatch:0 update-counters!:0 update-subcounters!:0 "+
			"packets-eq! packets-lt packets-gt bytes-eq! bytes-lt bytes-gt",
		[]int{32, 4, 4, 48, 48}, decodeSet, set)
	return t
}

// Flags of set matches (IPSET_FLAG_*).
const (
	setSkipCounter    = 1 << 3
	setSkipSubcounter = 1 << 4
	setMatchCounters  = 1 << 5
	setReturnNomatch  = 1 << 7
)

// setName finds the set of an index.
func (c *Context) setName(d *data, index uint16) string {
	if s, ok := c.IPSets[index]; ok {
		return s.Name
	}
	d.refuse("ipset %d, of which there is no listing", index)
	return ""
}

// setDirections prints the directions: bit n of flags is set where part n is
// that of the source.
func setDirections(d *data, dim, flags uint8) string {
	if dim == 0 || dim > 6 {
		d.refuse("%d directions", dim)
		return ""
	}
	dirs := make([]bool, dim)
	for i := range dirs {
		dirs[i] = flags>>(i+1)&1 == 1
	}
	return directionText(dirs)
}

func decodeSet(c *Context, d *data) []Option {
	index, dim, flags := d.u16(0), d.u8(2), d.u8(3)
	if d.rev == 0 { // the kernel puts what it made of the old flags at their end
		dim, flags = d.u8(28), d.u8(29)
	}
	if d.rev != 2 {
		d.flags("flags", uint64(flags), 0x7f)
	}
	opts := []Option{inv(flags&1 != 0, "match-set", c.setName(d, index), setDirections(d, dim, flags))}
	nomatch := flags&0x80 != 0
	if d.rev < 3 {
		if nomatch {
			opts = append(opts, opt("return-nomatch"))
		}
		return opts
	}
	cmd := d.u32(40)
	d.flags("flags", uint64(cmd), setSkipCounter|setSkipSubcounter|setMatchCounters|setReturnNomatch)
	if cmd&setReturnNomatch != 0 {
		opts = append(opts, opt("return-nomatch"))
	}
	if cmd&setSkipCounter != 0 {
		opts = append(opts, inv(true, "update-counters"))
	}
	if cmd&setSkipSubcounter != 0 {
		opts = append(opts, inv(true, "update-subcounters"))
	}
	opts = append(opts, setCounter(d, "packets", 8)...)
	return append(opts, setCounter(d, "bytes", 24)...)
}

func setCounter(d *data, what string, off int) []Option {
	op, value := d.u8(off), d.u64(off+8)
	if d.rev == 4 {
		op, value = d.u8(off+8), d.u64(off)
	}
	switch op {
	case 0:
		return nil
	case 1, 2:
		return []Option{inv(op == 2, what+"-eq", fmt.Sprint(value))}
	case 3:
		return []Option{opt(what+"-lt", fmt.Sprint(value))}
	case 4:
		return []Option{opt(what+"-gt", fmt.Sprint(value))}
	}
	d.refuse("comparison %d", op)
	return nil
}

// set: an element whose counters do not compare as asked is passed over, and the
// inversion is asked last.
func set(a *args) firewall.Cond {
	o, ok := a.get("match-set")
	if !ok {
		a.fail("set needs --match-set")
		return firewall.Const(false)
	}
	m := setMatch{dirs: a.directions(o.Values[1]), returnNomatch: a.has("return-nomatch")}
	s := a.c.setNamed(o.Values[0])
	in := m.in(a, s)
	for _, p := range a.opts {
		switch p.Name {
		case "packets-eq", "packets-lt", "packets-gt", "bytes-eq", "bytes-lt", "bytes-gt":
			if hasNomatch(s.Type) || s.Type == "list:set" {
				return varies(a.text())
			}
			in = all(in, varies("--"+p.Name+" "+p.Values[0]+" of the element of "+s.Name))
		}
	}
	return negate(o.Not, totally(in))
}

// totally makes a condition total that is not.
func totally(c firewall.Cond) firewall.Cond {
	switch c.(type) {
	case firewall.Const, firewall.Total:
		return c
	}
	return firewall.Total{Of: c}
}

// setTargets is the target that changes ipsets.
func setTargets() table {
	t := make(table)
	t.target("SET",
		"add-set:2 del-set:2 map-set:2 exist:0 timeout map-mark:0 map-prio:0 map-queue:0",
		[]int{64, 8, 16, 20}, decodeSetTarget, setTarget)
	return t
}

// Flags of the SET target (IPSET_FLAG_*).
const (
	setExist    = 1 << 0
	setMapMark  = 1 << 8
	setMapPrio  = 1 << 9
	setMapQueue = 1 << 10
)

func decodeSetTarget(c *Context, d *data) []Option {
	var opts []Option
	one := func(name string, index uint16, dim, flags uint8) {
		if index != 0xffff {
			opts = append(opts, opt(name, c.setName(d, index), setDirections(d, dim, flags)))
		}
	}
	if d.rev == 0 {
		one("add-set", d.u16(0), d.u8(28), d.u8(29))
		one("del-set", d.u16(32), d.u8(60), d.u8(61))
		return opts
	}
	one("add-set", d.u16(0), d.u8(2), d.u8(3))
	if d.rev < 2 {
		one("del-set", d.u16(4), d.u8(6), d.u8(7))
		return opts
	}
	at := map[uint8]int{2: 8, 3: 12}[d.rev]
	flags, timeout := d.u32(at), d.u32(at+4)
	d.flags("flags", uint64(flags), setExist|setMapMark|setMapPrio|setMapQueue)
	if flags&setExist != 0 {
		opts = append(opts, opt("exist"))
	}
	if timeout != 0xffffffff {
		opts = append(opts, opt("timeout", fmt.Sprint(timeout)))
	}
	one("del-set", d.u16(4), d.u8(6), d.u8(7))
	if d.rev == 3 {
		one("map-set", d.u16(8), d.u8(10), d.u8(11))
		for _, f := range []struct {
			bit  uint32
			name string
		}{{setMapMark, "map-mark"}, {setMapPrio, "map-prio"}, {setMapQueue, "map-queue"}} {
			if flags&f.bit != 0 {
				opts = append(opts, opt(f.name))
			}
		}
	}
	return opts
}

// setTarget goes on with the next rule. A mark that comes out of a set is not
// known, and is only given to packets that are in the set.
func setTarget(a *args) []firewall.Step {
	if len(a.opts) == 0 {
		a.fail("SET needs --add-set, --del-set or --map-set")
	}
	var steps []firewall.Step
	for _, o := range a.opts {
		switch o.Name {
		case "add-set", "del-set":
			a.directions(o.Values[1])
			a.c.setNamed(o.Values[0]).learn()
		case "map-set":
			if !a.has("map-mark") {
				continue
			}
			in := setMatch{dirs: a.directions(o.Values[1])}.in(a, a.c.setNamed(o.Values[0]))
			steps = append(steps,
				firewall.Match{Cond: in},
				firewall.Assign{Field: firewall.FieldMark, Value: a.c.free("mark of the element of "+o.Values[0], 32)})
		}
	}
	return steps
}
