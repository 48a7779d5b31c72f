package observe

import (
	"context"
	"fmt"
	"sync"
	"time"

	"sekimori/internal/host"
	"sekimori/internal/observe/accounts"
	"sekimori/internal/observe/integrity"
	"sekimori/internal/observe/machine"
	"sekimori/internal/observe/services"
	"sekimori/internal/observe/updates"
)

// The time that one part of an audit gets. It is there for what hangs: a home
// directory on a server that is gone, a disk that fails.
const (
	partTime     = 20 * time.Second
	partTimeDeep = 30 * time.Minute
)

// part is one of the things that an audit looks at. They do not know each other
// and run at the same time; what each has found it puts into the snapshot
// afterwards, in the order of the list.
type part struct {
	// section is named where the part does not end in time.
	section string
	run     func(context.Context) found
}

// found puts what a part has read into a snapshot and gives what it could not read.
type found func(*host.Snapshot) []host.Unseen

// audit is the parts on their way.
type audit struct {
	parts    []part
	results  []chan found
	deadline <-chan time.Time
	ctx      context.Context
	cancel   context.CancelFunc
}

// startAudit starts reading all that only an audit asks about.
func (c *collector) startAudit(ctx context.Context) *audit {
	if !c.options.Audit {
		return nil
	}
	limit := partTime
	if c.options.Deep {
		limit = partTimeDeep
	}
	a := &audit{parts: c.parts(), deadline: time.After(limit)}
	a.ctx, a.cancel = context.WithTimeout(ctx, limit)
	for _, p := range a.parts {
		result := make(chan found, 1)
		a.results = append(a.results, result)
		go func() { result <- p.run(a.ctx) }()
	}
	return a
}

// finish waits for the parts. One that does not come back in time is left to
// itself: it may stand in a system call that cannot be interrupted.
func (a *audit) finish(c *collector) {
	if a == nil {
		return
	}
	defer a.cancel()
	c.snap.Audited = true
	stale := updates.Stale(a.ctx, c.files, c.snap.Processes)
	c.snap.SavedRules = readSavedRules(c.files)
	late := false
	for i, p := range a.parts {
		var put found
		if late {
			select {
			case put = <-a.results[i]:
			default:
			}
		} else {
			select {
			case put = <-a.results[i]:
			case <-a.deadline:
				late = true
			}
		}
		if put == nil {
			c.unseen(host.Unseen{Section: p.section, Reason: fmt.Sprintf("%s: reading did not end in time", p.section)})
			continue
		}
		c.unseen(put(c.snap)...)
	}
	c.snap.Updates.Stale = stale
	c.packages(a.ctx)
	join(c.snap, c.values)
}

// parts are all that an audit looks at beside what reachability needs.
func (c *collector) parts() []part {
	system, _ := readSystem(c.files)
	live := c.options.Root == nil
	people := sync.OnceValue(func() accounts.People { return accounts.ReadPeople(c.files) })
	return []part{
		{host.SectionAccounts, func(ctx context.Context) found {
			r := accounts.ReadDoors(ctx, c.files, system, people(), live)
			return func(s *host.Snapshot) []host.Unseen {
				s.Accounts, s.Groups, s.Logins = people().Accounts, people().Groups, people().Logins
				s.SSH, s.Sudo = r.SSH, r.Sudo
				return append(people().Unseen, r.Unseen...)
			}
		}},
		{host.SectionUpdates, func(ctx context.Context) found {
			r := updates.Read(ctx, c.files, release(c.files))
			return func(s *host.Snapshot) []host.Unseen {
				s.Packages, s.Updates = r.Packages, r.Updates
				return r.Unseen
			}
		}},
		{host.SectionLogging, func(context.Context) found {
			logging, notes := services.ReadLogging(c.files)
			clock, more := services.ReadClock(c.files)
			if live {
				clockState(&clock)
			}
			return func(s *host.Snapshot) []host.Unseen {
				s.Logging, s.Clock = logging, clock
				return append(notes, more...)
			}
		}},
		{host.SectionWeb, func(context.Context) found {
			servers, certificates, notes := services.ReadWeb(c.files)
			return func(s *host.Snapshot) []host.Unseen {
				s.Web, s.Certificates = servers, certificates
				return notes
			}
		}},
		{host.SectionKernel, func(context.Context) found {
			r := machine.Read(c.files)
			return func(s *host.Snapshot) []host.Unseen {
				s.Settings, s.Kernel, s.Mounts, s.Provider = r.Settings, r.Kernel, r.Mounts, r.Provider
				c.values = r.Sysctls
				return r.Unseen
			}
		}},
		{host.SectionIntegrity, func(ctx context.Context) found {
			mounts := machine.Mounts(c.files)
			r, notes := integrity.Read(ctx, c.files, mounts, c.options.Deep)
			return func(s *host.Snapshot) []host.Unseen {
				s.Integrity = r
				return notes
			}
		}},
		{host.SectionUnits, func(ctx context.Context) found {
			r := services.Read(ctx, c.files, people().Accounts, live)
			return func(s *host.Snapshot) []host.Unseen {
				s.Units, s.Startup = r.Units, r.Startup
				return r.Unseen
			}
		}},
	}
}
