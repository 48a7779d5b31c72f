//go:build linux

package referee

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sekimori/internal/compile"
	"sekimori/internal/firewall/acl"
	"sekimori/internal/lab"
	"sekimori/policy"
)

// BenchmarkPacketRate sends packets through one policy as different programs put
// it into the kernel: a rule for each of many ports, each for a network of its own.
// Half of the packets are what one of the rules lets in, half is refused. All of
// them open connections, which are dropped behind the last rule, so that the rules
// are asked about each.
//
//	none       no rules at all: what sending and receiving costs
//	sekimori   the policy, compiled to nft
//	ufw        with its own defaults beside
//	firewalld  likewise
//
// The last two run only where SEKIMORI_BENCH_PACKETS is set: they take a minute to
// begin.
//
// Figures are of processor time: ns/packet less that of none is what the rules cost. With root outside of a user
// namespace, as make bench-packets has it, the larger number of rules is 1,000.
func BenchmarkPacketRate(b *testing.B) {
	tools := []rateTool{{"sekimori", loadPolicy}}
	if os.Getenv("SEKIMORI_BENCH_PACKETS") != "" {
		lab.Need(b, "nft", "ufw", "firewalld", "dbus-daemon")
		tools = append(tools, rateTool{"ufw", loadUFW}, rateTool{"firewalld", loadFirewalld})
	}
	w := newWorld(b, true, "h0", "h1")
	b.Run("none", func(b *testing.B) { w.packetRate(b, 50) })
	sizes := []int{50, 200} // what goes through the send buffer that a user may have
	if ids, err := os.ReadFile("/proc/self/uid_map"); err == nil && strings.Contains(string(ids), "4294967295") {
		sizes[1] = 1000
	}
	for _, n := range sizes {
		for _, tool := range tools {
			b.Run(fmt.Sprintf("%s/%d", tool.name, n), func(b *testing.B) {
				tool.load(b, n)
				defer unload(b)
				w.packetRate(b, n)
			})
		}
	}
}

// rateTool puts the policy into the kernel.
type rateTool struct {
	name string
	load func(testing.TB, int)
}

// rateRule is the port and the sources of rule i.
func rateRule(i int) (port int, from netip.Prefix) {
	return 2000 + i, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 0}), 24)
}

// packetRate measures what a packet costs.
func (w *world) packetRate(b *testing.B, rules int) {
	lab.LoadNFT(b, `table inet rate-last { chain last { type filter hook input priority 2147483646; iifname "h0" ct state new drop; }; }`)
	defer lab.Run(b, "nft", "delete", "table", "inet", "rate-last")
	l := w.link("h0")
	var frames [][]byte
	for k := range 2000 {
		port, from := rateRule(k * 7 % rules)
		p := probe{
			id: uint32(k), in: "h0", src: nth(from, uint32(2+k%200)), dst: l.v4.Addr(), proto: tcp,
			sport: uint16(1024 + k), dport: uint16(port), flags: synBit, ttl: 64, mac: [6]byte{2, 0, 0, 0, 0, 1},
		}
		if k%2 == 1 {
			p.src = netip.AddrFrom4([4]byte{172, 16, byte(k >> 8), byte(k)}) // no rule's
		}
		frames = append(frames, p.frame(l.mac))
	}
	sent := 0
	before := processorTime(b)
	for b.Loop() {
		for _, f := range frames {
			if _, err := unix.Write(l.peer, f); err != nil {
				b.Fatal(err)
			}
		}
		sent += len(frames)
	}
	perPacket := float64(processorTime(b)-before) / float64(sent)
	b.ReportMetric(perPacket, "ns/packet")
	b.ReportMetric(1e9/perPacket, "packets/s")
	b.ReportMetric(0, "ns/op")
}

// processorTime is what the process has used, in nanoseconds: the kernel judges a
// packet on the time of who writes it. Other work on the machine changes it least.
func processorTime(t testing.TB) int64 {
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		t.Fatal(err)
	}
	return r.Utime.Nano() + r.Stime.Nano()
}

func loadPolicy(t testing.TB, n int) {
	t.Helper()
	var text strings.Builder
	text.WriteString("version: 1\ninbound:\n  - {allow: ssh}\n")
	for i := range n {
		port, from := rateRule(i)
		fmt.Fprintf(&text, "  - {allow: %d/tcp, from: %s}\n", port, from)
	}
	f, err := policy.Parse("policy.yaml", []byte(text.String()))
	if err != nil {
		t.Fatal(err)
	}
	c, err := compile.Compile(f, nil, policy.Host{}, compile.NFTables, acl.Options{})
	if err != nil {
		t.Fatal(err)
	}
	lab.LoadNFT(t, string(c.Text()))
}

// loadUFW lets ufw write two rules of the policy, makes the others in their image,
// and loads them all with ufw.
func loadUFW(t testing.TB, n int) {
	t.Helper()
	lab.RunInput(t, toolPath+`
rm -rf /run/ufw.etc /run/default.etc
for d in /etc/ufw /etc/default; do
	umount $d 2>/dev/null || true
	cp -a $d /run/$(basename $d).etc; mount --bind /run/$(basename $d).etc $d
done
ufw --force reset >/dev/null
ufw allow 22/tcp
ufw allow from 10.0.0.0/24 to any port 2000 proto tcp
ufw allow from 10.0.1.0/24 to any port 2001 proto tcp
`, "bash")
	const file = "/etc/ufw/user.rules"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	image := func(i int) string {
		port, from := rateRule(i)
		return fmt.Sprintf("### tuple ### allow tcp %d 0.0.0.0/0 any %s in\n-A ufw-user-input -p tcp --dport %d -s %s -j ACCEPT\n\n", port, from, port, from)
	}
	both := image(0) + image(1)
	if !strings.Contains(string(text), both) {
		t.Fatalf("ufw writes its rules in another way:\n%s", text)
	}
	var all strings.Builder
	for i := range n {
		all.WriteString(image(i))
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(text), both, all.String(), 1)), 0o640); err != nil {
		t.Fatal(err)
	}
	lab.RunInput(t, toolPath+"ufw --force enable", "bash")
	if got := strings.Count(lab.Run(t, "iptables", "-S", "ufw-user-input"), "--dport 2"); got < n {
		t.Fatalf("%d of %d rules are loaded", got, n)
	}
}

// loadFirewalld gives firewalld the policy as rich rules of a zone.
func loadFirewalld(t testing.TB, n int) {
	t.Helper()
	var zone strings.Builder
	zone.WriteString("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<zone>\n  <short>Public</short>\n  <interface name=\"h0\"/>\n  <service name=\"ssh\"/>\n")
	for i := range n {
		port, from := rateRule(i)
		fmt.Fprintf(&zone, "  <rule family=\"ipv4\">\n    <source address=\"%s\"/>\n    <port port=\"%d\" protocol=\"tcp\"/>\n    <accept/>\n  </rule>\n", from, port)
	}
	zone.WriteString("</zone>\n")
	lab.Run(t, "rm", "-rf", "/run/firewalld.etc")
	if err := os.MkdirAll("/run/firewalld.etc/zones", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("/run/firewalld.etc/zones/public.xml", []byte(zone.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	start, _, _ := strings.Cut(firewalldScript, "firewall-cmd --zone")
	lab.RunInput(t, strings.ReplaceAll(start, "mkdir -p /run/firewalld.etc /run/firewalld\n", "mkdir -p /run/firewalld\nrm -f /run/bus\n"), "bash")
	if got := strings.Count(lab.Run(t, "nft", "list", "chain", "inet", "firewalld", "filter_IN_public_allow"), "tcp dport 2") +
		strings.Count(lab.Run(t, "nft", "list", "chain", "inet", "firewalld", "filter_IN_public_allow"), "tcp dport 3"); got < n {
		t.Fatalf("fewer than %d rules are loaded", n)
	}
}

// unload stops what was started and empties the kernel.
func unload(t testing.TB) {
	t.Helper()
	_, _ = lab.Try(t, "", "bash", "-c", "for f in /run/*.pid; do test -f $f && kill $(cat $f) && rm $f; done; sleep 0.3; umount /etc/ufw /etc/default; true")
	lab.Run(t, "nft", "flush", "ruleset")
}
