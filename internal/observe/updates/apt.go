package updates

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"

	"sekimori/internal/host"
	"sekimori/internal/host/apt"
	"sekimori/internal/observe/rootfs"
)

// maxPasses bounds how often the lists are read: once for what is installed, then
// for what that needs.
const maxPasses = 6

// readApt works out what apt-get dist-upgrade would do.
func readApt(ctx context.Context, f rootfs.FS, list []installed, n *rootfs.Notes) host.Updates {
	setup := readSetup(f, n)
	u := host.Updates{Manager: "apt", Sources: setup.sources, Automatic: aptAutomatic(f, setup.conf, n)}
	for _, p := range setup.pins {
		u.Pins = append(u.Pins, strings.Join(p.Packages, " ")+" "+p.Kind+" "+p.Value+" "+strconv.Itoa(p.Priority))
	}
	var places []*place
	u.Known = len(setup.repos) > 0 && len(setup.archs) > 0
	for i := range setup.repos {
		r := &setup.repos[i]
		if !r.found {
			n.Add("nothing was fetched from %s %s yet (apt-get update)", withoutUser(r.URI), r.Suite)
			u.Known = false
			continue
		}
		u.Lists = append(u.Lists, r.list)
		places = append(places, setup.places(f, r)...)
	}
	if len(places) == 0 {
		u.Known = false
		return u
	}
	w := newWorld(setup, list)
	wanted := map[string]bool{}
	for _, p := range list {
		wanted[p.name] = true
	}
	if !w.load(ctx, f, places, setup.pins, wanted, nil, n) {
		u.Known = false
		return u
	}
	w.phase(f, setup)
	for range maxPasses {
		w.solve()
		if len(w.missing) == 0 || !w.load(ctx, f, places, setup.pins, w.missing, w.missing, n) {
			break
		}
	}
	w.report(&u)
	return u
}

func newWorld(setup aptSetup, list []installed) *world {
	w := &world{
		native: "", pkgs: map[string]*pkg{}, byName: map[string][]*pkg{}, asked: map[string]bool{}, parsed: map[string][][]apt.Relation{},
		recommends: !off(setup.conf.Value("APT::Install-Recommends")),
	}
	if len(setup.archs) > 0 {
		w.native = setup.archs[0]
	}
	for i := range list {
		p := w.get(list[i].name, list[i].arch)
		// Half-installed ones too are what apt starts from.
		p.inst = &list[i]
	}
	return w
}

func off(v string) bool {
	return slices.Contains([]string{"no", "false", "without", "off", "disable", "0"}, strings.ToLower(v))
}

// load reads packages of these names, and those that provide them, from the
// lists; false where a list could not be read.
func (w *world) load(ctx context.Context, f rootfs.FS, places []*place, pins []apt.Pin, names, virtual map[string]bool, n *rootfs.Notes) bool {
	fresh := map[string]bool{}
	for name := range names {
		if !w.asked[name] {
			fresh[name] = true
		}
	}
	found := make([][]record, len(places))
	errs := make([]error, len(places))
	var wait sync.WaitGroup
	limit := make(chan struct{}, 2)
	for i, p := range places {
		wait.Go(func() {
			limit <- struct{}{}
			defer func() { <-limit }()
			errs[i] = scanList(ctx, f, p, func(name string) bool { return fresh[name] }, virtual, func(r record) { found[i] = append(found[i], r) })
		})
	}
	wait.Wait()
	ok := true
	for i := range places {
		if errs[i] != nil {
			n.Add("%s", errs[i])
			ok = false
		}
		for _, r := range found[i] {
			// What only provides a name may have been read before.
			if p := w.get(r.name, r.arch); fresh[r.name] || !w.asked[r.name] {
				p.add(r)
			}
		}
	}
	for name := range fresh {
		w.asked[name] = true
	}
	for _, p := range w.pkgs {
		p.choose(pins)
	}
	return ok
}

// phase holds back what is offered to a part of all hosts, and not to this one.
func (w *world) phase(f rootfs.FS, setup aptSetup) {
	if !off(orZero(setup.conf.Value("APT::Get::Always-Include-Phased-Updates"))) {
		return
	}
	never := !off(orZero(setup.conf.Value("APT::Get::Never-Include-Phased-Updates")))
	id := setup.conf.Value("APT::Machine-ID")
	if id == "" {
		id = strings.TrimSpace(f.Line("etc/machine-id"))
	}
	if id == "" && !never {
		return
	}
	for _, p := range w.pkgs {
		if !p.upgrades() || p.candidate.phased >= 100 || secure(p.candidate) || p.securityVersion() != "" {
			continue
		}
		if never || phase(p.candidate.source, p.candidate.sourceVersion, id) > p.candidate.phased {
			w.phasedOut(p)
		}
	}
}

func orZero(v string) string {
	if v == "" {
		return "0"
	}
	return v
}

// report puts the result into a snapshot's form.
func (w *world) report(u *host.Updates) {
	for _, p := range w.pkgs {
		v := w.final[p]
		switch {
		case p.inst == nil:
			if v != nil {
				u.New = append(u.New, w.shown(p))
			}
			continue
		case v == nil:
			u.Removed = append(u.Removed, w.shown(p))
			continue
		case !p.upgrades():
			if s := p.securityVersion(); s != "" {
				// A pin keeps it from what closes a hole.
				u.Pending = append(u.Pending, host.PendingUpdate{Name: p.name, Arch: p.inst.arch, Installed: p.inst.version, Candidate: s, Security: true, SecurityVersion: s, Held: "pin"})
			}
			continue
		}
		c := p.candidate
		e := host.PendingUpdate{Name: p.name, Arch: c.arch, Installed: p.inst.version, Candidate: c.version, Origins: origins(c), Held: w.held[p]}
		if s := p.securityVersion(); s != "" {
			e.Security = true
			if s != c.version {
				e.SecurityVersion = s
			}
		}
		u.Pending = append(u.Pending, e)
	}
	slices.Sort(u.New)
	slices.Sort(u.Removed)
	slices.SortFunc(u.Pending, func(a, b host.PendingUpdate) int {
		if c := strings.Compare(a.Name, b.Name); c != 0 {
			return c
		}
		return strings.Compare(a.Arch, b.Arch)
	})
}

// shown is a package's name as apt prints it: with the architecture where that is
// a foreign one.
func (w *world) shown(p *pkg) string {
	if p.arch != w.native {
		return key(p.name, p.arch)
	}
	return p.name
}
