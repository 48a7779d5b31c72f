package updates

import (
	"slices"
	"strings"

	"sekimori/internal/host/apt"
)

// statusPriority is what the installed version counts, apt_preferences(5).
const statusPriority = 100

// pkg is one package of one architecture, with all versions that are known.
type pkg struct {
	name, arch string
	inst       *installed // nil where it is not installed
	versions   []*record  // of the lists, one for each version
	// candidate is the version that policy prefers; nil where there is none.
	candidate *record
}

func (p *pkg) current() *record {
	if p.inst == nil {
		return nil
	}
	return &p.inst.record
}

// add takes in a record of a list. The same version in several places is one.
func (p *pkg) add(r record) {
	for _, v := range p.versions {
		if v.same(&r) {
			v.places = append(v.places, r.places...)
			v.phased = min(v.phased, r.phased)
			return
		}
	}
	p.versions = append(p.versions, &r)
}

// choose finds the candidate: pkgPolicy::GetCandidateVer of apt. The highest
// priority wins, then the highest version; what is installed is not replaced by an
// older one below priority 1000.
func (p *pkg) choose(pins []apt.Pin) {
	list := slices.Clone(p.versions)
	if c := p.current(); c != nil && !slices.ContainsFunc(list, func(v *record) bool { return v.same(c) }) {
		list = append(list, c)
	}
	slices.SortStableFunc(list, func(a, b *record) int { return apt.CompareVersions(b.version, a.version) })
	p.candidate = nil
	best := -1
	for _, v := range list {
		priority := p.priority(v, pins)
		if priority <= 0 || priority <= best {
			continue
		}
		if c := p.current(); c != nil && priority < 1000 && apt.CompareVersions(v.version, c.version) < 0 {
			continue
		}
		best, p.candidate = priority, v
	}
}

// priority is what one version counts.
func (p *pkg) priority(v *record, pins []apt.Pin) int {
	for _, pin := range pins {
		if pin.General() || !pin.Names(p.name, v.source) {
			continue
		}
		if pin.Kind == "version" && pin.Matches(v.version, apt.Release{}) {
			return pin.Priority
		}
		for _, at := range v.places {
			if pin.Kind != "version" && pin.Matches(v.version, at.release) {
				return pin.Priority
			}
		}
	}
	best := 0
	if c := p.current(); c != nil && c.same(v) {
		best = statusPriority
	}
	for _, at := range v.places {
		if at.priority > best || best == 0 {
			best = at.priority
		}
	}
	return best
}

// same reports whether two are the same build of a package: the same version may
// have been built twice, and then needs other things (debListParser::VersionHash).
func (r *record) same(o *record) bool {
	return r.version == o.version && squeeze(r.depends) == squeeze(o.depends) && squeeze(r.preDepends) == squeeze(o.preDepends) &&
		squeeze(r.conflicts) == squeeze(o.conflicts) && squeeze(r.breaks) == squeeze(o.breaks) && squeeze(r.replaces) == squeeze(o.replaces)
}

// squeeze takes the blanks out of a field.
func squeeze(field string) string {
	if !strings.ContainsAny(field, " \t\n") {
		return field
	}
	return strings.ToLower(strings.Join(strings.Fields(field), ""))
}

// upgrades reports whether the candidate is another version than the installed one.
func (p *pkg) upgrades() bool {
	return p.inst != nil && p.candidate != nil && !p.candidate.same(&p.inst.record)
}

// origins gives where a version is to be had, as apt prints it: pkgCache's
// VerIterator::RelStr.
func origins(v *record) []string {
	var out []string
	for i, at := range v.places {
		l := at.list
		seen := slices.ContainsFunc(v.places[:i], func(b *place) bool {
			return l.Label != "" && b.list.Label == l.Label && b.list.Version == l.Version
		})
		if seen {
			continue
		}
		text := ""
		if l.Label != "" {
			text = l.Label + ":"
		}
		switch {
		case l.Suite != "" && l.Version != "":
			text += l.Version + "/" + l.Suite
		case l.Suite != "":
			text += l.Suite
		case at.release.Site != "":
			text += at.release.Site
		default:
			text += "localhost"
		}
		out = append(out, text)
	}
	return out
}

// secure reports whether a version is in an archive of security updates.
func secure(v *record) bool {
	return slices.ContainsFunc(v.places, func(p *place) bool { return p.list.Security })
}

// securityVersion is the newest version above the installed one that is in an
// archive of security updates, "" for none.
func (p *pkg) securityVersion() string {
	best := ""
	for _, v := range p.versions {
		if secure(v) && apt.CompareVersions(v.version, p.inst.version) > 0 && (best == "" || apt.CompareVersions(v.version, best) > 0) {
			best = v.version
		}
	}
	return best
}
