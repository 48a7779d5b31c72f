package filter

// A cache remembers the records of sessions, the oldest forgotten first.
type cache struct {
	m          map[string]*cached
	head, tail *cached // in the order in which they came
	free       *cached
}

type cached struct {
	id         string
	r          *record
	expires    float64
	prev, next *cached
}

func newCache() cache { return cache{m: map[string]*cached{}} }

func (c *cache) get(id string, now float64) *record {
	e := c.m[id]
	if e == nil {
		return nil
	}
	if e.expires <= now {
		c.unlink(e)
		return nil
	}
	return e.r
}

// put remembers a record and returns one that was forgotten for it, if any.
func (c *cache) put(id string, r *record, now float64) (forgotten *record) {
	if len(c.m) >= sessionsKept {
		for c.head != nil {
			old := c.head
			expired := old.expires <= now
			forgotten = old.r
			c.unlink(old)
			if !expired && len(c.m) < sessionsKept {
				break
			}
		}
	}
	if e := c.m[id]; e != nil {
		e.r, e.expires = r, now+sessionLifetime
		return forgotten
	}
	e := c.free
	if e == nil {
		e = &cached{}
	} else {
		c.free = e.next
	}
	*e = cached{id: id, r: r, expires: now + sessionLifetime, prev: c.tail}
	if c.tail != nil {
		c.tail.next = e
	} else {
		c.head = e
	}
	c.tail = e
	c.m[id] = e
	return forgotten
}

func (c *cache) remove(id string) {
	if e := c.m[id]; e != nil {
		c.unlink(e)
	}
}

func (c *cache) unlink(e *cached) {
	delete(c.m, e.id)
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
	*e = cached{next: c.free}
	c.free = e
}
