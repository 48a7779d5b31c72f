//go:build linux

package sshd

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sekimori/internal/lab"
)

var (
	refereeCount = flag.Int("sshd.configs", 150, "generated configurations to put to sshd -T")
	refereeSeed  = flag.Uint64("sshd.seed", 1, "seed of the generator")
	refereeBin   = flag.String("sshd.binary", "/usr/sbin/sshd", "the sshd that is asked")
)

// envScale hands the flags to the process inside.
const envScale = "SEKIMORI_SSHD_SCALE"

func TestMain(m *testing.M) {
	flag.Parse()
	if scale := os.Getenv(envScale); scale != "" {
		if _, err := fmt.Sscan(scale, refereeCount, refereeSeed, refereeBin); err != nil {
			panic(err)
		}
	} else {
		os.Setenv(envScale, fmt.Sprint(*refereeCount, " ", *refereeSeed, " ", *refereeBin))
	}
	lab.Main(m)
}

// TestReferee puts generated configurations to the installed sshd, for several
// connections each, and compares every keyword it prints with ours; and for
// those that it refuses, that we refuse them.
func TestReferee(t *testing.T) {
	if _, err := os.Stat(*refereeBin); err != nil {
		lab.Unavailable(t, "sshd is not installed")
	}
	lab.Need(t, "ssh-keygen", "sshd")
	lab.EnterRoot(t, func(t *testing.T) {
		s := newSSHD(t)
		if s.version.String() != "9.2" || s.version.Vendor != "debian" {
			t.Logf("referee is OpenSSH %s (%s)", s.version, s.version.Vendor)
		}
		accepted, refused, cells := 0, 0, 0
		for i := range *refereeCount {
			g := &generator{Rand: rand.New(rand.NewPCG(*refereeSeed, uint64(i))), dir: s.dir}
			files := g.config()
			ok, n := s.compare(t, files, g)
			cells += n
			if ok {
				accepted++
			} else {
				refused++
			}
			if t.Failed() {
				t.Fatalf("configuration %d of seed %d", i, *refereeSeed)
			}
		}
		t.Logf("%d configurations, %d cells: %d accepted and equal in all keywords, %d refused by both", accepted+refused, cells, accepted, refused)
		if *refereeCount >= 100 && (accepted < *refereeCount/2 || refused < *refereeCount/50) {
			t.Errorf("the generator is lopsided: %d accepted, %d refused", accepted, refused)
		}
	})
}

// realSSHD asks the installed sshd.
type realSSHD struct {
	dir, key string
	version  Version
}

func newSSHD(t *testing.T) *realSSHD {
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil { // the lab's own /run
		t.Fatal(err)
	}
	s := &realSSHD{dir: t.TempDir()}
	s.key = filepath.Join(s.dir, "hostkey")
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", s.key).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen: %v: %s", err, out)
	}
	out, _ := exec.Command(*refereeBin, "-V").CombinedOutput()
	v, err := ParseVersion(string(out))
	if err != nil {
		t.Fatal(err)
	}
	if release, _ := os.ReadFile("/etc/os-release"); bytes.Contains(release, []byte("debian")) {
		v.Vendor = "debian"
	}
	s.version = v
	return s
}

// ask runs sshd -T; refusal is its complaint.
func (s *realSSHD) ask(t *testing.T, main string, c Connection) (dump, refusal string) {
	t.Helper()
	spec := fmt.Sprintf("user=%s,host=%s,addr=%s,laddr=%s,lport=%d,rdomain=%s", c.User, c.Host, c.Addr, c.LocalAddr, c.LocalPort, c.RDomain)
	cmd := exec.CommandContext(t.Context(), *refereeBin, "-T", "-f", main, "-C", spec)
	cmd.Dir = "/"
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Sprintf("%v: %s", err, stderr.String())
	}
	return stdout.String(), ""
}

// disk is the source for what the referee reads from disk.
type disk struct{}

func (disk) ReadFile(name string) ([]byte, error) { return os.ReadFile(name) }

func (disk) ReadDir(name string) ([]string, error) {
	entries, err := os.ReadDir(name)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

func (s *realSSHD) compare(t *testing.T, files map[string]string, g *generator) (accepted bool, cells int) {
	t.Helper()
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		defer os.Remove(name)
	}
	main := filepath.Join(s.dir, "sshd_config")
	config := Read(disk{}, main, s.version)
	for range 3 {
		c := g.connection()
		cells++
		dump, refusal := s.ask(t, main, c)
		ours := config.Effective(c)
		weRefuse := config.Refused() || len(ours.Problems) > 0
		if (refusal != "") != weRefuse {
			t.Errorf("sshd: %q\nwe: %v %v\n%s", refusal, config.Problems, ours.Problems, show(files))
			return false, cells
		}
		if refusal != "" {
			return false, cells
		}
		for _, d := range ours.Compare(ParseDump(dump)) {
			t.Errorf("%s (connection %+v)", d, c)
		}
		if t.Failed() {
			t.Errorf("problems: %v\n%s", config.Problems, show(files))
			return true, cells
		}
	}
	return true, cells
}

func show(files map[string]string) string {
	var b strings.Builder
	for name, text := range files {
		fmt.Fprintf(&b, "--- %s\n", name)
		for i, l := range strings.Split(text, "\n") {
			fmt.Fprintf(&b, "%3d %q\n", i+1, l)
		}
	}
	return b.String()
}

// A generator writes configurations, most of them right.
type generator struct {
	*rand.Rand
	dir   string
	files map[string]string
	depth int
}

func pick[T any](g *generator, list ...T) T { return list[g.IntN(len(list))] }

func (g *generator) chance(percent int) bool { return g.IntN(100) < percent }

func (g *generator) config() map[string]string {
	g.files = map[string]string{}
	var text strings.Builder
	text.WriteString("HostKey " + g.dir + "/hostkey\n" + g.lines(1+g.IntN(14), false))
	for range g.IntN(4) {
		text.WriteString(g.block())
	}
	g.files[g.dir+"/sshd_config"] = text.String()
	return g.files
}

func (g *generator) block() string {
	return "Match " + g.criteria() + "\n" + g.lines(1+g.IntN(5), true)
}

func (g *generator) criteria() string {
	if g.chance(10) {
		return "all"
	}
	var out []string
	for range 1 + g.IntN(2) {
		out = append(out, pick(g, g.criterion, g.criterion, g.odd)())
	}
	return strings.Join(out, " ")
}

func (g *generator) odd() string {
	return pick(g, "User=root", `User "root"`, "user  root,!daemon", "Address 10.0.0.0/8,!10.1.0.0/16", "LocalPort ssh", "Host *.example.org", "Group=root,adm # x")
}

func (g *generator) criterion() string {
	name := pick(g, "User", "Group", "Host", "Address", "LocalAddress", "LocalPort", "user", "RDomain")
	switch name {
	case "User", "user":
		return name + " " + g.list("root", "daemon", "nobody", "r*", "!root", "*", "d?emon", "games")
	case "Group":
		return name + " " + g.list("root", "daemon", "adm", "!daemon", "*", "nogroup")
	case "Host":
		return name + " " + g.list("*.example.org", "a.example.org", "A.EXAMPLE.ORG", "!b*", "*")
	case "Address":
		return name + " " + g.list("10.0.0.0/8", "192.0.2.0/24", "2001:db8::/32", "!192.0.2.7", "10.*", "*", "192.0.2.7/32", "127.1")
	case "LocalAddress":
		return name + " " + g.list("192.0.2.1", "2001:db8::1", "192.0.2.*")
	case "LocalPort":
		return name + " " + pick(g, "22", "2222")
	}
	return name + " " + g.list("vrf*", "!vrf1", "*")
}

func (g *generator) list(items ...string) string {
	var out []string
	for range 1 + g.IntN(3) {
		out = append(out, pick(g, items...))
	}
	return strings.Join(out, ",")
}

func (g *generator) connection() Connection {
	user := pick(g, "root", "daemon", "nobody", "nosuchuser")
	c := Connection{
		User: user, Host: pick(g, "a.example.org", "b.example.org", "192.0.2.7"),
		Addr:      netip.MustParseAddr(pick(g, "10.0.0.1", "10.1.2.3", "192.0.2.7", "192.0.2.8", "2001:db8::5", "127.0.0.1")),
		LocalAddr: netip.MustParseAddr(pick(g, "192.0.2.1", "2001:db8::1")), LocalPort: pick(g, 22, 2222), RDomain: pick(g, "", "vrf1", "vrf2"),
	}
	if user == "nosuchuser" {
		c.Unknown = true
	} else {
		out, _ := exec.Command("id", "-Gn", user).Output()
		c.Groups = strings.Fields(string(out))
	}
	return c
}

func (g *generator) lines(n int, match bool) string {
	var b strings.Builder
	for range n {
		b.WriteString(g.line(match))
		b.WriteString(pick(g, "\n", "\n", "\n", "\n", "\r\n", "  \n", "\n\n"))
	}
	return b.String()
}

func (g *generator) line(match bool) string {
	switch {
	case g.chance(4):
		return pick(g, "# a comment", "", "   ", "#", "\t# x")
	case g.chance(8) && g.depth < 2:
		return g.include(match)
	case g.chance(2):
		return pick(g, g.noise, g.mistake)()
	}
	table := matchLines()
	if !match && g.chance(50) {
		table = globalLines()
	}
	entry := pick(g, table...)
	word, value := entry.word, entry.value(g)
	switch g.IntN(12) {
	case 0:
		word = strings.ToLower(word)
	case 1:
		word = strings.ToUpper(word)
	case 2:
		word = `"` + word + `"`
	}
	sep := pick(g, " ", " ", " ", " ", "\t", "=", " = ", "  ")
	text := pick(g, "", "", "", " ", "\t") + word + sep + value
	if g.chance(10) {
		text += pick(g, " # comment", "\t#", " ", "\f")
	}
	return text
}

// noise are lines that are odd and harmless, or harmful.
func (g *generator) noise() string {
	return pick(g, `Banner "/etc/my banner"`, `Banner /etc/a\ b`, `ForceCommand echo "a b" # no comment`, `Pass"word yes`, "PermitRootLogin = no",
		"Protocol 2", "UsePrivilegeSeparation sandbox", "RSAAuthentication yes", "KeepAlive no", "SkeyAuthentication yes", "AllowUsers #none",
		"AuthorizedKeysFile # nothing", `ForceCommand "unbalanced`, "Port\x0022", "LogLevel\vINFO")
}

func (g *generator) mistake() string {
	return pick(g, "NoSuchKeyword yes", "Port", "Port 70000", "Port 0", "PermitRootLogin maybe", "PermitRootLogin yes no", "Ciphers bogus", "MaxAuthTries -1",
		"MaxAuthTries 5x", "LoginGraceTime 5y", "ListenAddress 1.2.3.4:x", "AllowUsers a@10.0.0.1/8", "AuthenticationMethods telepathy",
		"AuthenticationMethods any publickey", "Subsystem sftp", "MaxStartups 10:30", "MaxStartups 10:0:20", "RekeyLimit 4", "IPQoS af99",
		"StreamLocalBindMask 9", "PermitTunnel YES", "PermitOpen host", "AcceptEnv A=B", "SetEnv A", "AuthorizedKeysCommand relative",
		"AuthorizedKeysCommand /bin/true", "RDomain vrf1", "Match", "Match all User root", "Match User", "Match Address 10.0.0.1/8", "Match Nothing x",
		"HostKeyAlgorithms !rsa*", "Ciphers", "PubkeyAuthOptions never", "ChannelTimeout none x=1", "Include", `Banner "x`)
}

func (g *generator) include(match bool) string {
	g.depth++
	defer func() { g.depth-- }()
	sub := fmt.Sprintf("%s/d%d", g.dir, len(g.files))
	for _, n := range []string{"B.conf", "a.conf", ".hidden.conf", "c.bak"} {
		if !g.chance(60) {
			continue
		}
		text := g.lines(1+g.IntN(4), match || g.chance(70))
		if g.chance(30) {
			text += g.block()
		}
		g.files[sub+"/"+n] = text
	}
	return "Include " + pick(g, sub+"/*.conf", sub+"/*.conf", sub+"/[a-z].conf", sub+"/a.conf "+sub+"/B.conf", sub+"/?.*", sub+"/nothing*", sub+"/a.conf")
}

type genLine struct {
	word  string
	value func(g *generator) string
}

func words(list ...string) func(*generator) string {
	return func(g *generator) string { return pick(g, list...) }
}

func several(list ...string) func(*generator) string {
	return func(g *generator) string {
		var out []string
		for range 1 + g.IntN(3) {
			out = append(out, pick(g, list...))
		}
		return strings.Join(out, " ")
	}
}

func matchLines() []genLine {
	yes := words("yes", "no", "YES", "No", `"yes"`, "'no'")
	fwd := words("yes", "no", "all", "local", "remote", "LOCAL")
	keys := words("ssh-ed25519", "+ssh-rsa", "-ecdsa*", "^rsa-sha2-512", "rsa-sha2-*,ssh-ed25519", "*", "-*cert*", "+ssh-dss,ssh-rsa", "RSA,ssh-ed25519")
	span := words("0", "30", "2m", "1h30m", "1w", "1d2h", "+5")
	return []genLine{
		{"PermitRootLogin", words("yes", "no", "prohibit-password", "without-password", "forced-commands-only", "No")},
		{"PasswordAuthentication", yes},
		{"PubkeyAuthentication", yes},
		{"KbdInteractiveAuthentication", yes},
		{"ChallengeResponseAuthentication", yes},
		{"PermitEmptyPasswords", yes},
		{"HostbasedAuthentication", yes},
		{"GSSAPIAuthentication", yes},
		{"KerberosAuthentication", yes},
		{"IgnoreRhosts", words("yes", "no", "shosts-only")},
		{"X11Forwarding", yes},
		{"X11UseLocalhost", yes},
		{"X11DisplayOffset", words("0", "10", "99")},
		{"AllowTcpForwarding", fwd},
		{"AllowStreamLocalForwarding", fwd},
		{"AllowAgentForwarding", yes},
		{"DisableForwarding", yes},
		{"GatewayPorts", words("yes", "no", "clientspecified")},
		{"PermitTTY", yes},
		{"PermitUserRC", yes},
		{"PermitTunnel", words("yes", "no", "ethernet", "point-to-point")},
		{"ExposeAuthInfo", yes},
		{"StreamLocalBindUnlink", yes},
		{"StreamLocalBindMask", words("0177", "077", "0", "022x")},
		{"MaxAuthTries", words("1", "3", "6", "+20", "2147483647")},
		{"MaxSessions", words("0", "2", "10")},
		{"RequiredRSASize", words("1024", "2048", "3072")},
		{"ClientAliveInterval", span},
		{"ClientAliveCountMax", words("0", "3", "5")},
		{"UnusedConnectionTimeout", words("none", "5m", "0", "NONE")},
		{"ChannelTimeout", words("none", "session:*=5m", "direct-tcpip=1h x11-connection=30s")},
		{"RekeyLimit", words("default", "1G 1h", "512M", "1.5G none", "16", "0", "1k 30", "default none")},
		{"IPQoS", words("af21", "ef cs1", "0x10 0x08", "lowdelay throughput", "none", "CS0", "12", "le af43", "reliability")},
		{"LogLevel", words("INFO", "verbose", "DEBUG1", "debug3", "QUIET", "silent", "error")},
		{"LogVerbose", words("none", "kex.c:*:1000,packet.c", "a b c")},
		{"AllowUsers", several("root", "daemon@10.0.0.0/8", "nobody", "*@*.example.org", "d*")},
		{"DenyUsers", several("games", "root@192.0.2.*", "x")},
		{"AllowGroups", several("root", "adm", "daemon", "g*")},
		{"DenyGroups", several("nogroup", "x")},
		{"AcceptEnv", several("LANG", "LC_*", "A B")},
		{"SetEnv", several("A=1", "B=2", "A=3", `"C=x y"`)},
		{"AuthenticationMethods", words("any", "publickey", "publickey,password publickey,keyboard-interactive:pam", "keyboard-interactive password", "publickey none")},
		{"AuthorizedKeysFile", words(".ssh/authorized_keys", "/etc/keys/%u .ssh/authorized_keys2", "none", "~/x", "~daemon/y", `"/a b/%u"`)},
		{"AuthorizedPrincipalsFile", words("none", "/etc/principals/%u", "~/p")},
		{"TrustedUserCAKeys", words("none", "/etc/ca.pub", "NONE")},
		{"RevokedKeys", words("none", "/etc/revoked", "relative/path")},
		{"Banner", words("none", "/etc/issue.net", "None", "~/b")},
		{"ForceCommand", words("/bin/false", "internal-sftp -l INFO", "none", `echo 'a b' # c`)},
		{"ChrootDirectory", words("none", "/srv/%u", "NONE")},
		{"PermitOpen", words("any", "none", "localhost:80", "[::1]:22 10.0.0.1:*", "host:ssh")},
		{"PermitListen", words("any", "none", "8080", "localhost:80 *:90", "ssh")},
		{"PubkeyAuthOptions", words("none", "touch-required", "verify-required touch-required", "none none")},
		{"PubkeyAcceptedAlgorithms", keys},
		{"PubkeyAcceptedKeyTypes", keys},
		{"HostbasedAcceptedAlgorithms", keys},
		{"CASignatureAlgorithms", words("ssh-ed25519", "-rsa*", "+ssh-rsa", "^ssh-ed25519")},
	}
}

func globalLines() []genLine {
	yes := words("yes", "no", "YES")
	return []genLine{
		{"Port", words("22", "2222", "ssh", "8022")},
		{"ListenAddress", words("0.0.0.0", "::", "192.0.2.1:2022", "[2001:db8::1]:22", "127.1", "[::1]", "2001:db8::2")},
		{"HostKeyAlgorithms", words("ssh-ed25519", "+ssh-rsa", "-ecdsa*", "^rsa-sha2-512")},
		{"Ciphers", words("aes128-ctr", "aes256-gcm@openssh.com,aes128-ctr", "+3des-cbc", "-chacha20*", "^aes256-ctr,aes128-ctr", "-aes*-ctr", "aes128-ctr,,bogus", "+aes128-cbc,,x")},
		{"MACs", words("hmac-sha2-256", "+hmac-md5", "-*sha1*", "^hmac-sha2-512-etm@openssh.com", "umac-64@openssh.com,hmac-sha1-96")},
		{"KexAlgorithms", words("curve25519-sha256", "-sntrup*", "+diffie-hellman-group1-sha1", "^curve25519-sha256@libssh.org", "gss-gex-sha1-x,curve25519-sha256", "-ecdh*,diffie*")},
		{"UsePAM", yes},
		{"StrictModes", yes},
		{"UseDNS", yes},
		{"TCPKeepAlive", yes},
		{"PrintMotd", yes},
		{"PrintLastLog", yes},
		{"IgnoreUserKnownHosts", yes},
		{"DebianBanner", yes},
		{"Compression", words("yes", "no", "delayed")},
		{"LoginGraceTime", words("30", "2m", "0", "1h")},
		{"SyslogFacility", words("AUTH", "authpriv", "LOCAL7", "daemon")},
		{"PidFile", words("none", "/run/x.pid", "x.pid")},
		{"ModuliFile", words("/etc/ssh/moduli")},
		{"XAuthLocation", words("none", "/usr/bin/xauth")},
		{"PermitUserEnvironment", words("yes", "no", "LANG,LC_*", "YES")},
		{"MaxStartups", words("10", "10:30:60", "5:50:5", "100")},
		{"PerSourceMaxStartups", words("none", "3", "0")},
		{"PerSourceNetBlockSize", words("24:64", "32:128", "0:0")},
		{"FingerprintHash", words("sha256", "MD5", "sha512")},
		{"VersionAddendum", words("none", "hello", "a b # c", "NONE")},
		{"SecurityKeyProvider", words("internal", "/usr/lib/sk.so")},
		{"Subsystem", words("sftp internal-sftp", "sftp /usr/lib/openssh/sftp-server -l INFO", `x "a b" c`)},
		{"HostCertificate", words("/etc/ssh/x-cert.pub")},
		{"GSSAPIKeyExchange", yes},
		{"GSSAPIKexAlgorithms", words("gss-gex-sha1-,gss-group14-sha256-")},
		{"DSAAuthentication", yes},
		{"UseDNS", words("no")},
		{"AuthorizedKeysCommandUser", words("nobody")},
		{"AuthorizedPrincipalsCommandUser", words("nobody")},
	}
}
