package main

import (
	"context"
	"io/fs"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"sekimori/internal/plan"
	"sekimori/internal/run"
)

// maxFlows bounds how many connections are listed.
const maxFlows = 1 << 16

// openFlows are the connections that the kernel tracks, those through this host
// among them: from /proc where the kernel has that, else from conntrack(8). False
// where neither tells.
func openFlows(ctx context.Context, root fs.FS) ([]plan.Flow, bool) {
	text, err := fs.ReadFile(root, "proc/thread-self/net/nf_conntrack")
	if err != nil {
		if !run.Installed("conntrack") || os.Geteuid() != 0 {
			return nil, false
		}
		if text, err = (run.Command{Argv: []string{"conntrack", "-L", "-o", "extended"}}).Output(ctx); err != nil {
			return nil, false
		}
	}
	return parseFlows(string(text)), true
}

// parseFlows reads lines such as
//
//	ipv4     2 udp      17 29 src=10.0.0.9 dst=192.0.2.9 sport=4242 dport=1900 [UNREPLIED] src=…
//
// of which the first of each field is what the sender wrote.
func parseFlows(text string) []plan.Flow {
	var out []plan.Flow
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 5 || len(out) == maxFlows {
			continue
		}
		flow := plan.Flow{Proto: f[2]}
		addr := map[string]netip.Addr{}
		port := map[string]uint16{}
		for _, word := range f[4:] {
			name, value, ok := strings.Cut(word, "=")
			if !ok {
				continue
			}
			if a, err := netip.ParseAddr(value); err == nil && !addr[name].IsValid() {
				addr[name] = a
			}
			if n, err := strconv.ParseUint(value, 10, 16); err == nil {
				if _, have := port[name]; !have {
					port[name] = uint16(n)
				}
			}
		}
		flow.Src = netip.AddrPortFrom(addr["src"], port["sport"])
		flow.Dst = netip.AddrPortFrom(addr["dst"], port["dport"])
		if flow.Src.Addr().IsValid() && flow.Dst.Addr().IsValid() {
			out = append(out, flow)
		}
	}
	return out
}
