package exposure

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"sekimori/internal/firewall"
	"sekimori/internal/host"
)

// aHost has one interface, eth0 with 203.0.113.5 and 2001:db8:1::5.
func aHost(sockets ...host.Socket) *host.Snapshot {
	p := netip.MustParsePrefix
	return &host.Snapshot{
		Schema: host.Schema,
		Interfaces: []host.Interface{
			{Index: 1, Name: "lo", Loopback: true, Up: true},
			{Index: 2, Name: "eth0", Up: true, Addresses: []host.Address{{Prefix: p("203.0.113.5/24")}, {Prefix: p("2001:db8:1::5/64")}}},
		},
		Routes: []host.Route{
			{Family: 4, Table: 255, Type: "local", Dst: p("127.0.0.0/8"), Hops: []host.Hop{{Interface: 1}}},
			{Family: 4, Table: 255, Type: "local", Dst: p("203.0.113.5/32"), Hops: []host.Hop{{Interface: 2}}},
			{Family: 6, Table: 255, Type: "local", Dst: p("::1/128"), Hops: []host.Hop{{Interface: 1}}},
			{Family: 6, Table: 255, Type: "local", Dst: p("2001:db8:1::5/128"), Hops: []host.Hop{{Interface: 2}}},
			{Family: 4, Table: 254, Type: "unicast", Dst: p("0.0.0.0/0"), Hops: []host.Hop{{Interface: 2}}},
			{Family: 6, Table: 254, Type: "unicast", Dst: p("::/0"), Hops: []host.Hop{{Interface: 2}}},
			{Family: 4, Table: 254, Type: "unicast", Dst: p("172.17.0.0/16"), Hops: []host.Hop{{Interface: 2}}},
		},
		Sysctls:    map[string]string{"net.ipv4.ip_forward": "1"},
		Sockets:    sockets,
		Processes:  []host.Process{{PID: 812, Name: "sshd"}},
		Containers: []host.Container{{ID: "0123456789abcdef", Name: "shop", Addresses: []netip.Addr{netip.MustParseAddr("172.17.0.2")}}},
	}
}

func listener(proto, local string, v4, v6 bool) host.Socket {
	return host.Socket{Proto: proto, Local: netip.MustParseAddrPort(local), Takes4: v4, Takes6: v6, Owners: []int{812}}
}

// table is a table with one base chain at the input hook.
func table(family firewall.Family, policy firewall.VerdictKind, rules ...[]firewall.Step) *firewall.Ruleset {
	return atHook(firewall.Input, "filter", family, policy, rules...)
}

func atHook(hook firewall.Hook, kind string, family firewall.Family, policy firewall.VerdictKind, rules ...[]firewall.Step) *firewall.Ruleset {
	t := &firewall.Table{Family: family, Name: "t"}
	c := &firewall.Chain{Name: "c", Table: t, Base: &firewall.Base{Hook: hook, Type: kind, Policy: policy}}
	if kind == "nat" {
		c.Base.Priority = -100
	}
	for i, steps := range rules {
		c.Rules = append(c.Rules, &firewall.Rule{Chain: c, Number: i + 1, Text: "a rule", Steps: steps})
	}
	t.Chains = []*firewall.Chain{c}
	return &firewall.Ruleset{Tables: []*firewall.Table{t}}
}

func TestSockets(t *testing.T) {
	drop := table(firewall.Inet, firewall.Drop)
	dropV4 := table(firewall.IPv4, firewall.Drop)
	open := &firewall.Ruleset{}
	blocked := &firewall.Ruleset{Obstacles: []firewall.Obstacle{{What: "nf_tables", Why: "not permitted"}}}
	opaque := table(firewall.Inet, firewall.Drop, []firewall.Step{
		firewall.Opaque{Name: `expression "osf"`, Content: "osf"}, firewall.Verdict{Kind: firewall.Accept},
	})
	onEth0 := listener("tcp", "0.0.0.0:22", true, false)
	onEth0.Interface = 2
	onGone := listener("tcp", "0.0.0.0:22", true, false)
	onGone.Interface = 77
	cases := []struct {
		name   string
		socket host.Socket
		rules  *firewall.Ruleset
		want   firewall.ReachVerdict
		about  string // part of a reason
	}{
		{"no rules", listener("tcp", "0.0.0.0:22", true, false), open, firewall.ReachAnyone, ""},
		{"dropped", listener("tcp", "0.0.0.0:22", true, false), drop, firewall.ReachNone, "policy drop"},
		{"both families, one closed", listener("tcp", "[::]:22", true, true), dropV4, firewall.ReachAnyone, ""},
		{"v6only, the other closed", listener("tcp", "[::]:22", false, true), dropV4, firewall.ReachAnyone, ""},
		{"v4 alone, closed", listener("tcp", "0.0.0.0:22", true, false), dropV4, firewall.ReachNone, ""},
		{"loopback", listener("tcp", "127.0.0.53:53", true, false), open, firewall.ReachNone, "loopback"},
		{"loopback v6", listener("tcp", "[::1]:53", false, true), open, firewall.ReachNone, "loopback"},
		{"mapped loopback", listener("tcp", "[::ffff:127.0.0.1]:53", true, false), open, firewall.ReachNone, "loopback"},
		{"unreadable rules", listener("tcp", "0.0.0.0:22", true, false), blocked, firewall.ReachUndecided, "nf_tables"},
		{"unknown expression", listener("tcp", "0.0.0.0:22", true, false), opaque, firewall.ReachUndecided, "osf"},
		{"unknown protocol", listener("quic", "0.0.0.0:22", true, false), open, firewall.ReachUndecided, "quic"},
		{"bound to a device", onEth0, open, firewall.ReachAnyone, ""},
		{"bound to a device that is not known", onGone, open, firewall.ReachUndecided, "77"},
		{"raw icmp", listener("raw", "0.0.0.0:1", true, false), open, firewall.ReachAnyone, ""},
		{"udp", listener("udp", "203.0.113.5:53", true, false), open, firewall.ReachAnyone, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := Evaluate(aHost(c.socket), c.rules, 0).Sockets()
			if len(got) != 1 {
				t.Fatalf("%d sockets", len(got))
			}
			r := got[0].Reach
			why := r.Note + strings.Join(r.Undecided, " ")
			if r.Blocked != nil {
				why += r.Blocked.String()
			}
			if r.Verdict != c.want || !strings.Contains(why, c.about) {
				t.Errorf("%s because %q, want %s because of %q", r.Verdict, why, c.want, c.about)
			}
			if got[0].Owner == nil || got[0].Owner.Name != "sshd" {
				t.Errorf("owner %+v", got[0].Owner)
			}
		})
	}
}

func TestLeftOut(t *testing.T) {
	client := listener("udp", "203.0.113.5:40000", true, false)
	client.Peer = netip.MustParseAddrPort("192.0.2.1:53")
	sender := listener("raw", "0.0.0.0:255", true, false)
	if got := Evaluate(aHost(client, sender), &firewall.Ruleset{}, 0).Sockets(); len(got) != 0 {
		t.Errorf("sockets that do not listen: %+v", got)
	}
}

// TestBudget: an evaluation that cannot be finished is undecided, for sockets
// and for ports alike.
func TestBudget(t *testing.T) {
	h := Evaluate(aHost(listener("tcp", "0.0.0.0:22", true, false)), table(firewall.Inet, firewall.Drop), 10)
	if r := h.Sockets()[0].Reach; r.Verdict != firewall.ReachUndecided || len(r.Undecided) == 0 {
		t.Errorf("socket: %+v", r)
	}
	p, err := h.Port("tcp", 22)
	if err != nil || p.Reach.Verdict != firewall.ReachUndecided {
		t.Errorf("port: %+v, %v", p, err)
	}
}

// forward sends 8080/tcp to a container.
func forward() *firewall.Ruleset {
	tcp := firewall.Match{Cond: firewall.Compare{Value: firewall.Whole(firewall.FieldL4Proto, 0, 0, 8), In: []firewall.Interval{{Lo: []byte{6}, Hi: []byte{6}}}}}
	port := firewall.Match{Cond: firewall.Compare{Value: firewall.Whole(firewall.FieldTransport, 0, 16, 16), In: []firewall.Interval{{Lo: []byte{0x1f, 0x90}, Hi: []byte{0x1f, 0x90}}}}}
	to := []byte{172, 17, 0, 2}
	return atHook(firewall.Prerouting, "nat", firewall.IPv4, firewall.Accept, []firewall.Step{
		tcp, port,
		firewall.NAT{Kind: firewall.DNAT, Family: firewall.IPv4, Addr: firewall.NATTarget{Lo: to, Hi: to}, Port: firewall.NATTarget{Lo: []byte{0, 80}, Hi: []byte{0, 80}}},
	})
}

func TestForwards(t *testing.T) {
	h := Evaluate(aHost(), forward(), 0)
	got, err := h.Forwards()
	if err != nil || len(got) != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	f := got[0]
	if f.Protocol != 6 || f.Lo != 8080 || f.Hi != 8080 || f.To.String() != "172.17.0.2" || f.ToPort != 80 || f.Container != "shop" || f.Reach.Verdict != firewall.ReachAnyone {
		t.Errorf("%+v", f)
	}
	p, err := h.Port("tcp", 8080)
	if err != nil || len(p.Sockets) != 0 || len(p.Forwards) != 1 || len(p.Via) != 0 || p.Reach.Verdict != firewall.ReachAnyone {
		t.Errorf("port 8080: %+v %v", p, err)
	}
}

// redirect lets packets to 8080/tcp in only where they were sent to 80/tcp.
func redirect() *firewall.Ruleset {
	is := func(f firewall.Field, lo ...byte) firewall.Step {
		width, offset := 8*len(lo), 0
		if f == firewall.FieldTransport {
			offset = 16
		}
		return firewall.Match{Cond: firewall.Compare{Value: firewall.Whole(f, 0, offset, width), In: []firewall.Interval{{Lo: lo, Hi: lo}}}}
	}
	tcp := is(firewall.FieldL4Proto, 6)
	rs := atHook(firewall.Prerouting, "nat", firewall.IPv4, firewall.Accept, []firewall.Step{
		tcp, is(firewall.FieldTransport, 0, 80),
		firewall.NAT{Kind: firewall.Redirect, Family: firewall.IPv4, Port: firewall.NATTarget{Lo: []byte{0x1f, 0x90}, Hi: []byte{0x1f, 0x90}}},
	})
	raw := atHook(firewall.Prerouting, "filter", firewall.IPv4, firewall.Accept, []firewall.Step{
		tcp, is(firewall.FieldTransport, 0x1f, 0x90), firewall.Verdict{Kind: firewall.Drop},
	})
	raw.Tables[0].Chains[0].Base.Priority = -300
	rs.Tables = append(rs.Tables, raw.Tables...)
	return rs
}

// TestRedirected: a socket that is reached only through another port is not
// reachable by its own, to whatever address it is bound.
func TestRedirected(t *testing.T) {
	for _, at := range []string{"0.0.0.0:8080", "203.0.113.5:8080"} {
		h := Evaluate(aHost(listener("tcp", at, true, false)), redirect(), 0)
		own, err := h.Port("tcp", 8080)
		if err != nil || own.Reach.Verdict != firewall.ReachNone || len(own.Sockets) != 1 || len(own.Via) != 1 {
			t.Errorf("%s: by its own port: %+v, %v", at, own, err)
		}
		if got := own.Sockets[0].Reach.Verdict; got != firewall.ReachAnyone {
			t.Errorf("%s: by any port: %s", at, got)
		}
		other, err := h.Port("tcp", 80)
		if err != nil || other.Reach.Verdict != firewall.ReachAnyone || len(other.Forwards) != 1 || len(other.Via) != 0 {
			t.Errorf("%s: by the other port: %+v, %v", at, other, err)
		}
	}
}

// TestPort: without a listener, the rules say who could; with one, it is what
// they say about that socket.
func TestPort(t *testing.T) {
	h := Evaluate(aHost(listener("tcp", "127.0.0.1:631", true, false)), &firewall.Ruleset{}, 0)
	p, err := h.Port("tcp", 22)
	if err != nil || p.Reach.Verdict != firewall.ReachAnyone {
		t.Errorf("nothing listens: %+v, %v", p, err)
	}
	p, err = h.Port("tcp", 631)
	if err != nil || len(p.Sockets) != 1 || p.Reach.Verdict != firewall.ReachNone {
		t.Errorf("bound to loopback: %+v, %v", p, err)
	}
	if _, err := h.Port("icmp", 1); err == nil {
		t.Error("icmp has ports")
	}
	if got := h.Interfaces(); !slices.Equal(got, []string{"eth0"}) {
		t.Errorf("interfaces %v", got)
	}
}

func TestNoInterface(t *testing.T) {
	s := aHost(listener("tcp", "0.0.0.0:22", true, false))
	s.Interfaces = s.Interfaces[:1]
	h := Evaluate(s, &firewall.Ruleset{}, 0)
	port, err := h.Port("tcp", 80)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []Reach{h.Sockets()[0].Reach, port.Reach} {
		if r.Verdict != firewall.ReachNone || !strings.Contains(r.Note, "no interface") {
			t.Errorf("with loopback alone: %+v", r)
		}
	}
}
