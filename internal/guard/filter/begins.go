package filter

// A begins says, by the first byte of a text, which patterns are worth trying
// on it: those that are anchored and begin otherwise are not.
type begins struct {
	by   [256]uint8 // index of masks
	mask [][]uint64
}

func newBegins(ps []*pattern) begins {
	var b begins
	words := len(ps)/64 + 1
	known := map[string]uint8{}
	add := func(could func(p *pattern) bool) uint8 {
		key, mask := make([]byte, len(ps)), make([]uint64, words)
		for i, p := range ps {
			if could(p) {
				key[i] = 1
				mask[i>>6] |= 1 << (i & 63)
			}
		}
		if _, ok := known[string(key)]; !ok {
			known[string(key)] = uint8(len(b.mask))
			b.mask = append(b.mask, mask)
		}
		return known[string(key)]
	}
	for c := range 256 {
		b.by[c] = add(func(p *pattern) bool {
			first := p.re.First()
			return !p.re.Anchored() || first[c>>6]&(1<<(c&63)) != 0
		})
	}
	return b
}

// of returns the patterns worth trying on text, which is not empty: it ends in
// a newline at least.
func (b *begins) of(text []byte) []uint64 { return b.mask[b.by[text[0]]] }
