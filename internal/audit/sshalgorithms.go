package audit

import (
	"fmt"
	"slices"
	"strings"

	"sekimori/internal/host/sshd"
)

// weakness is why an algorithm should not be offered.
type weakness struct {
	why string
	// broken: a reason to act; the rest is only worse than what else there is.
	broken bool
}

// weakAlgorithm judges one algorithm of SSH as ssh-audit does: what that calls a
// failure is a weakness here, broken where the reason is more than a suspicion.
func weakAlgorithm(name string) (weakness, bool) {
	n := strings.ToLower(name)
	for _, w := range []struct {
		matches func() bool
		weakness
	}{
		{func() bool { return strings.HasPrefix(n, "diffie-hellman-group1-") }, weakness{"1024-bit group, SHA-1 (Logjam)", true}},
		{func() bool { return strings.HasPrefix(n, "gss-") && strings.Contains(n, "sha1") }, weakness{"SHA-1", true}},
		{func() bool {
			return n == "diffie-hellman-group14-sha1" || n == "diffie-hellman-group-exchange-sha1" || n == "rsa1024-sha1"
		}, weakness{"SHA-1", true}},
		{func() bool {
			return strings.HasPrefix(n, "ecdh-sha2-nistp") || strings.HasPrefix(n, "ecdsa-sha2-nistp") || strings.HasPrefix(n, "sk-ecdsa-sha2-nistp")
		}, weakness{"NIST curve of unexplained constants", false}},
		{func() bool { return strings.Contains(n, "3des") || strings.HasPrefix(n, "des-") }, weakness{"64-bit blocks (Sweet32)", true}},
		{func() bool { return strings.HasPrefix(n, "arcfour") }, weakness{"RC4", true}},
		{func() bool { return strings.HasPrefix(n, "blowfish") || strings.HasPrefix(n, "cast128") }, weakness{"64-bit blocks (Sweet32)", true}},
		{func() bool { return strings.HasSuffix(n, "-cbc") || strings.HasSuffix(n, "-cbc@lysator.liu.se") }, weakness{"CBC mode", true}},
		{func() bool { return n == "none" }, weakness{"no encryption or integrity at all", true}},
		{func() bool { return strings.HasPrefix(n, "hmac-md5") }, weakness{"MD5", true}},
		{func() bool { return strings.HasPrefix(n, "hmac-ripemd160") }, weakness{"deprecated", true}},
		{func() bool { return strings.HasPrefix(n, "hmac-sha1-96") }, weakness{"SHA-1 cut to 96 bits", true}},
		{func() bool { return strings.HasPrefix(n, "hmac-sha1") }, weakness{"SHA-1", false}},
		{func() bool { return strings.HasPrefix(n, "umac-64") }, weakness{"64-bit tag", false}},
		{func() bool { return n == "ssh-rsa" || n == "ssh-rsa-cert-v01@openssh.com" }, weakness{"signatures with SHA-1", true}},
		{func() bool { return strings.HasPrefix(n, "ssh-dss") }, weakness{"1024-bit DSA", true}},
	} {
		if w.matches() {
			return w.weakness, true
		}
	}
	return weakness{}, false
}

// weakIn lists the weak ones of some algorithms, and whether one is broken.
func weakIn(names []string) (lines []string, broken bool) {
	for _, n := range names {
		if w, weak := weakAlgorithm(n); weak {
			lines = append(lines, n+" ("+w.why+")")
			broken = broken || w.broken
		}
	}
	return lines, broken
}

// weak judges a list of algorithms of the configuration.
func (v *view) weak(keyword string) outcome {
	var o outcome
	if v.ssh.config == nil {
		return o
	}
	s := v.ssh.config.Global().Setting(keyword)
	if len(s.From) == 0 && !v.ssh.known {
		o.miss("which algorithms sshd offers by default hangs on its version, which is not known")
		return o
	}
	lines, broken := weakIn(s.Values)
	for _, l := range lines {
		o.add("%s: %s (%s)", keyword, l, from(s))
	}
	if len(lines) > 0 && !broken {
		o.atLeast(Low)
	}
	return o
}

// wireAlgorithms judges what was offered on the wire.
func (v *view) wireAlgorithms() outcome {
	var o outcome
	worst := false
	for _, a := range v.s.Asked.SSH {
		for _, l := range []struct {
			what  string
			names []string
		}{{"key exchange", a.Kex}, {"host key", a.HostKeys}, {"cipher", a.Ciphers}, {"MAC", a.MACs}} {
			lines, broken := weakIn(l.names)
			worst = worst || broken
			if len(lines) > 0 {
				o.add("%s offers as %s %s", a.To, l.what, strings.Join(lines, ", "))
			}
		}
	}
	if len(o.evidence) > 0 && !worst {
		o.atLeast(Low)
	}
	return o
}

// hostKeyAlgorithms judges the host's own keys.
func (v *view) hostKeyAlgorithms() outcome {
	var o outcome
	ed25519 := false
	for _, k := range v.s.SSH.HostKeys {
		key, err := sshd.ParseKey(k.Public)
		if err != nil {
			continue
		}
		switch key.Family() {
		case "ED25519":
			ed25519 = true
		case "RSA":
			if key.Bits < 3072 {
				o.add("%s: RSA of %d bits", k.Path, key.Bits)
				if key.Bits < 2048 {
					o.atLeast(Medium)
				} else {
					o.atLeast(Low)
				}
			}
		case "DSA":
			o.add("%s: DSA", k.Path)
			o.atLeast(Medium)
		case "ECDSA":
			o.add("%s: ECDSA (NIST curve)", k.Path)
			o.atLeast(Low)
		}
	}
	if len(v.s.SSH.HostKeys) > 0 && !ed25519 {
		o.add("there is no Ed25519 key")
		o.atLeast(Low)
	}
	return o
}

// userKeys judges the keys that open accounts.
func (v *view) userKeys() outcome {
	var o outcome
	for _, f := range v.s.SSH.KeyFiles {
		for _, e := range sshd.ParseAuthorizedKeys(f.Text) {
			at := fmt.Sprintf("%s:%d", f.Path, e.Line)
			switch {
			case e.Err != "":
				o.add("%s: sshd passes over the line: %s", at, e.Err)
				o.atLeast(Low)
			case e.Key.Family() == "DSA":
				o.add("%s: %s: DSA", at, e.Key.Comment)
				o.atLeast(Medium)
			case e.Key.Family() == "RSA" && e.Key.Bits < 2048:
				o.add("%s: %s: RSA of %d bits", at, e.Key.Comment, e.Key.Bits)
				o.atLeast(Medium)
			case e.Key.Family() == "RSA" && e.Key.Bits < 3072:
				o.add("%s: %s: RSA of %d bits", at, e.Key.Comment, e.Key.Bits)
				o.atLeast(Info)
			}
		}
	}
	return o
}

// oldSSHD finds versions with holes that let strangers in or break the protocol.
// Distributions mend old versions: the package's version decides where it is known.
func (v *view) oldSSHD() outcome {
	var o outcome
	if v.ssh.config == nil || !v.ssh.known {
		return o
	}
	version, patch := v.sshPackage(), ""
	for _, hole := range []struct {
		id         string
		from, till [2]int // the first release with it, the first without
		mended     []string
		severity   Severity
	}{
		{
			"CVE-2024-6387 (regreSSHion: code of a stranger as root)",
			[2]int{8, 5},
			[2]int{9, 8},
			[]string{"1:9.2p1-2+deb12u3", "1:8.9p1-3ubuntu0.10", "1:9.3p1-1ubuntu3.6", "1:9.6p1-3ubuntu13.3"},
			High,
		},
		{
			"CVE-2023-48795 (Terrapin: messages cut out unnoticed)",
			[2]int{0, 0},
			[2]int{9, 6},
			[]string{"1:9.2p1-2+deb12u2", "1:8.4p1-5+deb11u3", "1:8.9p1-3ubuntu0.6", "1:9.3p1-1ubuntu3.1", "1:8.2p1-4ubuntu0.11"},
			Medium,
		},
	} {
		first := v.ssh.atLeast(hole.from[0], hole.from[1])
		if !first || v.ssh.atLeast(hole.till[0], hole.till[1]) {
			continue
		}
		if version == "" || v.ssh.version.Vendor == "redhat" {
			o.miss(fmt.Sprintf("OpenSSH %s had %s; whether this build was mended its version does not tell", v.ssh.version, hole.id))
			continue
		}
		patch = ""
		for _, m := range hole.mended {
			if sameUpstream(m, version) {
				patch = m
			}
		}
		if patch != "" && compareDebian(version, patch) >= 0 {
			continue
		}
		o.add("%s: OpenSSH %s (%s)", hole.id, v.ssh.version, version)
		o.atLeast(hole.severity)
	}
	return o
}

// sshPackage is the version of sshd's Debian package, as the package database has
// it or sshd says it: "OpenSSH_9.2p1 Debian-2+deb12u10".
func (v *view) sshPackage() string {
	if p := v.s.SSH.PackageVersion; p != "" {
		return p
	}
	upstream, build, ok := strings.Cut(strings.TrimPrefix(v.s.SSH.Version, "OpenSSH_"), " ")
	for _, vendor := range []string{"Debian-", "Ubuntu-"} {
		if revision, is := strings.CutPrefix(build, vendor); ok && is {
			return "1:" + upstream + "-" + revision
		}
	}
	return ""
}

// sameUpstream reports whether two versions of Debian packages are of one
// upstream release and one distribution.
func sameUpstream(a, b string) bool {
	cut := func(s string) string { up, _, _ := strings.Cut(s, "-"); return up }
	return cut(a) == cut(b) && strings.Contains(a, "ubuntu") == strings.Contains(b, "ubuntu")
}

// compareDebian compares versions as dpkg does (deb-version(7)).
func compareDebian(a, b string) int {
	ea, a := cutEpoch(a)
	eb, b := cutEpoch(b)
	if c := compareNumbers(ea, eb); c != 0 {
		return c
	}
	ua, ra := cutRevision(a)
	ub, rb := cutRevision(b)
	if c := comparePart(ua, ub); c != 0 {
		return c
	}
	return comparePart(ra, rb)
}

// cutRevision cuts the revision of the Debian package, after the last hyphen; none
// is the same as 0.
func cutRevision(s string) (upstream, revision string) {
	if i := strings.LastIndexByte(s, '-'); i >= 0 {
		return s[:i], s[i+1:]
	}
	return s, ""
}

// comparePart compares what is no digit and what is one in turn.
func comparePart(a, b string) int {
	for a != "" || b != "" {
		var wa, wb, na, nb string
		wa, a = cutWhile(a, false)
		wb, b = cutWhile(b, false)
		if c := compareWords(wa, wb); c != 0 {
			return c
		}
		na, a = cutWhile(a, true)
		nb, b = cutWhile(b, true)
		if c := compareNumbers(na, nb); c != 0 {
			return c
		}
	}
	return 0
}

func cutEpoch(s string) (epoch, rest string) {
	if e, r, ok := strings.Cut(s, ":"); ok {
		return e, r
	}
	return "0", s
}

// cutWhile cuts the longest beginning of digits, or of what is none.
func cutWhile(s string, digits bool) (head, rest string) {
	i := 0
	for i < len(s) && ('0' <= s[i] && s[i] <= '9') == digits {
		i++
	}
	return s[:i], s[i:]
}

// compareWords has a tilde before the end, letters before all else.
func compareWords(a, b string) int {
	order := func(s string, i int) int {
		switch {
		case i >= len(s):
			return 0
		case s[i] == '~':
			return -1
		case 'a' <= s[i]|0x20 && s[i]|0x20 <= 'z':
			return int(s[i])
		}
		return int(s[i]) + 256
	}
	for i := range max(len(a), len(b)) {
		if d := order(a, i) - order(b, i); d != 0 {
			return d
		}
	}
	return 0
}

func compareNumbers(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

// limits finds settings that let a client try more, longer or more at once than
// anybody needs.
func (v *view) limits() outcome {
	var o outcome
	if v.ssh.config == nil {
		return o
	}
	g := v.ssh.config.Global()
	if n := g.Int("maxauthtries"); n > 4 {
		o.add("MaxAuthTries %d (%s)", n, from(g.Setting("maxauthtries")))
	}
	if n := g.Int("logingracetime"); n > 60 || n == 0 && g.Value("logingracetime") == "0" {
		o.add("LoginGraceTime %s (%s)", g.Value("logingracetime"), from(g.Setting("logingracetime")))
	}
	if n := g.Int("maxsessions"); n > 10 {
		o.add("MaxSessions %d (%s)", n, from(g.Setting("maxsessions")))
	}
	if m := strings.Split(g.Value("maxstartups"), ":"); len(m) == 3 {
		var begin, full int
		if _, err := fmt.Sscan(m[0]+" "+m[2], &begin, &full); err == nil && (begin > 10 || full > 100) {
			o.add("MaxStartups %s (%s)", g.Value("maxstartups"), from(g.Setting("maxstartups")))
		}
	}
	return o
}

func (v *view) penalties() outcome {
	var o outcome
	if v.ssh.config == nil || !v.ssh.atLeast(9, 8) {
		return o
	}
	if s := v.ssh.config.Global().Setting("persourcepenalties"); slices.Equal(s.Values, []string{"no"}) {
		o.add("PerSourcePenalties no (%s)", from(s))
	}
	return o
}

func (v *view) forwardings() outcome {
	var o outcome
	for _, k := range []struct{ keyword, safe string }{
		{"x11forwarding", "no"},
		{"allowagentforwarding", "no"},
		{"allowtcpforwarding", "no"},
		{"allowstreamlocalforwarding", "no"},
		{"gatewayports", "no"},
		{"permittunnel", "no"},
	} {
		for value, c := range v.values(k.keyword) {
			if value != k.safe {
				o.add("%s", c.line(k.keyword))
			}
		}
	}
	slices.Sort(o.evidence)
	return o
}

func (v *view) remarks() outcome {
	var o outcome
	if v.ssh.config == nil {
		return o
	}
	for _, p := range v.ssh.config.Problems {
		if p.Kind == sshd.Remark {
			o.add("%s", p)
		}
	}
	return o
}

func (v *view) everybodyAllowed() outcome {
	var o outcome
	if v.ssh.config == nil {
		return o
	}
	g := v.ssh.config.Global()
	if len(g.Values("allowusers")) == 0 && len(g.Values("allowgroups")) == 0 {
		var users []string
		for _, a := range v.s.Accounts {
			if a.LoginShell {
				users = append(users, a.Name)
			}
		}
		o.add("neither AllowUsers nor AllowGroups is set; accounts with a shell: %s", few(users))
	}
	return o
}

// clonedKeys finds host keys that were made on a machine of another name.
func (v *view) clonedKeys() outcome {
	var o outcome
	short, _, _ := strings.Cut(v.s.System.Hostname, ".")
	for _, k := range v.s.SSH.HostKeys {
		key, err := sshd.ParseKey(k.Public)
		if err != nil || short == "" {
			continue
		}
		_, at, ok := strings.Cut(key.Comment, "@")
		other, _, _ := strings.Cut(at, ".")
		if ok && other != "" && !strings.EqualFold(other, short) {
			o.add("%s was made on %s, this host is %s", k.Path, at, short)
		}
	}
	return o
}
