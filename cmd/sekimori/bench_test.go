//go:build linux

package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"sekimori/internal/lab"
)

// BenchmarkPorts is `sekimori ports` as a whole process, on a host with 500
// listeners behind 1,000 rules, and on one as small as a new VPS. The figures to
// reach are 300 ms and 80 MB, and 100 ms.
func BenchmarkPorts(b *testing.B) {
	for _, size := range []struct {
		name             string
		listeners, rules int
	}{{"small", 5, 20}, {"large", 500, 1000}} {
		b.Run(size.name, func(b *testing.B) {
			if !lab.Inside() {
				lab.Unavailable(b, "not in a lab")
			}
			busyHost(b, size.listeners, size.rules)
			var peak int64
			var cpu time.Duration
			for b.Loop() {
				cmd := exec.Command("/proc/self/exe", "ports")
				cmd.Args[0] = "sekimori"
				cmd.Stderr = os.Stderr
				out, err := cmd.Output()
				if err != nil {
					b.Fatal(err)
				}
				if n := strings.Count(string(out), "/tcp"); n < size.listeners {
					b.Fatalf("%d sockets listed:\n%s", n, out)
				}
				cpu += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
				peak = max(peak, cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)
			}
			b.ReportMetric(float64(peak)/1024, "MB-peak")
			b.ReportMetric(float64(cpu.Milliseconds())/float64(b.N), "cpu-ms/op")
		})
	}
}

// busyHost makes a link, listeners, and a default drop with that many rules for
// single ports and sources.
func busyHost(b *testing.B, listeners, rules int) {
	lab.Run(b, "nft", "flush", "ruleset")
	if _, err := net.InterfaceByName("wan0"); err != nil {
		lab.Veth(b, "wan0", "wan1", "")
		lab.Address(b, "wan0", "203.0.113.5/24")
	}
	for i := range listeners {
		l, err := net.Listen("tcp", fmt.Sprintf(":%d", 20000+i))
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { l.Close() })
	}
	lab.LoadNFT(b, "table inet filter { chain input { type filter hook input priority 0; policy drop; ct state established,related accept; }; }")
	for from := 0; from < rules; from += atOnce {
		var text strings.Builder
		for i := from; i < min(from+atOnce, rules); i++ {
			fmt.Fprintf(&text, "add rule inet filter input ip saddr 10.%d.%d.0/24 tcp dport %d accept\n", i%200, i%7, 20000+i)
		}
		lab.LoadNFT(b, text.String())
	}
}

// atOnce is the number of rules in one transaction: root of a user namespace may
// not raise the size of a netlink message.
const atOnce = 200
