package host

import (
	"net/netip"
	"time"

	"sekimori/internal/firewall/kernel"
)

// Schema is the version of the snapshot's JSON that this program writes.
const Schema = 2

// Snapshot is everything observed about one host at one moment.
type Snapshot struct {
	// Schema is [Schema] in a snapshot of this program.
	Schema int `json:"schema"`
	// Time is when observation began, in UTC.
	Time time.Time `json:"time"`
	// EUID is the effective user id that observed; -1 where files of another
	// root were read instead of a live host.
	EUID int `json:"euid"`
	// Observer is the pid of the program that observed, 0 where that is no process
	// of the host.
	Observer int    `json:"observer,omitempty"`
	System   System `json:"system"`

	Interfaces []Interface `json:"interfaces,omitempty"`
	Routes     []Route     `json:"routes,omitempty"`
	Rules      []RouteRule `json:"rules,omitempty"`
	Neighbours []Neighbour `json:"neighbours,omitempty"`
	// Sysctls holds the kernel parameters that matter to packets, and where Audited
	// those that an audit asks for, by name ("net.ipv4.ip_forward"); a dot in an interface's name is written as "/",
	// as in sysctl(8).
	Sysctls map[string]string `json:"sysctls,omitempty"`

	Sockets       []Socket       `json:"sockets,omitempty"`
	PacketSockets []PacketSocket `json:"packet_sockets,omitempty"`
	// Processes are those that own one of the sockets, by rising pid; where Audited,
	// all but the kernel's own threads.
	Processes  []Process   `json:"processes,omitempty"`
	Containers []Container `json:"containers,omitempty"`

	Conntrack Conntrack `json:"conntrack"`
	// Filters are the packet filters as the kernel hands them out.
	Filters kernel.Dump `json:"filters"`
	// Audited is true where what follows was looked at as well, and not only what
	// reachability needs. Where it is false, all of that is unknown: [Snapshot.Misses].
	Audited  bool       `json:"audited,omitempty"`
	Accounts []Account  `json:"accounts,omitempty"`
	Groups   []Group    `json:"groups,omitempty"`
	Logins   LoginRules `json:"logins,omitzero"`
	SSH      SSH        `json:"ssh,omitzero"`
	Sudo     Sudo       `json:"sudo,omitzero"`
	Units    []Unit     `json:"units,omitempty"`
	Startup  Startup    `json:"startup,omitzero"`
	// Packages are all that are installed, by name.
	Packages []Package `json:"packages,omitempty"`
	Updates  Updates   `json:"updates,omitzero"`
	// Settings are the kernel parameters that files set at boot, in the order in
	// which they apply; Sysctls has what holds now.
	Settings     []KernelSetting `json:"settings,omitempty"`
	Kernel       KernelState     `json:"kernel,omitzero"`
	Mounts       []Mount         `json:"mounts,omitempty"`
	Logging      Logging         `json:"logging,omitzero"`
	Clock        Clock           `json:"clock,omitzero"`
	Web          []WebServer     `json:"web,omitempty"`
	Certificates []Certificate   `json:"certificates,omitempty"`
	Integrity    Integrity       `json:"integrity,omitzero"`
	// Outbound and Inbound are the connections that are open.
	Outbound []Outbound `json:"outbound,omitempty"`
	Inbound  []Inbound  `json:"inbound,omitempty"`
	Provider Provider   `json:"provider,omitzero"`
	// SavedRules are the files from which packet filter rules are loaded at boot:
	// nftables.conf, rules.v4 and rules.v6 and their like.
	SavedRules []TextFile `json:"saved_rules,omitempty"`
	// Asked is what services answered over loopback, where that was asked for.
	Asked Asked `json:"asked,omitzero"`

	// Unseen names what could not be read; see the package comment.
	Unseen []Unseen `json:"unseen,omitempty"`
}

// The sections of a snapshot, as named in [Unseen].
const (
	SectionSystem     = "system"
	SectionInterfaces = "interfaces"
	SectionRoutes     = "routes"
	SectionNeighbours = "neighbours"
	SectionSysctls    = "sysctls"
	SectionSockets    = "sockets"
	SectionProcesses  = "processes"
	SectionPackages   = "packages"
	SectionContainers = "containers"
	SectionConntrack  = "conntrack"
	SectionFilters    = "filters"

	// Those from here on are looked at for an audit alone.
	SectionAccounts    = "accounts"
	SectionSSH         = "ssh"
	SectionSudo        = "sudo"
	SectionUnits       = "units"
	SectionStartup     = "startup"
	SectionUpdates     = "updates"
	SectionSettings    = "settings"
	SectionKernel      = "kernel"
	SectionMounts      = "mounts"
	SectionLogging     = "logging"
	SectionClock       = "clock"
	SectionWeb         = "web"
	SectionIntegrity   = "integrity"
	SectionConnections = "connections"
	// SectionPrograms are the processes that own no socket.
	SectionPrograms = "programs"
	SectionProvider = "provider"
)

// auditSections are those that only an audit looks at.
func auditSections() []string {
	return []string{
		SectionAccounts, SectionSSH, SectionSudo, SectionUnits, SectionStartup, SectionUpdates, SectionSettings, SectionKernel,
		SectionMounts, SectionLogging, SectionClock, SectionWeb, SectionIntegrity, SectionConnections, SectionPrograms, SectionProvider,
	}
}

// Unseen is one thing that could not be read.
type Unseen struct {
	// Section is the part of the snapshot that is incomplete because of it.
	Section string `json:"section"`
	// Reason says what, and why, for people.
	Reason string `json:"reason"`
}

// System is the identity of the host.
type System struct {
	Hostname string `json:"hostname,omitempty"`
	// OS is "linux", from whatever system the snapshot was taken.
	OS string `json:"os"`
	// ID, VersionID and PrettyName are those of os-release(5).
	ID         string `json:"id,omitempty"`
	VersionID  string `json:"version_id,omitempty"`
	PrettyName string `json:"pretty_name,omitempty"`
	// Kernel is the kernel's release, as uname -r prints it.
	Kernel string `json:"kernel,omitempty"`
	// Started is when the host was booted; zero where it is not known.
	Started time.Time `json:"started,omitzero"`
	// MachineID is the file /etc/machine-id, as stat(2) sees it: when the host was
	// first set up. Its content does not enter.
	MachineID File `json:"machine_id,omitzero"`
	// BootID is /proc/sys/kernel/random/boot_id.
	BootID string `json:"boot_id,omitempty"`
	// NetNS is the inode of the network namespace that was observed.
	NetNS uint64 `json:"net_ns,omitempty"`
}

// Interface is one network interface.
type Interface struct {
	Index int    `json:"index"`
	Name  string `json:"name"`
	// Kind is rtnetlink's IFLA_INFO_KIND: veth, bridge, vlan, wireguard, tun, …;
	// "" for hardware and loopback.
	Kind string `json:"kind,omitempty"`
	// Link is the link layer: ether, loopback, none, or arphrd NUMBER.
	Link string `json:"link,omitempty"`
	// Up is IFF_UP; Loopback is IFF_LOOPBACK; Running is IFF_RUNNING (a carrier).
	Up       bool `json:"up,omitempty"`
	Running  bool `json:"running,omitempty"`
	Loopback bool `json:"loopback,omitempty"`
	MTU      int  `json:"mtu,omitempty"`
	// MAC is the hardware address as aa:bb:cc:dd:ee:ff, Vendor its registered owner.
	MAC    string `json:"mac,omitempty"`
	Vendor string `json:"vendor,omitempty"`
	// Master is the index of the bridge, bond, team or VRF it belongs to, 0 for none.
	Master int `json:"master,omitempty"`
	// Peer is IFLA_LINK: the lower device of a vlan or macvlan, the other end
	// of a veth. Where PeerElsewhere is true that index is one of another
	// network namespace.
	Peer          int       `json:"peer,omitempty"`
	PeerElsewhere bool      `json:"peer_elsewhere,omitempty"`
	Addresses     []Address `json:"addresses,omitempty"`
	// Forwarding4 and Forwarding6 are conf/NAME/forwarding of each family.
	Forwarding4 bool `json:"forwarding4,omitempty"`
	Forwarding6 bool `json:"forwarding6,omitempty"`
}

// Address is an address of an interface.
type Address struct {
	// Prefix is the address itself with the length of its subnet.
	Prefix netip.Prefix `json:"prefix"`
	// Peer is the address at the other end of a point-to-point link.
	Peer netip.Addr `json:"peer,omitzero"`
	// Scope is global, site, link, host, nowhere or a number.
	Scope string `json:"scope"`
	// Flags are secondary, temporary, tentative, dadfailed, deprecated, dynamic,
	// as far as they are set.
	Flags []string `json:"flags,omitempty"`
}

// Route is one route of one table.
type Route struct {
	// Family is 4 or 6.
	Family int `json:"family"`
	// Table is the number of the table: 254 main, 255 local, 253 default.
	Table uint32 `json:"table"`
	// Type is unicast, local, broadcast, anycast, multicast, blackhole,
	// unreachable, prohibit, throw, nat or a number.
	Type string       `json:"type"`
	Dst  netip.Prefix `json:"dst"`
	// Src is set on an IPv6 source-specific route.
	Src netip.Prefix `json:"src,omitzero"`
	// Hops are the ways it leaves by: one, or several of a multipath route;
	// none where it refuses.
	Hops []Hop `json:"hops,omitempty"`
	// PrefSrc is the source address that local packets get.
	PrefSrc netip.Addr `json:"prefsrc,omitzero"`
	Metric  uint32     `json:"metric,omitempty"`
	TOS     uint8      `json:"tos,omitempty"`
	// Scope is as in [Address]; Protocol is who made it (RTPROT_, rtnetlink(7)).
	Scope    string `json:"scope,omitempty"`
	Protocol uint8  `json:"protocol,omitempty"`
}

// Hop is a next hop of a route.
type Hop struct {
	// Interface is the index of the interface.
	Interface int        `json:"interface,omitempty"`
	Gateway   netip.Addr `json:"gateway,omitzero"`
	Weight    int        `json:"weight,omitempty"`
	// Down is true where the kernel marks it dead or without carrier.
	Down bool `json:"down,omitempty"`
}

// RouteRule is one rule of policy routing (ip rule).
type RouteRule struct {
	// Family is 4 or 6.
	Family   int    `json:"family"`
	Priority uint32 `json:"priority"`
	// Action is lookup, goto, nop, blackhole, unreachable, prohibit or a number.
	Action string `json:"action"`
	// Table is the table looked up; Goto the priority gone to.
	Table  uint32       `json:"table,omitempty"`
	Goto   uint32       `json:"goto,omitempty"`
	Invert bool         `json:"invert,omitempty"`
	Src    netip.Prefix `json:"src,omitzero"`
	Dst    netip.Prefix `json:"dst,omitzero"`
	IIF    string       `json:"iif,omitempty"`
	OIF    string       `json:"oif,omitempty"`
	Mark   uint32       `json:"mark,omitempty"`
	Mask   uint32       `json:"mask,omitempty"`
	// Other names the further conditions it has, undecoded.
	Other []string `json:"other,omitempty"`
	// SuppressPrefix is the prefix length up to which results are ignored, -1 where not used.
	SuppressPrefix int `json:"suppress_prefix"`
}

// Neighbour is an entry of the neighbour table (ARP, NDP).
type Neighbour struct {
	Interface int        `json:"interface"`
	Addr      netip.Addr `json:"addr"`
	MAC       string     `json:"mac,omitempty"`
	Vendor    string     `json:"vendor,omitempty"`
	// State is incomplete, reachable, stale, delay, probe, failed, noarp,
	// permanent, none or a number.
	State string `json:"state"`
	// Router and Proxy are NTF_ROUTER and NTF_PROXY.
	Router bool `json:"router,omitempty"`
	Proxy  bool `json:"proxy,omitempty"`
}

// Socket is an internet socket that can receive packets nobody was asked for:
// a listening TCP or SCTP socket, a bound UDP or UDP-Lite one, a raw one.
type Socket struct {
	// Proto is tcp, udp, udplite, sctp or raw.
	Proto string `json:"proto"`
	// Family is 4 or 6, the socket's own.
	Family int `json:"family"`
	// Local is where it is bound, unspecified for all addresses. The port of a
	// raw socket is its IP protocol number, 255 (IPPROTO_RAW) for one that can
	// only send.
	Local netip.AddrPort `json:"local"`
	// Peer is set on a connected UDP or raw socket, which takes packets from
	// there only.
	Peer netip.AddrPort `json:"peer,omitzero"`
	// Takes4 is true where it receives IPv4 packets: each of family 4, and a
	// family 6 socket on :: without IPV6_V6ONLY, or on an IPv4-mapped address.
	Takes4 bool `json:"takes4,omitempty"`
	// Takes6 is true where it receives IPv6 packets.
	Takes6 bool `json:"takes6,omitempty"`
	// V6OnlyUnknown marks a family 6 socket of which could not be read
	// whether it is IPV6_V6ONLY; it is then taken not to be.
	V6OnlyUnknown bool `json:"v6only_unknown,omitempty"`
	// Interface is the index of the interface it is bound to, 0 for any.
	Interface int `json:"interface,omitempty"`
	// Mark is SO_MARK.
	Mark uint32 `json:"mark,omitempty"`
	// CgroupID is the inode of its cgroup in the unified hierarchy.
	CgroupID uint64 `json:"cgroup_id,omitempty"`
	Inode    uint64 `json:"inode,omitempty"`
	UID      uint32 `json:"uid"`
	// Owners are the processes that hold it open, by rising pid; none where
	// they are unknown, or where it is the kernel's own.
	Owners []int `json:"owners,omitempty"`
}

// Connected reports whether it takes packets from one peer only.
func (s Socket) Connected() bool {
	return s.Peer.IsValid() && (s.Peer.Port() != 0 || !s.Peer.Addr().IsUnspecified())
}

// PacketSocket is an AF_PACKET socket (packet(7)): it sees frames before any
// packet filter but XDP, and is not stopped by rules of the input hook.
type PacketSocket struct {
	// Type is raw (with link-layer header) or dgram.
	Type string `json:"type"`
	// EtherType is the protocol it asks for, 3 (ETH_P_ALL) for all.
	EtherType uint16 `json:"ether_type"`
	// Interface is the index it is bound to, 0 for any.
	Interface int    `json:"interface,omitempty"`
	Inode     uint64 `json:"inode,omitempty"`
	UID       uint32 `json:"uid"`
	Owners    []int  `json:"owners,omitempty"`
}

// Process is a process of the host.
type Process struct {
	PID int `json:"pid"`
	// Name is /proc/PID/comm.
	Name string `json:"name,omitempty"`
	// Exe is the path of its binary; Deleted says that this file is gone or was
	// replaced while it runs.
	Exe     string `json:"exe,omitempty"`
	Deleted bool   `json:"deleted,omitempty"`
	// Argv is its command line, by [MaskArgs].
	Argv []string `json:"argv,omitempty"`
	// UID is its effective user id, User that one's name.
	UID  uint32 `json:"uid"`
	User string `json:"user,omitempty"`
	// Unit is the systemd unit of its cgroup: ssh.service, session-3.scope.
	Unit string `json:"unit,omitempty"`
	// UserUnit is true where that is a unit of a user's own manager.
	UserUnit bool `json:"user_unit,omitempty"`
	// Container is the id of the container it runs in, as far as its cgroup tells.
	Container string `json:"container,omitempty"`
	// OtherNetNS is true where it lives in another network namespace than the
	// observed one and yet holds a socket of that one.
	OtherNetNS bool `json:"other_net_ns,omitempty"`
	// Package is the installed package that Exe belongs to, Version its
	// version; Manager is dpkg, rpm or apk.
	Package string `json:"package,omitempty"`
	Version string `json:"version,omitempty"`
	Manager string `json:"manager,omitempty"`

	// What follows is filled in where [Snapshot.Audited].

	// PPID is its parent, Started when it began.
	PPID    int       `json:"ppid,omitempty"`
	Started time.Time `json:"started,omitzero"`
	// RealUID is its real user id where that differs from UID.
	RealUID *uint32 `json:"real_uid,omitempty"`
	// Memory is true where its binary has no file at all (memfd_create(2)).
	Memory bool `json:"memory,omitempty"`
	// Dir is its working directory; DirGone says that it was removed.
	Dir     string `json:"dir,omitempty"`
	DirGone bool   `json:"dir_gone,omitempty"`
	// Interpreter is the language that Exe runs (perl, python, sh, php, ruby, lua,
	// node, …), "" where it is none. Script is the absolute path of the program it
	// was given, "" where that came from standard input or the command line
	// (Inline); ScriptGone says that it is not there any more.
	Interpreter string `json:"interpreter,omitempty"`
	Script      string `json:"script,omitempty"`
	Inline      bool   `json:"inline,omitempty"`
	ScriptGone  bool   `json:"script_gone,omitempty"`
	// Preload are libraries that its environment forces into it (LD_PRELOAD,
	// LD_AUDIT); nothing else of the environment was read.
	Preload []string `json:"preload,omitempty"`
	// NoNewPrivs is no_new_privs; Seccomp is true where system calls are filtered;
	// Capabilities is the effective set as a mask (capabilities(7)).
	NoNewPrivs   bool   `json:"no_new_privs,omitempty"`
	Seccomp      bool   `json:"seccomp,omitempty"`
	Capabilities uint64 `json:"capabilities,omitempty"`
}

// Container is a container of which something is known beyond its id.
type Container struct {
	// ID is the runtime's full id.
	ID string `json:"id"`
	// Runtime is docker, podman, containerd, cri-o, lxc or nspawn, "" if unknown.
	Runtime string `json:"runtime,omitempty"`
	Name    string `json:"name,omitempty"`
	Image   string `json:"image,omitempty"`
	// Addresses are those it has in the runtime's own networks.
	Addresses []netip.Addr `json:"addresses,omitempty"`
}

// Conntrack says whether and how connections are tracked.
type Conntrack struct {
	// Available is true where the kernel's conntrack is present. It tracks in a
	// namespace only once a rule asks for it.
	Available bool `json:"available"`
	// Count and Max are the number of tracked connections and its limit, -1
	// where unknown.
	Count int `json:"count"`
	Max   int `json:"max"`
}
