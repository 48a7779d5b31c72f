package updates

// seedSequence is C++'s std::seed_seq::generate ([rand.util.seedseq]): it spreads
// the characters of a text over n words.
func seedSequence(text string, n int) []uint32 {
	v := make([]uint32, len(text))
	for i := range len(text) {
		v[i] = uint32(int32(int8(text[i]))) // a char is signed on most machines
	}
	b := make([]uint32, n)
	for i := range b {
		b[i] = 0x8b8b8b8b
	}
	s := len(v)
	t := 0
	switch {
	case n >= 623:
		t = 11
	case n >= 68:
		t = 7
	case n >= 39:
		t = 5
	case n >= 7:
		t = 3
	default:
		t = (n - 1) / 2
	}
	p := (n - t) / 2
	q := p + t
	m := max(s+1, n)
	mix := func(x uint32) uint32 { return x ^ x>>27 }
	for k := range m {
		r1 := 1664525 * mix(b[k%n]^b[(k+p)%n]^b[(k+n-1)%n])
		r2 := r1
		switch {
		case k == 0:
			r2 += uint32(s)
		case k <= s:
			r2 += uint32(k%n) + v[k-1]
		default:
			r2 += uint32(k % n)
		}
		b[(k+p)%n] += r1
		b[(k+q)%n] += r2
		b[k%n] = r2
	}
	for k := m; k < m+n; k++ {
		r3 := 1566083941 * mix(b[k%n]+b[(k+p)%n]+b[(k+n-1)%n])
		r4 := r3 - uint32(k%n)
		b[(k+p)%n] ^= r3
		b[(k+q)%n] ^= r4
		b[k%n] = r4
	}
	return b
}

// phase gives the number of 0 to 100 that a host draws for one version of a
// source package: apt's PhasedUpgrader, which takes std::minstd_rand and
// std::uniform_int_distribution of libstdc++. An update with a lower percentage is
// not yet for this host.
func phase(source, version, machineID string) int {
	const modulus, multiplier = 2147483647, 48271
	x := uint64(seedSequence(source+"-"+version+"-"+machineID, 4)[3]) % modulus
	if x == 0 {
		x = 1
	}
	const span, scale = 101, (modulus - 2) / 101 // of minstd_rand's 1 … modulus-1
	for {
		x = x * multiplier % modulus
		if n := x - 1; n < span*scale {
			return int(n / scale)
		}
	}
}
