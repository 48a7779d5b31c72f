package plan

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sekimori/internal/host"
	"sekimori/policy"
)

// TestEdge: what a block would hit, at either end, and what it would not.
func TestEdge(t *testing.T) {
	s := router()
	listener(s, "udp", "0.0.0.0:1900", "minissdpd")
	listener(s, "udp", "127.0.0.1:1900", "local")
	listener(s, "tcp", "0.0.0.0:1900", "other")
	listener(s, "udp", "0.0.0.0:5353", "avahi")
	s.Outbound = []host.Outbound{{Proto: "udp", Port: 1900, Connections: 9, Peers: 9}, {Proto: "udp", Port: 53, Connections: 1, Peers: 1}, {Proto: "udp", Port: 1900, Local: true}}
	flow := func(proto, src, dst string) Flow {
		return Flow{proto, netip.MustParseAddrPort(src), netip.MustParseAddrPort(dst)}
	}
	flows := []Flow{
		flow("udp", "10.0.0.9:1900", "192.0.2.9:40000"), // from the port
		flow("udp", "10.0.0.8:40000", "192.0.2.9:1900"), // to the port
		flow("tcp", "10.0.0.7:40000", "192.0.2.9:1900"),
		flow("udp", "10.0.0.6:40000", "192.0.2.9:1901"),
		flow("udp", "10.0.0.5:5353", "224.0.0.251:5353"),
	}
	e := &policy.Edge{Interface: []policy.Interface{"on"}, Block: []policy.Blocked{"1900/udp", "broadcast"}}
	got := Edge(s, e, flows)
	var listeners, seen []string
	for _, h := range got.Listeners {
		listeners = append(listeners, fmt.Sprintf("%d/%s %s by %s", h.Port, h.Proto, h.Process, h.Entry))
	}
	for _, h := range got.Flows {
		seen = append(seen, fmt.Sprintf("%d/%s %s by %s", h.Port, h.Proto, h.Peer, h.Entry))
	}
	want := []string{"1900/udp minissdpd by 1900/udp", "112/raw keepalived by broadcast", "1900/udp minissdpd by broadcast", "5353/udp avahi by broadcast"}
	if d := cmp.Diff(want, listeners); d != "" {
		t.Error(d)
	}
	wantFlows := []string{"1900/udp  by 1900/udp", "1900/udp 10.0.0.9:1900 by 1900/udp", "1900/udp 10.0.0.8:40000 by 1900/udp", "5353/udp 10.0.0.5:5353 by broadcast"}
	if d := cmp.Diff(wantFlows, seen); d != "" {
		t.Error(d)
	}
	if got.Scope != "outside" || !slices.Equal(got.Neighbours, []string{"ppp0", "eth1", "eth2", "wg0"}) {
		t.Errorf("scope %s, neighbours %v", got.Scope, got.Neighbours)
	}
}
