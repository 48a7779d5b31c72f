package observe_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"sekimori/internal/firewall/kernel"
	"sekimori/internal/host"
	"sekimori/internal/lab"
	"sekimori/internal/observe"
)

// Types of nf_tables messages (linux/netfilter/nf_tables.h).
const (
	newTable, newChain, newRule, newSet, newSetElem, newObj = 0, 3, 6, 9, 12, 18
)

func count(d kernel.Dump, typ uint8) int {
	n := 0
	for _, m := range d.Messages {
		if m.Type == typ {
			n++
		}
	}
	return n
}

// only fails unless nothing is unread but BPF programs, which ask for root
// outside of a user namespace.
func only(t *testing.T, d kernel.Dump, what ...string) {
	t.Helper()
	for _, u := range d.Unread {
		if !slices.Contains(what, u.What) {
			t.Errorf("unread: %+v", u)
		}
	}
}

// TestRulesetAsNFT counts what nft(8) lists of a ruleset with each family and
// thousands of elements.
func TestRulesetAsNFT(t *testing.T) {
	lab.Enter(t, func(t *testing.T) {
		// In pieces: a user namespace may not send a batch beyond net.core.wmem_max.
		lab.LoadNFT(t, `table inet big {
			set s { type ipv4_addr; flags interval; }
			set t { type inet_service; }
			counter c { }
			quota q { over 5 mbytes }
			chain input { type filter hook input priority filter; policy drop; }
		}
		`)
		for i := 0; i < 20_000; i += 1000 {
			var b strings.Builder
			for j := range 1000 {
				fmt.Fprintf(&b, "10.%d.%d.0/31,", (i+j)/256, (i+j)%256)
			}
			lab.LoadNFT(t, "add element inet big s { "+b.String()+" }\n")
		}
		for i := 0; i < 3000; i += 250 {
			var b strings.Builder
			for j := range 250 {
				fmt.Fprintf(&b, "add rule inet big input tcp dport %d ip saddr { 192.0.2.%d, 198.51.100.0/24 } counter accept comment \"rule %d\"\n", i+j+1, j, i+j)
			}
			lab.LoadNFT(t, b.String())
		}
		var b strings.Builder
		b.WriteString("add rule inet big input ip saddr @s drop\n")
		for _, family := range []string{"ip", "ip6", "arp", "bridge"} {
			fmt.Fprintf(&b, "table %s other { chain c { type filter hook input priority 0; counter; }; }\n", family)
		}
		b.WriteString("table netdev dev { chain in { type filter hook ingress device \"lo\" priority 0; counter; }; }\n")
		lab.LoadNFT(t, b.String())
		d := live(t).Filters
		only(t, d, "bpf")
		if d.Generation == 0 {
			t.Error("no generation")
		}
		list := lab.Run(t, "nft", "-a", "list", "ruleset")
		want := map[string]int{"table": 0, "chain": 0, "set": 0, "rule": 0}
		for line := range strings.Lines(list) {
			word := strings.Fields(line + " x")[0]
			switch {
			case !strings.Contains(line, "# handle "):
			case word == "table" || word == "chain" || word == "set":
				want[word]++
			case word == "counter" && strings.Contains(line, "{"), word == "quota" && strings.Contains(line, "{"):
				want["object"]++
			default:
				want["rule"]++
			}
		}
		want["set"] += 3000 // the anonymous ones, which nft lists within rules
		got := map[string]int{
			"table": count(d, newTable), "chain": count(d, newChain), "set": count(d, newSet), "rule": count(d, newRule), "object": count(d, newObj),
		}
		for k, n := range want {
			if got[k] != n {
				t.Errorf("%d %ss, nft lists %d", got[k], k, n)
			}
		}
		if want["rule"] != 3006 {
			t.Errorf("nft lists %d rules, loaded were 3006", want["rule"])
		}
		// An interval is two elements, or one more for the gap at the beginning.
		if n := elements(t, d, "s"); n < 40_000 || n > 40_001 {
			t.Errorf("%d elements of set s, expected 40,000 ends of intervals", n)
		}
	})
}

// elements counts the elements of a named set over all messages.
func elements(t *testing.T, d kernel.Dump, set string) int {
	t.Helper()
	n := 0
	for _, m := range d.Messages {
		if m.Type != newSetElem || !bytes.Contains(m.Data, append([]byte(set), 0)) {
			continue
		}
		for b := m.Data; len(b) >= 4; {
			size := int(binary.NativeEndian.Uint16(b))
			if binary.NativeEndian.Uint16(b[2:])&0x3fff == 3 { // NFTA_SET_ELEM_LIST_ELEMENTS
				for e := b[4:size]; len(e) >= 4; {
					l := int(binary.NativeEndian.Uint16(e))
					n++
					e = e[min((l+3)&^3, len(e)):]
				}
			}
			b = b[min((size+3)&^3, len(b)):]
		}
	}
	return n
}

// TestConsistent reads while the ruleset is replaced over and over: each dump
// is one ruleset or none, never parts of two. A ruleset is longer than what the
// kernel gives at once, and bears its number in each chain and rule.
func TestConsistent(t *testing.T) {
	lab.Enter(t, func(t *testing.T) {
		text := func(n int) string {
			var b strings.Builder
			fmt.Fprintf(&b, "table inet t { }\ndelete table inet t\ntable inet t {\nchain c%d { type filter hook input priority 0;\n", n)
			for range 300 {
				fmt.Fprintf(&b, "tcp dport %d counter drop comment \"n%d\"\n", n, n)
			}
			b.WriteString("}\n}\n")
			return b.String()
		}
		lab.LoadNFT(t, text(1))
		stop := make(chan bool)
		done := make(chan error, 1)
		go func() {
			for n := 2; ; n++ {
				select {
				case <-stop:
					done <- nil
					return
				default:
				}
				if _, err := lab.Try(t, text(n), "nft", "-f", "-"); err != nil {
					done <- err
					return
				}
			}
		}()
		whole := 0
		for range 250 {
			d := observe.Filters(t.Context())
			if len(d.Messages) == 0 {
				if !slices.ContainsFunc(d.Unread, func(u kernel.Unread) bool { return u.What == "nf_tables" }) {
					t.Error("nothing read, and not said to be unread")
				}
				continue
			}
			whole++
			numbers := map[string]int{}
			for _, m := range d.Messages {
				switch m.Type {
				case newChain:
					numbers[numberIn(m.Data, "c")]++
				case newRule:
					numbers[numberIn(m.Data, "n")]++
				}
			}
			if len(numbers) != 1 || count(d, newRule) != 300 {
				t.Errorf("parts of several rulesets: %v", numbers)
			}
		}
		close(stop)
		if err := <-done; err != nil {
			t.Error(err)
		}
		if whole == 0 {
			t.Error("no ruleset was ever read")
		}
		t.Logf("%d of 250 read", whole)
	})
}

// numberIn finds the digits behind a letter, up to a NUL byte.
func numberIn(data []byte, letter string) string {
	m := regexp.MustCompile(letter + `(\d+)\x00`).FindSubmatch(data)
	if m == nil {
		return "none"
	}
	return string(m[1])
}

func TestLegacyTables(t *testing.T) {
	lab.Enter(t, func(t *testing.T) {
		before := live(t).Filters
		if len(before.Tables) > 0 {
			t.Fatalf("tables in a new namespace: %+v", before.Tables)
		}
		// Looking must not have registered any.
		for _, name := range []string{"ip_tables_names", "ip6_tables_names", "arp_tables_names"} {
			if data, err := os.ReadFile("/proc/net/" + name); err != nil || len(data) > 0 {
				t.Errorf("%s: %q %v", name, data, err)
			}
		}
		lab.LoadIPTables(t, "iptables-legacy-restore", "*filter\n-A INPUT -p tcp --dport 22 -j ACCEPT\n-A INPUT -j DROP\nCOMMIT\n*raw\n-A PREROUTING -j NOTRACK\nCOMMIT\n")
		lab.LoadIPTables(t, "ip6tables-legacy-restore", "*filter\n-A INPUT -s 2001:db8::/32 -j DROP\nCOMMIT\n")
		d := live(t).Filters
		only(t, d, "bpf")
		var got []string
		for _, table := range d.Tables {
			got = append(got, fmt.Sprintf("%d %s hooks %#x", table.Family, table.Name, table.ValidHooks))
			if n := legacyEntries(table); n < 2 {
				t.Errorf("%s: %d entries in %d bytes", table.Name, n, len(table.Entries))
			}
		}
		slices.Sort(got)
		want := []string{"10 filter hooks 0xe", "2 filter hooks 0xe", "2 raw hooks 0x9"}
		if !slices.Equal(got, want) {
			t.Errorf("tables %v, want %v", got, want)
		}
		i := slices.IndexFunc(d.Tables, func(x kernel.LegacyTable) bool { return x.Family == 2 && x.Name == "filter" })
		// Two rules, three policies and the error entry at the end.
		if n := legacyEntries(d.Tables[i]); n != 6 {
			t.Errorf("%d entries, expected 6", n)
		}
		if f := d.Tables[i]; f.HookEntry[2] <= f.Underflow[1] || f.Underflow[1] <= f.HookEntry[1] {
			t.Errorf("offsets: %+v %+v", f.HookEntry, f.Underflow)
		}
	})
}

// legacyEntries counts by each entry's next_offset: struct ipt_entry has it at
// 90, struct ip6t_entry at 142.
func legacyEntries(table kernel.LegacyTable) int {
	at := 90
	if table.Family == 10 {
		at = 142
	}
	n := 0
	for b := table.Entries; len(b) > at+2; n++ {
		next := int(binary.NativeEndian.Uint16(b[at:]))
		if next == 0 || next > len(b) {
			return -1
		}
		b = b[next:]
	}
	return n
}

func TestIPSets(t *testing.T) {
	lab.Enter(t, func(t *testing.T) {
		lab.Need(t, "ipset")
		var b strings.Builder
		b.WriteString("create bad hash:ip maxelem 100000\ncreate ports bitmap:port range 1-1000\ncreate nets6 hash:net family inet6\n")
		for i := range 20_000 {
			fmt.Fprintf(&b, "add bad 10.1.%d.%d\n", i/250, i%250+1)
		}
		b.WriteString("add ports 22\nadd nets6 2001:db8::/32\n")
		lab.RunInput(t, b.String(), "ipset", "restore")
		d := live(t).Filters
		only(t, d, "bpf")
		names := map[string]bool{}
		members := 0
		for _, m := range d.IPSets {
			for b := m.Data; len(b) >= 4; {
				size := int(binary.NativeEndian.Uint16(b))
				switch binary.NativeEndian.Uint16(b[2:]) & 0x3fff {
				case 2: // IPSET_ATTR_SETNAME
					names[string(bytes.TrimRight(b[4:size], "\x00"))] = true
				case 8: // IPSET_ATTR_ADT
					for e := b[4:size]; len(e) >= 4; members++ {
						e = e[min((int(binary.NativeEndian.Uint16(e))+3)&^3, len(e)):]
					}
				}
				b = b[min((size+3)&^3, len(b)):]
			}
		}
		if !names["bad"] || !names["ports"] || !names["nets6"] || members != 20_002 {
			t.Errorf("sets %v with %d members, expected 3 with 20,002", names, members)
		}
	})
}

func TestNoIPSets(t *testing.T) {
	lab.Enter(t, func(t *testing.T) {
		d := live(t).Filters
		only(t, d, "bpf")
		if len(d.IPSets) > 0 || len(d.Messages) > 0 || len(d.Programs) > 0 {
			t.Errorf("a new namespace has %d sets, %d messages, programs %v", len(d.IPSets), len(d.Messages), d.Programs)
		}
	})
}

func TestClassifiers(t *testing.T) {
	lab.Enter(t, func(t *testing.T) {
		lab.Need(t, "tc")
		lab.Veth(t, "v0", "v1", "")
		lab.Run(t, "tc", "qdisc", "add", "dev", "v0", "clsact")
		lab.Run(t, "tc", "qdisc", "add", "dev", "v1", "ingress")
		if d := live(t).Filters; len(d.Programs) > 0 {
			t.Errorf("a qdisc alone judges nothing: %+v", d.Programs)
		}
		lab.Run(t, "tc", "filter", "add", "dev", "v0", "ingress", "protocol", "ip", "u32", "match", "ip", "dport", "22", "0xffff", "classid", "1:1")
		lab.Run(t, "tc", "filter", "add", "dev", "v0", "egress", "bpf", "bytecode", "1,6 0 0 4294967295", "flowid", "1:1")
		lab.Run(t, "tc", "filter", "add", "dev", "v1", "parent", "ffff:", "bpf", "bytecode", "1,6 0 0 0", "flowid", "1:1")
		d := live(t).Filters
		only(t, d, "bpf")
		var got []string
		for _, p := range d.Programs {
			got = append(got, fmt.Sprintf("%s %s %s %s %v", p.Kind, p.Interface, p.Attach, strings.Fields(p.Name)[0], p.CanDrop))
		}
		slices.Sort(got)
		want := []string{"tc v0 egress bpf false", "tc v0 ingress u32 true", "tc v1 ingress bpf true"}
		if !slices.Equal(got, want) {
			t.Errorf("programs %v, want %v", got, want)
		}
	})
}

// Numbers of linux/bpf.h.
const (
	progXDP, progCgroupSKB, progSchedCLS, progFlowDissector, progSkLookup, progNetfilter = 6, 8, 3, 22, 30, 32
)

// loadProgram loads a BPF program that returns 1.
func loadProgram(t *testing.T, typ, expected uint32) int {
	t.Helper()
	// r0 = 1; exit
	insns := []uint64{0x00000001_0000_00b7, 0x00000000_0000_0095}
	license := []byte("GPL\x00")
	attr := struct {
		typ, count          uint32
		insns, license      unsafe.Pointer
		level, size         uint32
		log                 uint64
		version, flags      uint32
		name                [16]byte
		ifindex, attachType uint32
	}{typ: typ, count: uint32(len(insns)), insns: unsafe.Pointer(&insns[0]), license: unsafe.Pointer(&license[0]), attachType: expected}
	copy(attr.name[:], "observed")
	fd, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_PROG_LOAD, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	if errno != 0 {
		lab.Unavailable(t, fmt.Sprintf("the kernel does not load a BPF program of type %d: %v", typ, errno))
	}
	t.Cleanup(func() { unix.Close(int(fd)) })
	return int(fd)
}

// linkProgram attaches a program by a link, which goes with the test. extra
// follows the first four members of bpf_attr.link_create.
func linkProgram(t *testing.T, prog int, target uint32, attach uint32, extra ...uint32) {
	t.Helper()
	attr := append([]uint32{uint32(prog), target, attach, 0}, extra...)
	fd, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_LINK_CREATE, uintptr(unsafe.Pointer(&attr[0])), uintptr(4*len(attr)))
	if errno != 0 {
		t.Fatalf("attach %d: %v", attach, errno)
	}
	t.Cleanup(func() { unix.Close(int(fd)) })
}

func TestPrograms(t *testing.T) {
	lab.EnterRoot(t, func(t *testing.T) {
		lab.Veth(t, "v0", "v1", "")
		s := live(t)
		only(t, s.Filters)
		if len(s.Filters.Programs) > 0 {
			t.Fatalf("programs before: %+v", s.Filters.Programs)
		}
		index := uint32(s.Interfaces[slices.IndexFunc(s.Interfaces, func(i host.Interface) bool { return i.Name == "v0" })].Index)
		ns, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			t.Fatal(err)
		}
		defer ns.Close()
		linkProgram(t, loadProgram(t, progXDP, unix.BPF_XDP), index, unix.BPF_XDP)
		linkProgram(t, loadProgram(t, progSchedCLS, unix.BPF_TCX_INGRESS), index, unix.BPF_TCX_INGRESS)
		linkProgram(t, loadProgram(t, progSchedCLS, unix.BPF_TCX_EGRESS), index, unix.BPF_TCX_EGRESS)
		linkProgram(t, loadProgram(t, progSkLookup, unix.BPF_SK_LOOKUP), uint32(ns.Fd()), unix.BPF_SK_LOOKUP)
		// bpf_attr.link_create.netfilter: pf, hook number, priority, flags.
		linkProgram(t, loadProgram(t, progNetfilter, unix.BPF_NETFILTER), 0, unix.BPF_NETFILTER, 2, 1, 0xfffffff6, 0)
		got := programs(t)
		for _, want := range []string{
			"xdp v0 ingress observed true", "tcx v0 ingress observed true", "tcx v0 egress observed false",
			"sk-lookup  network namespace observed true", "netfilter  ip input priority -10 observed true",
		} {
			if !slices.Contains(got, want) {
				t.Errorf("%q is not among %q", want, got)
			}
		}
		if len(got) != 5 {
			t.Errorf("%d programs: %q", len(got), got)
		}
	})
}

func programs(t *testing.T) []string {
	t.Helper()
	var got []string
	d := live(t).Filters
	only(t, d)
	for _, p := range d.Programs {
		if p.ID == 0 {
			t.Errorf("no id: %+v", p)
		}
		got = append(got, fmt.Sprintf("%s %s %s %s %v", p.Kind, p.Interface, p.Attach, p.Name, p.CanDrop))
	}
	return got
}

// TestCgroupPrograms attaches to a cgroup of its own, which no process is in.
func TestCgroupPrograms(t *testing.T) {
	lab.EnterRoot(t, func(t *testing.T) {
		root := "/sys/fs/cgroup"
		if _, err := os.Stat(filepath.Join(root, "cgroup.procs")); err != nil {
			root = filepath.Join(root, "unified")
		}
		dir := filepath.Join(root, fmt.Sprintf("observe-test-%d", os.Getpid()))
		if err := os.Mkdir(dir, 0o755); err != nil {
			lab.Unavailable(t, "no cgroup can be made: "+err.Error())
		}
		t.Cleanup(func() {
			if err := os.Remove(dir); err != nil {
				t.Error(err)
			}
		})
		group, err := os.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer group.Close()
		linkProgram(t, loadProgram(t, progCgroupSKB, unix.BPF_CGROUP_INET_INGRESS), uint32(group.Fd()), unix.BPF_CGROUP_INET_INGRESS)
		got := programs(t)
		want := "cgroup-skb  ingress /" + filepath.Base(dir) + " observed true"
		if !slices.Contains(got, want) {
			t.Errorf("%q is not among %q", want, got)
		}
	})
}
