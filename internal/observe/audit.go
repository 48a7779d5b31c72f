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
	// sections are what it fills, named where it does not end in time.
	sections []string
	run      func(context.Context) found
}

// found puts what a part has read into a snapshot and gives what it could not read.
type found func(*host.Snapshot) []host.Unseen

// audit is the parts on their way.
type audit struct {
	parts    []part
	results  []chan found
	deadline <-chan time.Time
	// late is true once the deadline has passed.
	late bool
	// outer is the caller's context, ctx the parts'.
	outer, ctx context.Context
	cancel     context.CancelFunc
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
	a := &audit{parts: c.parts(), deadline: time.After(limit), outer: ctx}
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
	// Processes were read meanwhile; what is to be done with them has its own time.
	ctx, cancel := context.WithTimeout(a.outer, partTime)
	defer cancel()
	stale, err := updates.Stale(ctx, c.files, c.snap.Processes)
	if err != nil {
		c.unseen(host.Unseen{Section: host.SectionUpdates, Reason: "processes that run what was replaced: " + err.Error()})
	}
	c.snap.SavedRules = readSavedRules(c.files)
	for i, p := range a.parts {
		put := a.wait(i)
		if put == nil {
			for _, section := range p.sections {
				c.unseen(host.Unseen{Section: section, Reason: fmt.Sprintf("%s: reading did not end in time", section)})
			}
			continue
		}
		c.unseen(put(c.snap)...)
	}
	c.snap.Updates.Stale = stale
	c.packages(ctx)
	join(c.snap, c.values)
}

// wait gives what a part has found, nil where it has not come back in time.
func (a *audit) wait(i int) found {
	select {
	case put := <-a.results[i]:
		return put // whatever the time is now
	default:
	}
	if a.late {
		return nil
	}
	select {
	case put := <-a.results[i]:
		return put
	case <-a.deadline:
		a.late = true
		return nil
	}
}

// parts are all that an audit looks at beside what reachability needs.
func (c *collector) parts() []part {
	system, _ := readSystem(c.files)
	live := c.options.Root == nil
	people := sync.OnceValue(func() accounts.People { return accounts.ReadPeople(c.files) })
	return []part{
		{[]string{host.SectionAccounts, host.SectionSSH, host.SectionSudo}, func(ctx context.Context) found {
			r := accounts.ReadDoors(ctx, c.files, system, people(), live)
			return func(s *host.Snapshot) []host.Unseen {
				s.Accounts, s.Groups, s.Logins = people().Accounts, people().Groups, people().Logins
				s.SSH, s.Sudo = r.SSH, r.Sudo
				return append(people().Unseen, r.Unseen...)
			}
		}},
		{[]string{host.SectionUpdates, host.SectionPackages}, func(ctx context.Context) found {
			r := updates.Read(ctx, c.files, release(c.files))
			return func(s *host.Snapshot) []host.Unseen {
				s.Packages, s.Updates = r.Packages, r.Updates
				return r.Unseen
			}
		}},
		{[]string{host.SectionLogging, host.SectionClock}, func(context.Context) found {
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
		{[]string{host.SectionWeb}, func(context.Context) found {
			servers, certificates, notes := services.ReadWeb(c.files)
			return func(s *host.Snapshot) []host.Unseen {
				s.Web, s.Certificates = servers, certificates
				return notes
			}
		}},
		{[]string{host.SectionKernel, host.SectionSettings, host.SectionMounts, host.SectionProvider}, func(context.Context) found {
			r := machine.Read(c.files)
			return func(s *host.Snapshot) []host.Unseen {
				s.Settings, s.Kernel, s.Mounts, s.Provider = r.Settings, r.Kernel, r.Mounts, r.Provider
				c.values = r.Sysctls
				return r.Unseen
			}
		}},
		{[]string{host.SectionIntegrity}, func(ctx context.Context) found {
			mounts := machine.Mounts(c.files)
			r, notes := integrity.Read(ctx, c.files, mounts, c.options.Deep)
			return func(s *host.Snapshot) []host.Unseen {
				s.Integrity = r
				return notes
			}
		}},
		{[]string{host.SectionUnits, host.SectionStartup}, func(ctx context.Context) found {
			r := services.Read(ctx, c.files, people().Accounts, live)
			return func(s *host.Snapshot) []host.Unseen {
				s.Units, s.Startup = r.Units, r.Startup
				return r.Unseen
			}
		}},
	}
}
