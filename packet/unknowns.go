package packet

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
