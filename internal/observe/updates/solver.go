package updates

import (
	"slices"
	"strings"

	"sekimori/internal/host/apt"
)

// world is the packages that are installed or may be needed, and what is to become
// of each.
type world struct {
	native string
	pkgs   map[string]*pkg // by name:arch
	byName map[string][]*pkg
	final  map[*pkg]*record // of those that will be installed
	held   map[*pkg]string
	// phased are those whose update is not yet for this host.
	phased     map[*pkg]bool
	recommends bool
	// missing are names of which nothing is known yet.
	missing map[string]bool
	asked   map[string]bool
	// parsed caches the fields of dependencies.
	parsed map[string][][]apt.Relation
}

// maxRounds bounds the search.
const maxRounds = 2000

func key(name, arch string) string { return name + ":" + arch }

// group gives the architecture under which apt files a package: those for all
// stand under the native one.
func (w *world) group(arch string) string {
	if arch == "all" || arch == "" {
		return w.native
	}
	return arch
}

func (w *world) get(name, arch string) *pkg {
	arch = w.group(arch)
	k := key(name, arch)
	p := w.pkgs[k]
	if p == nil {
		p = &pkg{name: name, arch: arch}
		w.pkgs[k] = p
		w.byName[name] = append(w.byName[name], p)
	}
	return p
}

func (w *world) relations(field string) [][]apt.Relation {
	if field == "" {
		return nil
	}
	if r, ok := w.parsed[field]; ok {
		return r
	}
	r := apt.ParseRelations(field)
	w.parsed[field] = r
	return r
}

// provides reports whether a version is, or provides, what a relation asks for.
func (w *world) provides(v *record, r apt.Relation) bool {
	if v.name == r.Name {
		return r.Allows(v.version)
	}
	if !strings.Contains(v.provides, r.Name) {
		return false
	}
	for _, g := range w.relations(v.provides) {
		if g[0].Name != r.Name {
			continue
		}
		// An unversioned Provides fulfils only what asks for no version.
		if r.Op == "" || g[0].Op == "=" && r.Allows(g[0].Version) {
			return true
		}
	}
	return false
}

// holds reports whether a group of alternatives is fulfilled by what will be
// installed.
func (w *world) holds(group []apt.Relation, providers map[string][]*pkg) bool {
	return slices.ContainsFunc(group, func(r apt.Relation) bool {
		for _, p := range w.byName[r.Name] {
			if v := w.final[p]; v != nil && w.provides(v, r) {
				return true
			}
		}
		for _, p := range providers[r.Name] {
			if v := w.final[p]; v != nil && w.provides(v, r) {
				return true
			}
		}
		return false
	})
}

// providers indexes what will be installed by the names it provides.
func (w *world) providers() map[string][]*pkg {
	out := map[string][]*pkg{}
	for p, v := range w.final {
		if v.provides == "" {
			continue
		}
		for _, g := range w.relations(v.provides) {
			out[g[0].Name] = append(out[g[0].Name], p)
		}
	}
	return out
}

// ordered gives the packages that will be installed, in a fixed order.
func (w *world) ordered() []*pkg {
	out := make([]*pkg, 0, len(w.final))
	for p := range w.final {
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b *pkg) int { return strings.Compare(key(a.name, a.arch), key(b.name, b.arch)) })
	return out
}

// solve works out dist-upgrade: all candidates, then what these need, and what
// cannot be had is held back. It returns early where names are missing that the
// lists have to be asked for first.
func (w *world) solve() {
	w.final, w.held, w.missing = map[*pkg]*record{}, map[*pkg]string{}, map[string]bool{}
	w.start()
	for range maxRounds {
		if !w.round() || len(w.missing) > 0 {
			return
		}
	}
}

// start takes every candidate that nothing forbids.
func (w *world) start() {
	for _, p := range w.pkgs {
		if p.inst == nil {
			continue
		}
		w.final[p] = &p.inst.record
		switch {
		case !p.upgrades():
		case p.inst.hold:
			w.held[p] = "hold"
		case w.phased[p]:
			w.held[p] = "phased"
		default:
			w.final[p] = p.candidate
		}
	}
}

// phasedOut says that a package's update is not yet for this host.
func (w *world) phasedOut(p *pkg) {
	if w.phased == nil {
		w.phased = map[*pkg]bool{}
	}
	w.phased[p] = true
}

// round looks for the first thing that does not fit, and changes one package, or
// several that are independent. It reports whether it changed anything.
func (w *world) round() bool {
	providers := w.providers()
	changed := false
	for _, p := range w.ordered() {
		v := w.final[p]
		isNew := p.inst == nil || v != &p.inst.record
		for _, field := range []string{v.preDepends, v.depends} {
			for _, g := range w.relations(field) {
				if w.holds(g, providers) {
					continue
				}
				if !isNew {
					// An upgrade breaks what is installed and has none itself. What others
					// depend on counts more than who depends on it (pkgProblemResolver's
					// scores), so that apt removes the latter, unless it is essential.
					if p.inst.essential || !w.upgradeBreaks(g) {
						changed = w.keepFor(g) || changed
						continue
					}
					w.remove(p)
					return true
				}
				if w.install(g) {
					changed = true
					continue
				}
				if len(w.missing) > 0 {
					return true
				}
				w.keep(p)
				return true
			}
		}
		if isNew && w.recommends {
			changed = w.installRecommended(p, v, providers) || changed
		}
	}
	return changed || w.conflict(providers)
}

// keep leaves a package as it is, or out.
func (w *world) keep(p *pkg) {
	if p.inst == nil {
		delete(w.final, p)
	} else {
		w.final[p] = &p.inst.record
	}
	w.held[p] = "dependencies"
}

// remove takes a package away.
func (w *world) remove(p *pkg) {
	delete(w.final, p)
	w.held[p] = "removed"
}

// upgradeBreaks reports whether a group was fulfilled before something changed: what
// was broken already does not count.
func (w *world) upgradeBreaks(group []apt.Relation) bool {
	for _, r := range group {
		for _, p := range w.byName[r.Name] {
			if p.inst != nil && w.provides(&p.inst.record, r) {
				return true
			}
		}
		for _, p := range w.pkgs {
			if p.inst != nil && p.inst.provides != "" && w.provides(&p.inst.record, r) {
				return true
			}
		}
	}
	return false
}

// keepFor takes back the upgrade of a package that an installed one needs as it was.
func (w *world) keepFor(group []apt.Relation) bool {
	for _, r := range group {
		for _, p := range w.byName[r.Name] {
			if p.inst != nil && w.final[p] != nil && w.final[p] != &p.inst.record && w.provides(&p.inst.record, r) {
				w.keep(p)
				return true
			}
		}
	}
	return false
}

// install takes the first alternative that can be had.
func (w *world) install(group []apt.Relation) bool {
	for _, r := range group {
		if !w.asked[r.Name] {
			w.missing[r.Name] = true
			continue
		}
		for _, p := range w.installable(r) {
			w.final[p] = p.candidate
			return true
		}
	}
	return false
}

// installable gives packages that would fulfil a relation, the one of that name
// first.
func (w *world) installable(r apt.Relation) []*pkg {
	var out []*pkg
	take := func(p *pkg) {
		if p.candidate != nil && w.held[p] == "" && w.final[p] != p.candidate && w.provides(p.candidate, r) && !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	for _, p := range w.byName[r.Name] {
		if p.arch == w.native {
			take(p)
		}
	}
	for _, p := range w.byName[r.Name] {
		take(p)
	}
	if len(out) > 0 {
		return out
	}
	var virtual []*pkg
	for _, p := range w.pkgs {
		if p.candidate != nil && p.candidate.provides != "" && p.arch == w.native {
			virtual = append(virtual, p)
		}
	}
	slices.SortFunc(virtual, func(a, b *pkg) int { return strings.Compare(a.name, b.name) })
	for _, p := range virtual {
		take(p)
	}
	return out
}

// installRecommended takes what a new package recommends, or what an upgraded one
// recommends and did not before. What cannot be had is left out.
func (w *world) installRecommended(p *pkg, v *record, providers map[string][]*pkg) bool {
	before := map[string]bool{}
	if c := p.current(); c != nil {
		for _, g := range w.relations(c.recommends) {
			for _, r := range g {
				before[r.Name] = true
			}
		}
	}
	changed := false
	for _, g := range w.relations(v.recommends) {
		if before[g[0].Name] || w.holds(g, providers) {
			continue
		}
		changed = w.install(g) || changed
	}
	return changed
}

// conflict looks for two packages that cannot be installed together. A package
// that replaces what it breaks takes its place; else the newcomer stays out.
func (w *world) conflict(providers map[string][]*pkg) bool {
	for _, p := range w.ordered() {
		v := w.final[p]
		if p.inst != nil && v == &p.inst.record {
			if q := w.breaker(p, providers); q != nil {
				w.keep(q)
				return true
			}
			continue
		}
		for _, field := range []string{v.breaks, v.conflicts} {
			for _, g := range w.relations(field) {
				q := w.broken(p, g[0], providers, field == v.conflicts)
				if q == nil {
					continue
				}
				if w.replaces(v, q) && q.inst != nil && !q.inst.essential && w.held[q] == "" {
					w.remove(q)
					return true
				}
				w.keep(p)
				return true
			}
		}
	}
	return false
}

// broken gives what will be installed although a relation of p forbids it.
func (w *world) broken(p *pkg, r apt.Relation, providers map[string][]*pkg, virtual bool) *pkg {
	for _, q := range w.byName[r.Name] {
		if v := w.final[q]; v != nil && q != p && q.name != p.name && r.Allows(v.version) {
			return q
		}
	}
	if !virtual {
		return nil
	}
	for _, q := range providers[r.Name] {
		if v := w.final[q]; v != nil && q != p && q.name != p.name && w.provides(v, r) {
			return q
		}
	}
	return nil
}

// breaker gives a changed package that the unchanged p cannot be installed with.
func (w *world) breaker(p *pkg, providers map[string][]*pkg) *pkg {
	v := &p.inst.record
	for _, field := range []string{v.breaks, v.conflicts} {
		for _, g := range w.relations(field) {
			if q := w.broken(p, g[0], providers, field == v.conflicts); q != nil && (q.inst == nil || w.final[q] != &q.inst.record) {
				return q
			}
		}
	}
	return nil
}

func (w *world) replaces(v *record, q *pkg) bool {
	for _, g := range w.relations(v.replaces) {
		if g[0].Name == q.name && g[0].Allows(q.inst.version) {
			return true
		}
	}
	return false
}
