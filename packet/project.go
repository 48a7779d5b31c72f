package packet

import "math/big"

// ExistsUnknowns returns the packets that are in s for some outcome of the
// unknowns whose key is chosen.
func (s Set) ExistsUnknowns(chosen func(key string) bool) Set {
	return s.Exists(s.sp.unknownsWhere(chosen)...)
}

// ForallUnknowns returns the packets that are in s for every outcome of the
// unknowns whose key is chosen.
func (s Set) ForallUnknowns(chosen func(key string) bool) Set {
	return s.Forall(s.sp.unknownsWhere(chosen)...)
}

func (sp *Space) unknownsWhere(chosen func(key string) bool) []Field {
	var fs []Field
	for _, f := range sp.unknownFields() {
		if chosen(sp.fields[f].name) {
			fs = append(fs, f)
		}
	}
	return fs
}

// Only returns the packets whose values of the given fields occur in s: all
// other fields are quantified away.
func (s Set) Only(fs ...Field) Set { return Set{s.sp, s.project(fs...)} }

// OpenFields names the fields on which membership in s depends for the packets
// of in: those that s looks at and in leaves open. Unknowns are not named.
func (sp *Space) OpenFields(in, s Set) []string {
	var out []string
	for _, f := range sp.support(sp.own(s)) {
		v := sp.fields[f]
		if v.unknown || !s.dependsOn(f) || !in.leavesOpen(f) {
			continue
		}
		if name := fieldName(f); name != "" {
			out = append(out, name)
		} else {
			out = append(out, v.name)
		}
	}
	return out
}

// dependsOn tells whether the value of f can decide about membership in s. The
// diagram alone does not tell: it may look at f to sort out invalid values.
func (s Set) dependsOn(f Field) bool { return !s.Exists(f).SubsetOf(s) }

// leavesOpen tells whether packets of s have more than one value of a field.
func (s Set) leavesOpen(f Field) bool {
	return s.Count(f).Cmp(big.NewInt(1)) > 0
}

func fieldName(f Field) string {
	names := [numFixed]string{
		"protocol", "destination port", "source port or ICMP type", "input interface", "output interface",
		"conntrack state", "conntrack status", "TCP flags", "fragment", "source address type",
		"destination address type", "mark", "conntrack mark", "source", "destination",
	}
	if f < numFixed {
		return names[f]
	}
	return ""
}
