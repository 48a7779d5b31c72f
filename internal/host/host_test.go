package host_test

import (
	"bytes"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sekimori/internal/firewall"
	"sekimori/internal/firewall/kernel"
	"sekimori/internal/host"
)

var (
	prefix = netip.MustParsePrefix
	addr   = netip.MustParseAddr
)

// sample is a snapshot in which no field is empty, which [TestSampleIsFull] checks.
func sample() *host.Snapshot {
	s := &host.Snapshot{
		Schema: host.Schema,
		Time:   time.Date(2026, 2, 3, 4, 5, 6, 7000, time.UTC),
		EUID:   1000,
		System: host.System{Hostname: "h", OS: "linux", ID: "debian", VersionID: "12", PrettyName: "Debian <12>", Kernel: "6.1", BootID: "b", NetNS: 4026531840, Started: time.Unix(1, 0).UTC(), MachineID: host.File{Path: "p", Type: "file"}},
		Interfaces: []host.Interface{
			{Index: 1, Name: "lo", Link: "loopback", Up: true, Loopback: true, Addresses: []host.Address{{Prefix: prefix("127.0.0.1/8"), Scope: "host"}}},
			{
				Index: 2, Name: "eth0", Kind: "veth", Link: "ether", Up: true, Running: true, MTU: 1500, MAC: "00:00:0c:01:02:03", Vendor: "Cisco Systems, Inc", Master: 3, Peer: 9, PeerElsewhere: true,
				Addresses:   []host.Address{{Prefix: prefix("192.0.2.1/24"), Peer: addr("192.0.2.2"), Scope: "global", Flags: []string{"dynamic"}}},
				Forwarding4: true, Forwarding6: true,
			},
			{Index: 3, Name: "br0", Kind: "bridge"},
		},
		Routes: []host.Route{
			{Family: 4, Table: 254, Type: "unicast", Dst: prefix("0.0.0.0/0"), Hops: []host.Hop{{Interface: 2, Gateway: addr("192.0.2.254"), Weight: 2, Down: true}, {Interface: 3}}, PrefSrc: addr("192.0.2.1"), Metric: 100, TOS: 4, Scope: "global", Protocol: 3},
			{Family: 6, Table: 254, Type: "unreachable", Dst: prefix("2001:db8::/32"), Src: prefix("2001:db8:1::/48")},
			{Family: 4, Table: 255, Type: "local", Dst: prefix("192.0.2.1/32"), Hops: []host.Hop{{Interface: 2}}},
			{Family: 4, Table: 255, Type: "broadcast", Dst: prefix("192.0.2.255/32"), Hops: []host.Hop{{Interface: 2}}},
			{Family: 6, Table: 255, Type: "anycast", Dst: prefix("2001:db8::/128"), Hops: []host.Hop{{Interface: 2}}},
			{Family: 4, Table: 100, Type: "local", Dst: prefix("203.0.113.1/32"), Hops: []host.Hop{{Interface: 2}}},
		},
		Rules: []host.RouteRule{
			{Family: 4, Action: "lookup", Table: 255, SuppressPrefix: -1},
			{Family: 4, Priority: 9, Action: "goto", Table: 100, Goto: 12, Invert: true, Src: prefix("10.0.0.0/8"), Dst: prefix("10.1.0.0/16"), IIF: "eth0", OIF: "eth1", Mark: 1, Mask: 255, Other: []string{"ipproto 6"}, SuppressPrefix: 0},
			{Family: 4, Priority: 32766, Action: "lookup", Table: 254, SuppressPrefix: -1},
		},
		Neighbours:    []host.Neighbour{{Interface: 2, Addr: addr("fe80::1"), MAC: "00:00:0c:01:02:03", Vendor: "Cisco", State: "stale", Router: true, Proxy: true}},
		Sysctls:       map[string]string{"net.ipv4.ip_forward": "1", "net.netfilter.nf_conntrack_tcp_loose": "0"},
		Sockets:       []host.Socket{{Proto: "udp", Family: 6, Local: netip.MustParseAddrPort("[::]:53"), Peer: netip.MustParseAddrPort("[2001:db8::1]:5"), Takes4: true, Takes6: true, V6OnlyUnknown: true, Interface: 2, Mark: 3, CgroupID: 4, Inode: 5, UID: 6, Owners: []int{7}}},
		PacketSockets: []host.PacketSocket{{Type: "raw", EtherType: 3, Interface: 2, Inode: 8, UID: 1, Owners: []int{7}}},
		Processes:     []host.Process{filled(host.Process{PID: 7, Name: "n", Exe: "/x", Deleted: true, Argv: []string{"x"}, UID: 6, User: "u", Unit: "x.service", UserUnit: true, Container: "c", OtherNetNS: true, Package: "p", Version: "1", Manager: "rpm"})},
		Containers:    []host.Container{{ID: "c", Runtime: "docker", Name: "n", Image: "i", Addresses: []netip.Addr{addr("172.17.0.2")}}},
		Conntrack:     host.Conntrack{Available: true, Count: 1, Max: 2},
		Filters: kernel.Dump{
			Generation: 1, Messages: []kernel.Message{{Type: 1, Family: 2, Data: []byte{0, 255}}},
			Tables:   []kernel.LegacyTable{{Family: 2, Name: "filter", ValidHooks: 14, HookEntry: [5]uint32{1}, Underflow: [5]uint32{2}, Entries: []byte{1}}},
			IPSets:   []kernel.Message{{Type: 7, Family: 2, Data: []byte{1}}},
			Programs: []kernel.Program{{Kind: "xdp", Interface: "eth0", Attach: "ingress", ID: 1, Name: "n", CanDrop: true}},
			Unread:   []kernel.Unread{{What: "bpf", Why: "w"}},
		},
		Unseen: []host.Unseen{{Section: "filters", Reason: "r & <s>"}},
	}
	fill(reflect.ValueOf(s).Elem(), new(int))
	return s
}

func filled(p host.Process) host.Process {
	fill(reflect.ValueOf(&p).Elem(), new(int))
	return p
}

// fill gives each field of the snapshot that has no value one, down to the
// lists' elements: what an audit asks for, of which no test here cares what it says.
func fill(v reflect.Value, n *int) {
	for _, f := range v.Fields() {
		if !f.IsZero() || v.Type().PkgPath() != reflect.TypeFor[host.Snapshot]().PkgPath() {
			continue
		}
		setField(f, n)
	}
}

func setField(f reflect.Value, n *int) {
	*n++
	switch f.Interface().(type) {
	case time.Time:
		f.Set(reflect.ValueOf(time.Unix(int64(*n), 0).UTC()))
		return
	case netip.Addr:
		f.Set(reflect.ValueOf(netip.AddrFrom4([4]byte{192, 0, 2, byte(*n)})))
		return
	case netip.AddrPort:
		f.Set(reflect.ValueOf(netip.AddrPortFrom(addr("192.0.2.7"), uint16(*n))))
		return
	}
	switch f.Kind() {
	case reflect.String:
		f.SetString("s" + strconv.Itoa(*n))
	case reflect.Bool:
		f.SetBool(true)
	case reflect.Int, reflect.Int64:
		f.SetInt(int64(*n))
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		f.SetUint(uint64(*n))
	case reflect.Pointer:
		f.Set(reflect.New(f.Type().Elem()))
		setField(f.Elem(), n)
	case reflect.Slice:
		f.Set(reflect.MakeSlice(f.Type(), 1, 1))
		setField(f.Index(0), n)
	case reflect.Map:
		f.Set(reflect.MakeMap(f.Type()))
		key, value := reflect.New(f.Type().Key()).Elem(), reflect.New(f.Type().Elem()).Elem()
		setField(key, n)
		setField(value, n)
		f.SetMapIndex(key, value)
	case reflect.Struct:
		fill(f, n)
	}
}

// TestSampleIsFull: each field of each type has a value somewhere in the
// sample, so that the tests below speak for all of them.
func TestSampleIsFull(t *testing.T) {
	seen := map[string]bool{}
	var walk func(v reflect.Value)
	walk = func(v reflect.Value) {
		switch v.Kind() {
		case reflect.Pointer:
			walk(v.Elem())
		case reflect.Slice, reflect.Array:
			for i := range v.Len() {
				walk(v.Index(i))
			}
		case reflect.Struct:
			if !strings.HasPrefix(v.Type().PkgPath(), "sekimori/") {
				return
			}
			for i := range v.NumField() {
				name := v.Type().String() + "." + v.Type().Field(i).Name
				seen[name] = seen[name] || !v.Field(i).IsZero()
				walk(v.Field(i))
			}
		}
	}
	walk(reflect.ValueOf(sample()))
	for name, full := range seen {
		if !full {
			t.Errorf("%s has no value in the sample", name)
		}
	}
}

var comparable = cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{}, netip.Prefix{})

func write(t testing.TB, s *host.Snapshot) string {
	t.Helper()
	var b bytes.Buffer
	if err := host.Write(&b, s); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestRoundTrip(t *testing.T) {
	for name, s := range map[string]*host.Snapshot{"full": sample(), "empty": {Schema: host.Schema}} {
		text := write(t, s)
		got, err := host.Read(strings.NewReader(text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(s, got, comparable); diff != "" {
			t.Errorf("%s (-written +read):\n%s", name, diff)
		}
		if again := write(t, got); again != text {
			t.Errorf("%s: written again: %s", name, cmp.Diff(text, again))
		}
	}
}

func TestReadRefuses(t *testing.T) {
	for _, test := range []struct{ name, in, want string }{
		{"newer", `{"schema": 3, "colour": "red"}`, "it has schema 3, this program knows 2"},
		{"far newer", `{"schema": 99}`, "hint: read it with the version of sekimori"},
		{"older than the first", `{"schema": 0}`, "schema 0 does not exist"},
		{"no schema", `{"time": "2026-01-01T00:00:00Z"}`, `no "schema"`},
		{"another file", `[1]`, "not a snapshot"},
		{"nothing", ``, "not a snapshot"},
		{"unknown member", "{\"schema\": 1,\n\"colour\": \"red\"}", `unknown field "colour"`},
		{"unknown member deep inside", `{"schema": 1, "sockets": [{"proto": "tcp", "shade": 1}]}`, `unknown field "shade"`},
		{"wrong type", "{\"schema\": 1,\n\"euid\":\n\"root\"}", "line 3"},
		{"bad address", `{"schema": 1, "sockets": [{"local": "nowhere"}]}`, "not an ip:port"},
		{"cut off", `{"schema": 1, "sockets": [`, "unexpected EOF"},
		{"two", `{"schema": 1}{"schema": 1}`, "something follows"},
	} {
		_, err := host.Read(strings.NewReader(test.in))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got error %v, want one with %q", test.name, err, test.want)
		}
	}
	if _, err := host.Read(strings.NewReader("{\"schema\": 1}\n \n")); err != nil {
		t.Errorf("white space behind a snapshot: %v", err)
	}
}

func TestWriteRefusesOtherSchema(t *testing.T) {
	if err := host.Write(&bytes.Buffer{}, &host.Snapshot{}); err == nil {
		t.Error("wrote a snapshot without a schema")
	}
}

func TestFacts(t *testing.T) {
	got := sample().Facts()
	want := firewall.Facts{
		Known: true,
		Interfaces: []firewall.HostInterface{
			{Index: 1, Name: "lo", Loopback: true, Addresses: []netip.Prefix{prefix("127.0.0.1/8")}},
			{Index: 2, Name: "eth0", Master: "br0", Addresses: []netip.Prefix{prefix("192.0.2.1/24")}},
			{Index: 3, Name: "br0", Bridge: true},
		},
		Local:     []netip.Prefix{prefix("127.0.0.1/32"), prefix("192.0.2.1/32")},
		Broadcast: []netip.Prefix{prefix("0.0.0.0/32"), prefix("192.0.2.255/32"), prefix("255.255.255.255/32")},
		Anycast:   []netip.Prefix{prefix("2001:db8::/128")},
		Multicast: []netip.Prefix{prefix("224.0.0.0/4"), prefix("ff00::/8")},
		Routes: []firewall.Route{
			{Dst: prefix("0.0.0.0/0"), Interface: "eth0", Metric: 100},
			{Dst: prefix("0.0.0.0/0"), Interface: "br0", Metric: 100},
			{Dst: prefix("2001:db8::/32"), Refuse: true},
		},
		RoutesPartial: "policy routing: 9: not from 10.0.0.0/8 to 10.1.0.0/16 fwmark 0x1/0xff iif eth0 oif eth1 ipproto 6 goto 12 suppress_prefixlength 0",
		Forward4:      true,
		Forward6:      true, // the sample does not say
		NoTCPLoose:    true,
	}
	if diff := cmp.Diff(want, got, comparable); diff != "" {
		t.Errorf("facts (-want +got):\n%s", diff)
	}
}

// TestFactsFromLess: what was not read is not taken for known.
func TestFactsFromLess(t *testing.T) {
	for _, section := range []string{host.SectionInterfaces, host.SectionRoutes} {
		s := sample()
		s.Unseen = append(s.Unseen, host.Unseen{Section: section, Reason: "x"})
		if s.Facts().Known {
			t.Errorf("known without %s", section)
		}
	}
	s := sample()
	s.Routes = append(s.Routes, host.Route{Family: 4, Table: 254, Type: "unicast", Dst: prefix("10.0.0.0/8"), Hops: []host.Hop{{Interface: 77}}})
	s.Rules = slices.Delete(s.Rules, 1, 2)
	if f := s.Facts(); !strings.Contains(f.RoutesPartial, "10.0.0.0/8") {
		t.Errorf("a route by an unknown interface: %q", f.RoutesPartial)
	}
}

func TestForwarding(t *testing.T) {
	for _, c := range []struct {
		name    string
		sysctls map[string]string
		iface   host.Interface
		v4, v6  bool
	}{
		{"nothing is known", nil, host.Interface{}, true, true},
		{"off", map[string]string{"net.ipv4.ip_forward": "0", "net.ipv6.conf.all.forwarding": "0"}, host.Interface{}, false, false},
		{"on", map[string]string{"net.ipv4.ip_forward": "1", "net.ipv6.conf.all.forwarding": "1"}, host.Interface{}, true, true},
		{"one interface", map[string]string{"net.ipv4.ip_forward": "0", "net.ipv6.conf.all.forwarding": "0"}, host.Interface{Forwarding4: true, Forwarding6: true}, true, false},
	} {
		f := (&host.Snapshot{Sysctls: c.sysctls, Interfaces: []host.Interface{c.iface}}).Facts()
		if f.Forward4 != c.v4 || f.Forward6 != c.v6 {
			t.Errorf("%s: forwards %v, %v", c.name, f.Forward4, f.Forward6)
		}
	}
}

// A table that is asked before the main one, or in another order, makes the
// longest prefix of all of them meaningless.
func TestTablesInOrder(t *testing.T) {
	for name, tables := range map[string][]uint32{"": {255, 254, 253}, "lookup 52": {255, 52, 254}, "lookup 255": {254, 255}} {
		s := &host.Snapshot{}
		for i, n := range tables {
			s.Rules = append(s.Rules, host.RouteRule{Family: 4, Priority: uint32(i), Action: "lookup", Table: n, SuppressPrefix: -1})
		}
		if got := s.Facts().RoutesPartial; !strings.HasSuffix(got, name) || (name == "") != (got == "") {
			t.Errorf("%v: %q", tables, got)
		}
	}
}

// TestMissesWithoutAudit: what was not looked at is not taken for empty.
func TestMissesWithoutAudit(t *testing.T) {
	s := &host.Snapshot{Schema: host.Schema}
	if !s.Misses(host.SectionAccounts) || s.Misses(host.SectionSockets) {
		t.Error("without an audit, accounts count as seen or sockets as unseen")
	}
	s.Audited = true
	if s.Misses(host.SectionAccounts) {
		t.Error("after an audit, accounts count as unseen")
	}
	old, err := host.Read(strings.NewReader(`{"schema": 1}`))
	if err != nil || !old.Misses(host.SectionUpdates) {
		t.Errorf("a snapshot of the first schema: %v, its updates count as seen", err)
	}
}

func TestGateways(t *testing.T) {
	s := &host.Snapshot{
		Interfaces: []host.Interface{{Index: 2, Name: "eth0"}},
		Routes: []host.Route{
			{Family: 6, Table: 254, Type: "unicast", Dst: prefix("::/0"), Hops: []host.Hop{{Interface: 2, Gateway: addr("fe80::1")}}},
			{Family: 4, Table: 254, Type: "unicast", Dst: prefix("0.0.0.0/0"), Metric: 200, Hops: []host.Hop{{Interface: 2, Gateway: addr("192.0.2.2")}}},
			{Family: 4, Table: 254, Type: "unicast", Dst: prefix("0.0.0.0/0"), Metric: 100, Hops: []host.Hop{{Interface: 2, Gateway: addr("192.0.2.1")}}},
			{Family: 4, Table: 254, Type: "unicast", Dst: prefix("10.0.0.0/8"), Hops: []host.Hop{{Interface: 2, Gateway: addr("192.0.2.9")}}},
		},
		Neighbours: []host.Neighbour{{Interface: 2, Addr: addr("192.0.2.1"), MAC: "00:00:0c:01:02:03", Vendor: "Cisco"}},
	}
	want := []host.Gateway{
		{Interface: 2, Name: "eth0", Addr: addr("192.0.2.1"), MAC: "00:00:0c:01:02:03", Vendor: "Cisco"},
		{Interface: 2, Name: "eth0", Addr: addr("192.0.2.2")},
		{Interface: 2, Name: "eth0", Addr: addr("fe80::1")},
	}
	if diff := cmp.Diff(want, s.Gateways(), comparable); diff != "" {
		t.Errorf("gateways (-want +got):\n%s", diff)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(write(f, sample()))
	f.Add(`{"schema": 1}`)
	f.Add(`{"schema": 2, "audited": true, "accounts": [{"name": "root"}]}`)
	f.Add(`{"schema": 3, "x": [`)
	f.Fuzz(func(t *testing.T, text string) {
		s, err := host.Read(strings.NewReader(text))
		if err != nil {
			return
		}
		// What was read is written, read again and the same.
		once := write(t, s)
		again, err := host.Read(strings.NewReader(once))
		if err != nil {
			t.Fatalf("cannot read what was written: %v\n%s", err, once)
		}
		if twice := write(t, again); twice != once {
			t.Errorf("not stable:\n%s", cmp.Diff(once, twice))
		}
		s.Facts()
	})
}
