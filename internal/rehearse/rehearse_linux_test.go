package rehearse_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"sekimori/internal/lab"
	"sekimori/internal/rehearse"
	"sekimori/packet"
)

// TestMain runs this binary as the inside of a rehearsal where it was started so.
func TestMain(m *testing.M) {
	if os.Args[0] == "rehearsal" {
		if err := rehearse.Inside(context.Background(), os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	lab.Main(m)
}

// host is one with a way out and a network inside.
func host(text string) rehearse.Job {
	p := netip.MustParsePrefix
	return rehearse.Job{
		Rules: []byte(text),
		Interfaces: []rehearse.Interface{
			{Name: "eth0", Addresses: []netip.Prefix{p("203.0.113.5/24"), p("2001:db8:5::5/64")}},
			{Name: "eth1.5", Addresses: []netip.Prefix{p("10.0.0.1/24")}},
		},
		Routes:  []rehearse.Route{{Dst: p("0.0.0.0/0"), Interface: "eth0"}, {Dst: p("::/0"), Interface: "eth0"}},
		Forward: true,
	}
}

// ask sends packets, written as people write them.
func ask(t *testing.T, job rehearse.Job, packets ...string) []bool {
	t.Helper()
	for _, text := range packets {
		p, err := packet.ParsePacket(text)
		if err != nil {
			t.Fatal(err)
		}
		probe, ok := rehearse.NewProbe(p)
		if !ok {
			t.Fatalf("%s cannot be sent", text)
		}
		job.Probes = append(job.Probes, probe)
	}
	passed, err := rehearse.Run(t.Context(), []string{"rehearsal"}, job)
	if err != nil {
		t.Fatal(err)
	}
	return passed
}

const rules = `table inet sekimori {
	set admins { type ipv4_addr; flags interval; elements = { 198.51.100.0/24 }; }
	chain input {
		type filter hook input priority filter; policy drop;
		ct state established,related accept
		icmpv6 type { 133-136 } accept
		ip saddr @admins tcp dport 22 ct state new accept
		iifname "eth1.5" udp dport 53 accept
		tcp dport 443 accept
	}
	chain forward {
		type filter hook forward priority filter; policy drop;
		iifname "eth1.5" oifname "eth0" accept
	}
}`

// TestRun: each verdict of the kernel, in both families, as it is and not as
// anybody says.
func TestRun(t *testing.T) {
	lab.Need(t, "nft", "ip")
	cases := []struct {
		packet string
		passes bool
	}{
		{"tcp 198.51.100.7:40000 -> 203.0.113.5:22 in eth0 new", true},
		{"tcp 198.51.101.7:40000 -> 203.0.113.5:22 in eth0 new", false},
		{"tcp 192.0.2.9:40000 -> 203.0.113.5:22 in eth0 established", true},
		{"tcp [2001:db8:9::9]:40000 -> [2001:db8:5::5]:22 in eth0 established", true},
		{"tcp [2001:db8:9::9]:40001 -> [2001:db8:5::5]:22 in eth0 new", false},
		{"tcp [2001:db8:9::9]:40001 -> [2001:db8:5::5]:443 in eth0 new", true},
		{"udp 10.0.0.9:5353 -> 10.0.0.1:53 in eth1.5 new", true},
		{"udp 192.0.2.9:5353 -> 203.0.113.5:53 in eth0 new", false},
		{"icmp 192.0.2.9 -> 203.0.113.5 type 8 code 0 in eth0 new", false},
		{"icmpv6 2001:db8:5::9 -> 2001:db8:5::5 type 135 code 0 in eth0 new", true},
		{"icmpv6 2001:db8:5::9 -> 2001:db8:5::5 type 128 code 0 in eth0 new", false},
		{"tcp 10.0.0.9:40000 -> 192.0.2.9:80 in eth1.5 new", true},
		{"tcp 192.0.2.9:40000 -> 10.0.0.9:80 in eth0 new", false},
	}
	texts := make([]string, len(cases))
	for i, c := range cases {
		texts[i] = c.packet
	}
	for i, passed := range ask(t, host(rules), texts...) {
		if passed != cases[i].passes {
			t.Errorf("%s: passed %v, want %v", cases[i].packet, passed, cases[i].passes)
		}
	}
	// Without rules everything comes through: what was dropped above was so by them.
	for i, passed := range ask(t, host(""), texts...) {
		if !passed {
			t.Errorf("%s: dropped where no rules are", cases[i].packet)
		}
	}
}

// TestRunRefuses: rules that cannot be loaded are an error, in nft's words, and a
// rehearsal never happens in the namespace that it is for.
func TestRunRefuses(t *testing.T) {
	lab.Need(t, "nft", "ip")
	_, err := rehearse.Run(t.Context(), []string{"rehearsal"}, host("table inet sekimori { chain c { tcp dport ssh acept; }; }"))
	if err == nil || !strings.Contains(err.Error(), "syntax error") {
		t.Errorf("got %v", err)
	}
	here, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	for _, outside := range []string{here, ""} {
		var out strings.Builder
		err := rehearse.Inside(t.Context(), strings.NewReader(fmt.Sprintf(`{"outside": %q}`, outside)), &out)
		if err == nil || !strings.Contains(err.Error(), "nothing was done") {
			t.Errorf("outside %q: %v", outside, err)
		}
	}
}

// TestManyProbes: thousands of packets, each with an answer of its own.
func TestManyProbes(t *testing.T) {
	lab.Need(t, "nft", "ip")
	job := host(rules)
	for i := range 5000 {
		job.Probes = append(job.Probes, rehearse.Probe{
			In: "eth0", Protocol: 6, Src: netip.AddrFrom4([4]byte{198, 51, 100 + byte(i%2), byte(i / 20)}), SrcPort: uint16(1024 + i),
			Dst: netip.MustParseAddr("203.0.113.5"), DstPort: 22,
		})
	}
	passed, err := rehearse.Run(t.Context(), []string{"rehearsal"}, job)
	if err != nil {
		t.Fatal(err)
	}
	for i, ok := range passed {
		if ok != (i%2 == 0) {
			t.Fatalf("%s: passed %v", job.Probes[i], ok)
		}
	}
}
