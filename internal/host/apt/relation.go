package apt

import "strings"

// A Relation is one package that a dependency names.
type Relation struct {
	Name string
	// Arch is what follows a colon: any, native, or an architecture.
	Arch string
	// Op is <<, <=, =, >=, >> or "" for any version.
	Op      string
	Version string
}

// maxRelations bounds one field; the largest known have a few hundred.
const maxRelations = 10_000

// ParseRelations reads a field such as Depends: each group is fulfilled by any of
// its members. Restrictions to architectures and build profiles are left out; they
// do not occur in installed packages.
func ParseRelations(field string) [][]Relation {
	var out [][]Relation
	for group := range strings.SplitSeq(field, ",") {
		var any []Relation
		for one := range strings.SplitSeq(group, "|") {
			if r, ok := parseRelation(one); ok {
				any = append(any, r)
			}
		}
		if len(any) > 0 {
			out = append(out, any)
		}
		if len(out) == maxRelations {
			break
		}
	}
	return out
}

func parseRelation(s string) (Relation, bool) {
	s = strings.TrimSpace(s)
	name, rest, _ := strings.Cut(s, "(")
	name = strings.TrimSpace(name)
	if i := strings.IndexAny(name, " \t[<"); i >= 0 {
		name = name[:i]
	}
	var r Relation
	r.Name, r.Arch, _ = strings.Cut(name, ":")
	if r.Name == "" {
		return r, false
	}
	condition, _, _ := strings.Cut(rest, ")")
	condition = strings.TrimSpace(condition)
	r.Op = condition[:len(condition)-len(strings.TrimLeft(condition, "<>="))]
	r.Version = strings.TrimSpace(condition[len(r.Op):])
	switch r.Op {
	case "<":
		r.Op = "<=" // as dpkg takes the old form
	case ">":
		r.Op = ">="
	}
	return r, true
}

// Allows reports whether a version fulfils the relation.
func (r Relation) Allows(version string) bool {
	if r.Op == "" {
		return true
	}
	c := CompareVersions(version, r.Version)
	switch r.Op {
	case "<<":
		return c < 0
	case "<=":
		return c <= 0
	case "=":
		return c == 0
	case ">=":
		return c >= 0
	case ">>":
		return c > 0
	}
	return false
}
