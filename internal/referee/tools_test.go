//go:build linux

package referee

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"sekimori/internal/firewall"
	"sekimori/internal/lab"
)

// The tools that write rules run as they do on any host, with their state on the
// tmpfs that a lab has on /run. What they start ends by itself after a while.
const toolPath = "set -e; export PATH=/usr/sbin:/usr/bin:/sbin:/bin\n"

const ufwScript = toolPath + `
for d in /etc/ufw /etc/default; do cp -a $d /run/$(basename $d).etc; mount --bind /run/$(basename $d).etc $d; done
ufw allow 22/tcp
ufw limit 2222/tcp
ufw allow from 10.0.0.0/8 to any port 3306 proto tcp
ufw deny 25
ufw --force enable
`

const firewalldScript = toolPath + `
mkdir -p /run/firewalld.etc /run/firewalld
cat > /run/bus.conf <<'END'
<busconfig><type>system</type><listen>unix:path=/run/bus</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_type="method_call"/><allow send_type="signal"/>
<allow send_type="method_return"/><allow send_type="error"/><allow receive_type="method_call"/><allow receive_type="signal"/>
<allow receive_type="method_return"/><allow receive_type="error"/></policy></busconfig>
END
export DBUS_SYSTEM_BUS_ADDRESS=unix:path=/run/bus
timeout 120 dbus-daemon --config-file=/run/bus.conf --nofork >/run/bus.log 2>&1 & echo $! > /run/bus.pid
for i in $(seq 100); do test -S /run/bus && break; sleep 0.1; done
timeout 120 firewalld --nofork --nopid --system-config /run/firewalld.etc --log-target file --log-file /run/firewalld.log >/run/firewalld.out 2>&1 & echo $! > /run/firewalld.pid
for i in $(seq 200); do firewall-cmd --state >/dev/null 2>&1 && break; sleep 0.1; done
firewall-cmd --zone=public --add-interface=h0
firewall-cmd --zone=public --remove-service=ssh
firewall-cmd --zone=public --add-service=http
firewall-cmd --zone=public --add-rich-rule='rule family=ipv4 source address=10.0.0.0/8 port port=3306 protocol=tcp accept'
firewall-cmd --zone=public --add-forward-port=port=8443:proto=tcp:toport=443:toaddr=198.51.100.7
firewall-cmd --zone=trusted --add-source=203.0.113.128/28
`

const fail2banScript = toolPath + `
mkdir /run/f2b; cp -a /etc/fail2ban /run/f2b/etc; touch /run/f2b/log
jail() { printf '[%s]\nfilter = sshd\nenabled = true\nbackend = polling\nlogpath = /run/f2b/log\nbanaction = %s\nport = %s\n' "$@" >> /run/f2b/etc/jail.local; }
jail sshd nftables-multiport 22
jail a iptables-multiport 80,443
jail b iptables-ipset-proto6-allports 1:65535
jail c nftables-allports 1:65535
printf '[Definition]\ndbfile = None\nlogtarget = /run/f2b/f2b.log\n' > /run/f2b/etc/fail2ban.local
timeout 120 fail2ban-server -c /run/f2b/etc -s /run/f2b/sock -p /run/f2b/pid -f start >/run/f2b/out 2>&1 & echo $! > /run/f2b.pid
f2b() { fail2ban-client -s /run/f2b/sock "$@"; }
for i in $(seq 200); do f2b ping >/dev/null 2>&1 && break; sleep 0.1; done
f2b set sshd banip 203.0.113.7 2001:db8:f::7
f2b set a banip 203.0.113.8 2001:db8:f::8
f2b set b banip 203.0.113.9 2001:db8:f::9
f2b set c banip 203.0.113.10 2001:db8:f::a
for i in $(seq 200); do test $(grep -c '\] Ban ' /run/f2b/f2b.log) = 8 && break; sleep 0.1; done
sleep 0.5
`

// asked is who wants to reach which port, and the answer that is right.
type asked struct {
	port uint16
	from string
	want string // no, yes, maybe (certain is false)
}

// TestTools reads what ufw, firewalld and fail2ban load: nothing that matters is
// undecided, the answers are right, and the kernel agrees with the model.
func TestTools(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, script string
		need         []string
		asked        []asked
	}{
		{"ufw", ufwScript, []string{"ufw"}, []asked{
			{22, "203.0.113.5", "yes"},
			{22, "2001:db8:f::5", "yes"},
			{2222, "203.0.113.5", "maybe"},
			{3306, "10.1.2.3", "yes"},
			{3306, "203.0.113.5", "no"},
			{3306, "2001:db8:f::5", "no"},
			{25, "203.0.113.5", "no"},
			{443, "203.0.113.5", "no"},
		}},
		// firewalld refuses IPv6 from where there is no way back by the same interface.
		{"firewalld", firewalldScript, []string{"firewalld", "dbus-daemon"}, []asked{
			{22, "203.0.113.5", "no"},
			{80, "203.0.113.5", "yes"},
			{80, "2001:db8:1::5", "yes"},
			{80, "2001:db8:f::5", "no"},
			{3306, "10.1.2.3", "yes"},
			{3306, "203.0.113.5", "no"},
			{8443, "203.0.113.5", "yes"},
			{22, "203.0.113.130", "yes"},
			{443, "203.0.113.5", "no"},
		}},
		{"fail2ban", fail2banScript, []string{"fail2ban-server"}, []asked{
			{22, "203.0.113.7", "no"},
			{22, "2001:db8:f::7", "no"},
			{25, "203.0.113.7", "yes"},
			{80, "203.0.113.8", "no"},
			{443, "2001:db8:f::8", "no"},
			{22, "203.0.113.8", "yes"},
			{25, "203.0.113.9", "no"},
			{25, "2001:db8:f::9", "no"},
			{3306, "203.0.113.10", "no"},
			{3306, "203.0.113.11", "yes"},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			lab.Enter(t, func(t *testing.T) {
				lab.Need(t, c.need...)
				w := newWorld(t, true, "h0", "h1")
				for _, p := range []uint16{22, 25, 80, 443, 2222, 3306} {
					listen(t, "tcp", fmt.Sprintf("[::]:%d", p))
				}
				t.Cleanup(func() {
					_, _ = lab.Try(t, "", "bash", "-c", "for f in /run/*.pid; do test -f $f && kill $(cat $f); done; true")
				})
				lab.RunInput(t, c.script, "bash")
				answered(t, c.asked)
				judgeLoaded(t, w)
			})
		})
	}
}

// answered compares the answers about ports with the right ones.
func answered(t *testing.T, as []asked) {
	t.Helper()
	h, _, _ := exposed(t)
	for _, a := range as {
		p, err := h.Port("tcp", a.port)
		if err != nil {
			t.Fatal(err)
		}
		r := p.Reach
		if len(r.Undecided) > 0 {
			t.Errorf("port %d: undecided because of %q", a.port, r.Undecided)
		}
		if got := reach(r.From, netip.MustParseAddr(a.from)); got != a.want {
			t.Errorf("port %d from %s: %s, want %s; the whole answer is %+v", a.port, a.from, got, a.want, r.From)
		}
	}
}

// reach says whether an address is among the sources on h0.
func reach(from []firewall.Sources, a netip.Addr) string {
	answer := "no"
	for _, s := range from {
		in := func(ps []netip.Prefix) bool {
			return slices.ContainsFunc(ps, func(p netip.Prefix) bool { return p.Contains(a) })
		}
		if s.Interface != "h0" || s.Group.IsValid() || !in(s.Sources) || in(s.Except) {
			continue
		}
		if s.Certain {
			return "yes"
		}
		answer = "maybe"
	}
	return answer
}

// judgeLoaded holds what is loaded, by whomever, against the kernel.
func judgeLoaded(t *testing.T, w *world) {
	t.Helper()
	s := scaleOf(t)
	ms, _ := modelsOf(t)
	text := lab.Run(t, "nft", "list", "ruleset") + lab.Run(t, "ipset", "save")
	ps := w.packets(rand.New(rand.NewPCG(s.seed, 4)), s.packets, constants(text))
	out := compare(ms, ps, w.judge(t, ps))
	for _, d := range out.wrong[:min(len(out.wrong), 5)] {
		m := ms.of(&d.probe)
		p := d.probe.model()
		t.Errorf("kernel passed: %v, model: %s\n%s", d.passed, m.verdict(p), p)
		for _, way := range []firewall.Way{firewall.WayInput, firewall.WayForward} {
			if tr, err := m.e.Trace(m.rs, way, m.e.Space().Point(p)); err == nil && !tr.Unrouted {
				t.Logf("trace of it %s\n%s", way, showTrace(tr))
			}
		}
	}
	t.Logf("referee: %d packets, %d passed, %d undecided, %d judged wrongly", out.packets, out.passed, out.undecided, len(out.wrong))
}
