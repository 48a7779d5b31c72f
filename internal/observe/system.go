package observe

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"strconv"
	"strings"

	"sekimori/internal/host"
	"sekimori/internal/observe/rootfs"
)

// readSystem reads the identity of the host.
func readSystem(f rootfs.FS) (host.System, []host.Unseen) {
	s := host.System{
		OS:       "linux",
		Hostname: f.Line("proc/sys/kernel/hostname"),
		Kernel:   f.Line("proc/sys/kernel/osrelease"),
		BootID:   f.Line("proc/sys/kernel/random/boot_id"),
	}
	if data, err := f.Proc("proc/stat"); err == nil {
		s.Started = bootTime(string(data))
	}
	s.MachineID, _ = f.Look("etc/machine-id")
	if s.Hostname == "" {
		if data, err := f.Read("etc/hostname", rootfs.Small); err == nil {
			s.Hostname = strings.TrimSpace(string(data))
		}
	}
	if ns, err := f.Source.ReadLink("proc/thread-self/ns/net"); err == nil {
		s.NetNS, _ = strconv.ParseUint(strings.Trim(strings.TrimPrefix(ns, "net:"), "[]"), 10, 64)
	}
	data, err := f.Read("etc/os-release", rootfs.Small)
	if err != nil {
		data, err = f.Read("usr/lib/os-release", rootfs.Small)
	}
	if err != nil {
		return s, []host.Unseen{{Section: host.SectionSystem, Reason: err.Error()}}
	}
	release := parseRelease(string(data))
	s.ID, s.VersionID, s.PrettyName = release["ID"], release["VERSION_ID"], release["PRETTY_NAME"]
	return s, nil
}

// release reads os-release(5), nothing where there is none.
func release(f rootfs.FS) map[string]string {
	data, err := f.Read("etc/os-release", rootfs.Small)
	if err != nil {
		data, _ = f.Read("usr/lib/os-release", rootfs.Small)
	}
	return parseRelease(string(data))
}

// parseRelease reads os-release(5): assignments with the quoting of a shell.
func parseRelease(text string) map[string]string {
	out := map[string]string{}
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok || strings.HasPrefix(key, "#") {
			continue
		}
		if len(value) >= 2 && (value[0] == '"' || value[0] == '\'') && value[len(value)-1] == value[0] {
			double := value[0] == '"'
			value = value[1 : len(value)-1]
			if double {
				value = strings.NewReplacer(`\"`, `"`, `\$`, `$`, `\\`, `\`, "\\`", "`").Replace(value)
			}
		}
		out[key] = value
	}
	return out
}

// sysctlNames are the kernel parameters that change what happens to packets,
// apart from those of each interface.
func sysctlNames() []string {
	return []string{
		"net/ipv4/ip_forward", "net/ipv4/ip_nonlocal_bind", "net/ipv4/ip_unprivileged_port_start", "net/ipv4/ip_local_port_range",
		"net/ipv4/icmp_echo_ignore_all", "net/ipv4/icmp_echo_ignore_broadcasts", "net/ipv4/tcp_syncookies",
		"net/ipv4/tcp_l3mdev_accept", "net/ipv4/udp_l3mdev_accept", "net/ipv4/raw_l3mdev_accept", "net/ipv4/tcp_fwmark_accept", "net/ipv4/fwmark_reflect",
		"net/ipv6/bindv6only", "net/ipv6/ip_nonlocal_bind", "net/ipv6/icmp/echo_ignore_all",
		"net/bridge/bridge-nf-call-iptables", "net/bridge/bridge-nf-call-ip6tables", "net/bridge/bridge-nf-call-arptables",
		"net/netfilter/nf_conntrack_tcp_loose", "net/netfilter/nf_conntrack_tcp_be_liberal", "net/netfilter/nf_conntrack_helper",
		"net/netfilter/nf_conntrack_max",
	}
}

// confName is a parameter below net/ipv4/conf/NAME or net/ipv6/conf/NAME, with
// its place in the array in which rtnetlink sends all of an interface
// (IPV4_DEVCONF_ of linux/ip.h less one, DEVCONF_ of linux/ipv6.h).
type confName struct {
	name  string
	index int
}

func confNames(family string) []confName {
	if family == "ipv4" {
		return []confName{
			{"forwarding", 0},
			{"proxy_arp", 2},
			{"accept_redirects", 3},
			{"secure_redirects", 4},
			{"send_redirects", 5},
			{"rp_filter", 7},
			{"accept_source_route", 8},
			{"log_martians", 10},
			{"arp_ignore", 18},
			{"accept_local", 22},
			{"src_valid_mark", 23},
			{"route_localnet", 25},
		}
	}
	return []confName{{"forwarding", 0}, {"accept_ra", 3}, {"accept_redirects", 4}, {"autoconf", 5}, {"accept_source_route", 24}, {"disable_ipv6", 26}}
}

// linkSysctls gives an interface's parameters as the kernel sent them with the
// interface, false where an array is missing or too short. Reading them from
// /proc instead costs a file each, seconds on a host of a thousand containers.
func linkSysctls(l link) (map[string]string, bool) {
	out := map[string]string{}
	for _, f := range []struct {
		family string
		conf   []byte
	}{{"ipv4", l.conf4}, {"ipv6", l.conf6}} {
		for _, c := range confNames(f.family) {
			if len(f.conf) < 4*(c.index+1) {
				return nil, false
			}
			out[sysctlName("net/"+f.family+"/conf/"+l.Name+"/"+c.name)] = strconv.Itoa(int(int32(u32(f.conf[4*c.index:]))))
		}
	}
	return out, true
}

// readSysctls reads the parameters that are there. Absent ones belong to parts
// of the kernel that are not; unreadable ones are reported. Those of links are
// taken from there.
func readSysctls(f rootfs.FS, links []link) (map[string]string, []host.Unseen) {
	out := map[string]string{}
	known := map[string]bool{}
	for _, l := range links {
		values, ok := linkSysctls(l)
		known[l.Name] = ok
		maps.Copy(out, values)
	}
	var unseen []host.Unseen
	get := func(path string) {
		data, err := f.Proc("proc/sys/" + path)
		switch {
		case err == nil:
			out[sysctlName(path)] = strings.TrimSpace(string(data))
		case !errors.Is(err, fs.ErrNotExist):
			unseen = append(unseen, host.Unseen{Section: host.SectionSysctls, Reason: err.Error()})
		}
	}
	for _, name := range sysctlNames() {
		get(name)
	}
	for _, family := range []string{"ipv4", "ipv6"} {
		dir := "net/" + family + "/conf"
		entries, err := f.Names("proc/sys/" + dir)
		if errors.Is(err, fs.ErrNotExist) && family == "ipv6" {
			continue // a kernel without IPv6
		}
		if err != nil {
			unseen = append(unseen, host.Unseen{Section: host.SectionSysctls, Reason: err.Error()})
			continue
		}
		for _, e := range entries {
			if known[e.Name()] {
				continue
			}
			for _, c := range confNames(family) {
				get(dir + "/" + e.Name() + "/" + c.name)
			}
		}
	}
	return out, unseen
}

// sysctlName writes a path below /proc/sys in the manner of sysctl(8): slashes
// become dots, and dots (in the name of a VLAN interface) slashes.
func sysctlName(path string) string {
	return strings.Map(func(r rune) rune {
		switch r {
		case '/':
			return '.'
		case '.':
			return '/'
		}
		return r
	}, path)
}

// readConntrack says whether connections are tracked.
func readConntrack(f rootfs.FS) host.Conntrack {
	c := host.Conntrack{Count: -1, Max: -1}
	number := func(name string) int {
		n, err := strconv.Atoi(f.Line("proc/sys/net/netfilter/" + name))
		if err != nil {
			return -1
		}
		return n
	}
	c.Available = f.Exists("proc/sys/net/netfilter/nf_conntrack_max")
	if c.Available {
		c.Count, c.Max = number("nf_conntrack_count"), number("nf_conntrack_max")
	}
	return c
}

// interfaceForwarding fills in what the sysctls say about each interface.
func interfaceForwarding(s *host.Snapshot) {
	for i := range s.Interfaces {
		name := sysctlName(s.Interfaces[i].Name)
		s.Interfaces[i].Forwarding4 = on(s.Sysctls[fmt.Sprintf("net.ipv4.conf.%s.forwarding", name)])
		s.Interfaces[i].Forwarding6 = on(s.Sysctls[fmt.Sprintf("net.ipv6.conf.%s.forwarding", name)])
	}
}

func on(value string) bool { return value != "" && value != "0" }
