package filter

// A cache remembers the records of sessions, the oldest forgotten first.
type cache struct {
	buckets    [cacheBuckets]*cached
	count      int
	head, tail *cached // in the order in which they came
	recent     *cached // the one that was asked for last: lines of one session often follow each other
	free       *cached
}

// cacheBuckets is a power of two, more than sessionsKept: even if all sessions
// were in one bucket, on purpose, there would be no more of them to look at.
const cacheBuckets = 256

type cached struct {
	id         string
	r          *record
	expires    float64
	prev, next *cached // by age
	other      *cached // in the same bucket
}

// bucket tells sessions apart by the end of their identifiers, where the number
// of a process stands.
func bucket(id string) uint8 {
	h := uint64(len(id))
	for n := len(id); n > 0; {
		from := max(n-8, 0)
		x := uint64(0)
		if n >= 8 {
			x = uint64(id[from]) | uint64(id[from+1])<<8 | uint64(id[from+2])<<16 | uint64(id[from+3])<<24 |
				uint64(id[from+4])<<32 | uint64(id[from+5])<<40 | uint64(id[from+6])<<48 | uint64(id[from+7])<<56
		} else {
			for i := from; i < n; i++ {
				x = x<<8 | uint64(id[i])
			}
		}
		h = (h ^ x) * 0x9e3779b97f4a7c15
		if n = from; len(id)-n >= 24 {
			break
		}
	}
	return uint8(h >> 56)
}

func (c *cache) find(id string) *cached {
	if c.recent != nil && c.recent.id == id {
		return c.recent
	}
	for e := c.buckets[bucket(id)]; e != nil; e = e.other {
		if e.id == id {
			c.recent = e
			return e
		}
	}
	return nil
}

// get returns what is remembered of a session; nil if that is nothing, or too old.
func (c *cache) get(id string, now float64) *cached {
	e := c.find(id)
	if e != nil && e.expires <= now {
		c.unlink(e)
		return nil
	}
	return e
}

// put remembers a record and returns one that was forgotten for it, if any.
func (c *cache) put(id string, r *record, now float64) (forgotten *record) {
	if c.count >= sessionsKept {
		for c.head != nil {
			old := c.head
			expired := old.expires <= now
			forgotten = old.r
			c.unlink(old)
			if !expired && c.count < sessionsKept {
				break
			}
		}
	}
	if e := c.find(id); e != nil {
		e.r, e.expires = r, now+sessionLifetime
		return forgotten
	}
	e := c.free
	if e == nil {
		e = &cached{}
	} else {
		c.free = e.next
	}
	b := &c.buckets[bucket(id)]
	*e = cached{id: id, r: r, expires: now + sessionLifetime, prev: c.tail, other: *b}
	if c.tail != nil {
		c.tail.next = e
	} else {
		c.head = e
	}
	c.tail, c.recent, *b = e, e, e
	c.count++
	return forgotten
}

func (c *cache) unlink(e *cached) {
	at := &c.buckets[bucket(e.id)]
	for *at != e {
		at = &(*at).other
	}
	*at = e.other
	if c.recent == e {
		c.recent = nil
	}
	if e.prev != nil {
		e.prev.next = e.next
	} else {
		c.head = e.next
	}
	if e.next != nil {
		e.next.prev = e.prev
	} else {
		c.tail = e.prev
	}
	c.count--
	*e = cached{next: c.free}
	c.free = e
}
