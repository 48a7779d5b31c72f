package audit

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"sekimori/internal/exposure"
	"sekimori/internal/firewall"
	"sekimori/internal/host"
)

func exposureChecks() []Check {
	return []Check{
		{"exp-danger", Exposure, Critical, []string{"CIS Debian 12 4.2.6, 4.4.2.4", "ANSSI BP-028 R80"}, (*view).danger},
		{"exp-amplifier", Exposure, Critical, []string{"CISA TA14-017A", "RFC 2827", "ANSSI BP-028 R80"}, (*view).amplifiers},
		{"exp-admin", Exposure, High, []string{"ANSSI BP-028 R80", "CIS Debian 12 2.1.22"}, (*view).adminConsoles},
		{"exp-dev", Exposure, High, []string{"CIS Debian 12 2.1.22"}, (*view).developmentServers},
		{"exp-v6-parity", Exposure, High, []string{"CIS Debian 12 4.4.3.4", "RFC 9099"}, (*view).parity},
		{"exp-nat-publish", Exposure, High, []string{"Docker: packet filtering and firewalls"}, (*view).publishedPastFirewall},
		{"exp-reach", Exposure, Medium, []string{"CIS Debian 12 2.1.22, 4.2.6"}, (*view).unexpected},
		{"exp-localnet", Exposure, Medium, []string{"CVE-2020-8558"}, (*view).localnet},
		{"exp-wildcard", Exposure, Low, []string{"ANSSI BP-028 R80"}, (*view).wildcards},
		{"exp-stale-rule", Exposure, Low, []string{"CIS Debian 12 4.2.6"}, (*view).staleRules},
		{"exp-sniffer", Exposure, Low, []string{"packet(7)"}, (*view).packetSockets},
		{"exp-vsock-ssh", Exposure, Info, []string{"systemd-ssh-generator(8)"}, (*view).vsock},
		{"exp-ssh-source", Exposure, Info, []string{"sshd_config(5)"}, (*view).sshFromAnywhere},
		{"exp-egress", Exposure, Info, []string{"RFC 5068", "ANSSI BP-028 R67"}, (*view).egress},
		{"exp-open", Exposure, Info, []string{"CIS Debian 12 2.1.22"}, (*view).openList},
	}
}

// service is something that listens, known by its port or its program.
type service struct {
	name     string
	proto    string
	ports    []uint16
	programs []string
	severity Severity
}

// is reports whether a socket is that service. By the port alone it is only where
// the program is not known to be another one.
func (d service) is(k socket) bool {
	if k.Proto != d.proto {
		return false
	}
	program := programOf(k.Owner)
	if slices.Contains(d.programs, program) {
		return slices.Contains(d.ports, k.Local.Port()) || d.proto == "tcp"
	}
	return slices.Contains(d.ports, k.Local.Port()) && !otherProgram(program)
}

// otherProgram reports whether a program is none that would speak a database's
// protocol, whatever its port.
func otherProgram(name string) bool {
	return name != "" && (webServer(name) || slices.Contains([]string{"sshd", "sshd-session", "dropbear", "openvpn"}, name))
}

func webServer(name string) bool {
	return slices.Contains([]string{"nginx", "apache2", "httpd", "caddy", "haproxy", "lighttpd", "traefik", "h2o", "envoy"}, name)
}

// programOf is the name of a process's program, as its file is called.
func programOf(p *host.Process) string {
	if p == nil {
		return ""
	}
	if b := base(p.Exe); b != "" {
		return b
	}
	return p.Name
}

// dangers are services that ask nobody, or only for a password, before they hand
// out data or the machine.
func dangers() []service {
	return []service{
		{"Redis", "tcp", []uint16{6379, 6380, 16379, 26379}, []string{"redis-server", "valkey-server", "keydb-server", "redis-sentinel"}, Critical},
		{"memcached", "tcp", []uint16{11211}, []string{"memcached"}, Critical},
		{"MongoDB", "tcp", []uint16{27017, 27018, 27019}, []string{"mongod", "mongos"}, Critical},
		{"MySQL or MariaDB", "tcp", []uint16{3306, 33060}, []string{"mysqld", "mariadbd"}, Critical},
		{"PostgreSQL", "tcp", []uint16{5432, 6432}, []string{"postgres", "pgbouncer"}, Critical},
		{"Elasticsearch or OpenSearch", "tcp", []uint16{9200, 9300}, nil, Critical},
		{"CouchDB", "tcp", []uint16{5984}, nil, Critical},
		{"Cassandra", "tcp", []uint16{7000, 9042}, nil, Critical},
		{"ClickHouse", "tcp", []uint16{8123}, []string{"clickhouse-server", "clickhouse"}, Critical},
		{"InfluxDB", "tcp", []uint16{8086}, []string{"influxd"}, Critical},
		{"SQL Server", "tcp", []uint16{1433}, []string{"sqlservr"}, Critical},
		{"Oracle", "tcp", []uint16{1521}, []string{"tnslsnr"}, Critical},
		{"ZooKeeper", "tcp", []uint16{2181}, nil, Critical},
		{"Kafka", "tcp", []uint16{9092}, nil, Critical},
		{"RabbitMQ or Erlang", "tcp", []uint16{4369, 5672, 15672, 25672}, []string{"epmd"}, Critical},
		{"etcd", "tcp", []uint16{2379, 2380}, []string{"etcd"}, Critical},
		{"Docker's API", "tcp", []uint16{2375, 2376}, []string{"dockerd"}, Critical},
		{"containerd or kubelet", "tcp", []uint16{10250, 10255, 10257, 10259}, []string{"kubelet"}, Critical},
		{"Consul or Nomad", "tcp", []uint16{8500, 4646}, []string{"consul", "nomad"}, Critical},
		{"LDAP", "tcp", []uint16{389}, []string{"slapd"}, Critical},
		{"SMB", "tcp", []uint16{139, 445}, []string{"smbd"}, Critical},
		{"NFS", "tcp", []uint16{2049}, nil, Critical},
		{"portmap", "tcp", []uint16{111}, []string{"rpcbind"}, Critical},
		{"rsync", "tcp", []uint16{873}, []string{"rsync"}, Critical},
		{"VNC", "tcp", []uint16{5900, 5901, 5902, 5903}, []string{"Xvnc", "x11vnc", "Xtigervnc", "Xtightvnc", "vino-server", "wayvnc"}, Critical},
		{"RDP", "tcp", []uint16{3389}, []string{"xrdp"}, Critical},
		{"X11", "tcp", []uint16{6000, 6001, 6002}, []string{"Xorg"}, Critical},
		{"telnet, rsh, rlogin or rexec", "tcp", []uint16{23, 512, 513, 514}, []string{"in.telnetd", "telnetd", "utelnetd", "in.rshd", "in.rlogind", "in.rexecd"}, Critical},
	}
}

func (v *view) danger() outcome {
	o := outcome{unseen: v.blind, policy: v.inboundPolicy()}
	for _, k := range v.sockets {
		for _, d := range dangers() {
			if !d.is(k) {
				continue
			}
			switch {
			case v.world(k.Reach):
				o.add("%s: %s", d.name, v.line(k))
				o.atLeast(d.severity)
			case v.neighbours(k.Reach):
				o.add("%s: %s", d.name, v.line(k))
				o.atLeast(Medium)
			}
			break
		}
	}
	for _, f := range v.forwards {
		name := dangerousPort(f)
		if name == "" || !v.world(f.Reach) {
			continue
		}
		o.add("%s: %s", name, v.forwardLine(f))
		o.atLeast(Critical)
	}
	return o
}

// dangerousPort names what is behind a forwarded port, by the port there.
func dangerousPort(f exposure.Forward) string {
	if f.Protocol != tcp {
		return ""
	}
	port := f.ToPort
	if port == 0 {
		port = f.Lo
	}
	for _, d := range dangers() {
		if d.proto == "tcp" && slices.Contains(d.ports, port) {
			return d.name
		}
	}
	return ""
}

const (
	tcp = 6
	udp = 17
)

// forwardLine is the evidence about a forwarded port.
func (v *view) forwardLine(f exposure.Forward) string {
	port := strconv.Itoa(int(f.Lo))
	if f.Hi != f.Lo {
		port += "-" + strconv.Itoa(int(f.Hi))
	}
	to := "elsewhere"
	if f.To.IsValid() {
		to = f.To.String()
		if f.ToPort != 0 {
			to += ":" + strconv.Itoa(int(f.ToPort))
		}
	}
	if f.Container != "" {
		to += " (container " + f.Container + ")"
	}
	return fmt.Sprintf("%s/%s -> %s: %s", port, exposure.ProtocolName(f.Protocol), to, v.who(f.Reach))
}

// reflectors are services over UDP that answer more than they are asked, to
// whatever address the question claims to be from.
func reflectors() []service {
	return []service{
		{"SSDP", "udp", []uint16{1900}, []string{"minidlnad", "miniupnpd", "rygel"}, Critical},
		{"memcached", "udp", []uint16{11211}, []string{"memcached"}, Critical},
		{"chargen, echo, daytime or quote", "udp", []uint16{7, 13, 17, 19}, nil, Critical},
		{"CLDAP", "udp", []uint16{389}, nil, Critical},
		{"portmap", "udp", []uint16{111}, []string{"rpcbind"}, Critical},
		{"SNMP", "udp", []uint16{161}, []string{"snmpd"}, Critical},
		{"mDNS", "udp", []uint16{5353}, []string{"avahi-daemon"}, Critical},
		{"WS-Discovery", "udp", []uint16{3702}, []string{"wsdd", "wsdd2"}, Critical},
		{"NetBIOS", "udp", []uint16{137}, []string{"nmbd"}, Critical},
		{"TFTP", "udp", []uint16{69}, []string{"in.tftpd", "tftpd"}, High},
		{"DNS", "udp", []uint16{53}, []string{"named", "unbound", "dnsmasq", "pdns_recursor", "kresd"}, Medium},
		{"NTP", "udp", []uint16{123}, []string{"ntpd"}, Medium},
	}
}

func (v *view) amplifiers() outcome {
	o := outcome{policy: v.inboundPolicy()}
	for _, k := range v.sockets {
		if !v.world(k.Reach) {
			continue
		}
		for _, d := range reflectors() {
			if !d.is(k) {
				continue
			}
			severity := d.severity
			answer := ""
			if text, worse := v.answered(k); text != "" {
				answer, severity = "; "+text, max(severity, worse)
			}
			o.add("%s: %s%s", d.name, v.line(k), answer)
			o.atLeast(severity)
			break
		}
	}
	return o
}

// consoles are pages and ports that administer something or show its inside.
func consoles() []service {
	return []service{
		{"Cockpit", "tcp", nil, []string{"cockpit-tls", "cockpit-ws"}, High},
		{"Webmin or Usermin", "tcp", []uint16{10000, 20000}, []string{"miniserv.pl"}, High},
		{"Proxmox", "tcp", []uint16{8006}, []string{"pveproxy"}, High},
		{"Plesk", "tcp", []uint16{8443, 8880}, []string{"sw-cp-server", "sw-cp-serverd"}, High},
		{"Portainer", "tcp", nil, []string{"portainer"}, High},
		{"Jupyter", "tcp", []uint16{8888}, []string{"jupyter-lab", "jupyter-notebook", "jupyter"}, High},
		{"Grafana", "tcp", nil, []string{"grafana", "grafana-server"}, Medium},
		{"Kibana", "tcp", []uint16{5601}, nil, High},
		{"Prometheus", "tcp", nil, []string{"prometheus", "alertmanager"}, High},
		{"a metrics exporter", "tcp", []uint16{9100}, []string{"node_exporter", "prometheus-node-exporter", "cadvisor"}, Medium},
		{"Netdata", "tcp", []uint16{19999}, []string{"netdata"}, High},
		{"Vault", "tcp", nil, []string{"vault"}, High},
		{"Jenkins", "tcp", []uint16{50000}, nil, High},
		{"CUPS", "tcp", []uint16{631}, []string{"cupsd", "cups-browsed"}, High},
		{"CUPS browsing", "udp", []uint16{631}, []string{"cups-browsed"}, High},
		{"supervisord", "tcp", []uint16{9001}, []string{"supervisord"}, High},
		{"IPMI or Redfish", "udp", []uint16{623}, nil, High},
		{"Erlang or Java debugging", "tcp", []uint16{5005, 8000}, []string{"jdwp"}, High},
		{"a NodeJS inspector", "tcp", []uint16{9229}, nil, Critical},
		{"Tor control or SOCKS", "tcp", []uint16{9050, 9051}, []string{"tor"}, High},
		{"an open proxy", "tcp", []uint16{1080, 3128, 8118}, []string{"squid", "privoxy", "tinyproxy", "danted", "microsocks", "3proxy"}, High},
	}
}

func (v *view) adminConsoles() outcome {
	o := outcome{policy: v.inboundPolicy()}
	for _, k := range v.sockets {
		if !v.world(k.Reach) || developmentServer(k.Owner) != "" {
			continue
		}
		for _, d := range consoles() {
			if d.is(k) && !(slices.Equal(d.ports, []uint16{5005, 8000}) && k.Local.Port() == 8000) {
				o.add("%s: %s", d.name, v.line(k))
				o.atLeast(d.severity)
				break
			}
		}
	}
	return o
}

// developmentServer says which server for development a process is, by its
// command line; "" for none.
func developmentServer(p *host.Process) string {
	if p == nil {
		return ""
	}
	line := strings.Join(p.Argv, " ")
	for _, d := range developmentLines {
		if d.line.MatchString(line) {
			return d.name
		}
	}
	return ""
}

func (v *view) developmentServers() outcome {
	o := outcome{policy: v.inboundPolicy()}
	for _, k := range v.sockets {
		if d := developmentServer(k.Owner); d != "" && v.world(k.Reach) {
			o.add("%s: %s", d, v.line(k))
		}
	}
	return o
}

// parity finds what is closed in IPv4 and open in IPv6.
func (v *view) parity() outcome {
	o := outcome{policy: v.inboundPolicy()}
	if !v.globalV6() {
		o.atLeast(Low)
	}
	type place struct {
		proto, program string
		port           uint16
	}
	at := func(k socket) place { return place{k.Proto, programOf(k.Owner), k.Local.Port()} }
	closed := map[place]bool{} // listens for IPv4 behind rules that let nobody in
	for _, k := range v.sockets {
		if k.Takes4 && k.v4.Verdict == firewall.ReachNone && k.v4.Blocked != nil {
			closed[at(k)] = true
		}
	}
	for _, k := range v.sockets {
		if k.Takes4 && v.world(k.v4) {
			delete(closed, at(k))
		}
	}
	for _, k := range v.sockets {
		if k.Takes6 && closed[at(k)] && v.world(k.v6) {
			o.add("%s: IPv4 nobody, IPv6 %s", v.socketName(k.Socket), v.who(k.v6))
		}
	}
	return o
}

// globalV6 reports whether the host has an IPv6 address that the internet can
// send to.
func (v *view) globalV6() bool {
	for _, i := range v.s.Interfaces {
		for _, a := range i.Addresses {
			if ip := a.Prefix.Addr(); ip.Is6() && ip.IsGlobalUnicast() && !ip.IsPrivate() {
				return true
			}
		}
	}
	return false
}

// publishedPastFirewall finds forwarded ports that the rules for this host would
// refuse, if they were asked.
func (v *view) publishedPastFirewall() outcome {
	var o outcome
	var own *exposure.Host
	for _, f := range v.forwards {
		if !v.world(f.Reach) || !f.To.IsValid() || v.ownAddress(f) {
			continue
		}
		if own == nil {
			own = exposure.Evaluate(v.s, withoutTranslation(v.Rules), 0)
		}
		family := firewall.IPv4
		if f.Family == 6 {
			family = firewall.IPv6
		}
		p, err := own.Only(family).Port(exposure.ProtocolName(f.Protocol), f.Lo)
		switch {
		case err != nil || p.Reach.Verdict == firewall.ReachUndecided:
			o.miss("whether the host's own rules would refuse " + v.forwardLine(f) + " could not be decided")
		case p.Reach.Verdict == firewall.ReachNone && p.Reach.Blocked != nil:
			o.add("%s; the rules for this host itself refuse that port (%s), and are not asked", v.forwardLine(f), p.Reach.Blocked)
		}
	}
	o.policy = []string{"containers: enforce"}
	return o
}

// ownAddress reports whether a translation ends at this host.
func (v *view) ownAddress(f exposure.Forward) bool {
	for _, i := range v.s.Interfaces {
		for _, a := range i.Addresses {
			if a.Prefix.Addr() == f.To {
				return true
			}
		}
	}
	return f.To.IsLoopback()
}

// withoutTranslation is the ruleset with no chains of the type nat.
func withoutTranslation(rules *firewall.Ruleset) *firewall.Ruleset {
	out := &firewall.Ruleset{Obstacles: rules.Obstacles}
	for _, t := range rules.Tables {
		c := *t
		c.Chains = nil
		for _, ch := range t.Chains {
			if ch.Base == nil || ch.Base.Type != "nat" {
				c.Chains = append(c.Chains, ch)
			}
		}
		out.Tables = append(out.Tables, &c)
	}
	return out
}

// meantFor reports whether a socket is one that people publish on purpose, or a
// client's.
func (v *view) meantFor(k socket) bool {
	program := programOf(k.Owner)
	port := k.Local.Port()
	switch {
	case program == "sshd" || program == "dropbear" || webServer(program):
		return true
	case k.Proto == "raw":
		return true
	case k.Proto == "udp" && (port >= ephemeral || slices.Contains([]uint16{53, 68, 123, 443, 500, 546, 853, 1194, 3478, 4500, 51820}, port)):
		return true
	case k.Proto == "udp" && k.Owner == nil && v.wireguard():
		return true
	}
	return k.Proto == "tcp" && slices.Contains([]uint16{22, 25, 53, 80, 110, 143, 443, 465, 587, 853, 993, 995, 5222, 5223, 5269, 6697, 8448}, port)
}

// ephemeral is the first port that the kernel gives to clients
// (net.ipv4.ip_local_port_range).
const ephemeral = 32768

func (v *view) wireguard() bool {
	return slices.ContainsFunc(v.s.Interfaces, func(i host.Interface) bool { return i.Kind == "wireguard" })
}

// unexpected finds what is open to anyone and is neither of the well-known public
// services nor judged by another check.
func (v *view) unexpected() outcome {
	o := outcome{policy: v.inboundPolicy()}
	for _, k := range v.sockets {
		if v.world(k.Reach) && !v.meantFor(k) && !v.judged(k) {
			o.add("%s", v.line(k))
		}
	}
	return o
}

func (v *view) judged(k socket) bool {
	if developmentServer(k.Owner) != "" {
		return true
	}
	for _, d := range slices.Concat(dangers(), reflectors(), consoles()) {
		if d.is(k) {
			return true
		}
	}
	return false
}

func (v *view) localnet() outcome {
	var o outcome
	for name, value := range v.s.Sysctls {
		if strings.HasSuffix(name, ".route_localnet") && value != "0" {
			o.add("%s = %s", name, value)
		}
	}
	slices.Sort(o.evidence)
	return o
}

// wildcards finds services that only the rules keep closed.
func (v *view) wildcards() outcome {
	var o outcome
	for _, k := range v.sockets {
		if !k.Local.Addr().IsUnspecified() || k.Reach.Verdict != firewall.ReachNone || k.Reach.Blocked == nil {
			continue
		}
		for _, d := range slices.Concat(dangers(), reflectors()) {
			if d.is(k) {
				o.add("%s: %s on %s; only %s refuses it", d.name, v.socketName(k.Socket), k.Local.Addr(), k.Reach.Blocked)
				break
			}
		}
	}
	return o
}

// rulePorts finds the ports in the text of a rule, as nft and iptables write it.
func rulePorts(text string) []uint16 {
	var ports []uint16
	for _, m := range portText.FindAllStringSubmatch(text, -1) {
		if n, err := strconv.ParseUint(m[1], 10, 16); err == nil {
			ports = append(ports, uint16(n))
		}
	}
	return ports
}

// mostPorts is how many ports that rules name are asked about one by one.
const mostPorts = 150

// staleRules finds rules that let somebody in to a port where nothing listens.
func (v *view) staleRules() outcome {
	var o outcome
	if v.Exposure == nil || len(v.without(host.SectionSockets)) > 0 || v.fw.many {
		return o
	}
	asked := map[string]bool{}
	for _, r := range v.hooked(firewall.Input) {
		proto := "tcp"
		if udpText.MatchString(r.Text) {
			proto = "udp"
		}
		for _, n := range rulePorts(r.Text) {
			key := fmt.Sprint(n, proto)
			if asked[key] || proto == "udp" && n == 68 || n == 546 {
				continue
			}
			if len(asked) == mostPorts {
				o.miss(fmt.Sprintf("rules name more than %d ports; whether something listens on the others was not asked", mostPorts))
				return o
			}
			asked[key] = true
			p, err := v.Exposure.Port(proto, n)
			if err != nil || len(p.Sockets) > 0 || len(p.Forwards) > 0 || p.Reach.Verdict == firewall.ReachUndecided {
				continue
			}
			for _, from := range p.Reach.From {
				if from.Because.Text == r.Text && from.Because.Rule > 0 {
					o.add("%d/%s: %s: %s; nothing listens there", n, proto, from.Because, r.Text)
					break
				}
			}
		}
	}
	return o
}

// packetSockets finds programs that see the frames of others.
func (v *view) packetSockets() outcome {
	var o outcome
	usual := []string{
		"dhclient", "dhcpcd", "NetworkManager", "systemd-networkd", "udhcpc", "wpa_supplicant", "hostapd", "lldpd", "keepalived",
		"arpwatch", "suricata", "snort", "zeek", "tcpdump", "dumpcap", "dnsmasq", "dhcpd", "kea-dhcp4", "radvd", "pppoe", "pppd", "ladvd", "iodined",
	}
	for _, k := range v.s.PacketSockets {
		for _, pid := range k.Owners {
			p := v.procs[pid]
			if p != nil && !slices.Contains(usual, programOf(p)) && p.Container == "" {
				o.add("%s (pid %d, %s) has a packet socket", processName(p), p.PID, p.User)
			}
		}
	}
	return o
}

func (v *view) vsock() outcome {
	var o outcome
	for _, u := range v.s.Units {
		for _, l := range u.Listen {
			if strings.HasPrefix(l.Address, "vsock:") && u.Active == "active" {
				o.add("%s listens on %s", u.Name, l.Address)
			}
		}
	}
	return o
}

// sshSockets are the sockets that sshd, or systemd for it, listens on.
func (v *view) sshSockets() []socket {
	var out []socket
	for _, k := range v.sockets {
		program := programOf(k.Owner)
		if k.Proto != "tcp" || k.Owner != nil && k.Owner.Container != "" {
			continue
		}
		if program == "sshd" || program == "systemd" && v.sshUnitListens(k.Local.Port()) || k.Owner == nil && k.Local.Port() == 22 {
			out = append(out, k)
		}
	}
	return out
}

func (v *view) sshUnitListens(port uint16) bool {
	for _, u := range v.s.Units {
		if u.Name == "ssh.socket" || u.Name == "sshd.socket" {
			for _, l := range u.Listen {
				if l.Port == port {
					return true
				}
			}
		}
	}
	return false
}

func (v *view) sshFromAnywhere() outcome {
	var o outcome
	for _, k := range v.sshSockets() {
		if v.world(k.Reach) {
			o.add("%s", v.line(k))
		}
	}
	if len(o.evidence) > 0 {
		o.policy = []string{"guard: {ban: {after: 5 failures in 10m, for: 1h, repeat: x2 up to 7d}, watch: [sshd]}"}
	}
	return o
}

// openList is everything that anyone may reach, without judgement.
func (v *view) openList() outcome {
	var o outcome
	for _, k := range v.sockets {
		if v.world(k.Reach) {
			o.add("%s", v.line(k))
		}
	}
	for _, f := range v.forwards {
		if v.world(f.Reach) {
			o.add("%s", v.forwardLine(f))
		}
	}
	return o
}

// inboundPolicy is what a policy would admit that keeps the public services that
// are open now, and nothing else.
func (v *view) inboundPolicy() []string {
	var items []string
	add := func(item string) {
		if !slices.Contains(items, item) {
			items = append(items, item)
		}
	}
	for _, k := range v.sshSockets() {
		if p := k.Local.Port(); p != 22 {
			add(fmt.Sprintf("{allow: %d/tcp}", p))
		} else {
			add("{allow: ssh}")
		}
	}
	if len(items) == 0 {
		add("{allow: ssh}")
	}
	for _, k := range v.sockets {
		if v.world(k.Reach) && v.meantFor(k) && !v.judged(k) && k.Proto != "raw" && (k.Proto == "tcp" || k.Local.Port() < ephemeral) &&
			programOf(k.Owner) != "sshd" && !slices.Contains([]uint16{22, 68, 546}, k.Local.Port()) {
			add(fmt.Sprintf("{allow: %d/%s}", k.Local.Port(), k.Proto))
		}
	}
	return []string{"inbound: [" + strings.Join(items, ", ") + "]"}
}

// answered says what a service answered to the question of its protocol, and how
// bad that is.
func (v *view) answered(k socket) (string, Severity) {
	text, worst := "", Info
	for _, a := range v.s.Asked.UDP {
		if a.To.Port() != k.Local.Port() {
			continue
		}
		switch {
		case a.Err != "":
		case a.Received == 0:
			if text == "" {
				text = "asked over loopback, it did not answer"
			}
		default:
			text = fmt.Sprintf("answers here: %d bytes to a question of %d (%s)", a.Received, a.Sent, a.Protocol)
			if a.Detail != "" {
				text += ", " + a.Detail
			}
			if a.Detail == "recursive" || a.Protocol == "ntp-monlist" && a.Received > 2*a.Sent {
				worst = Critical
			}
		}
	}
	return text, worst
}

// egress finds that any program may open connections to the ports by which bots
// spread.
func (v *view) egress() outcome {
	o := outcome{policy: []string{"outbound: {default: allow, rules: [{allow: 22/tcp, rate: 10/min}]}"}}
	addr, dev, ok := v.outerAddress(firewall.IPv4)
	if !ok || v.Exposure == nil {
		return o
	}
	var open []string
	for _, port := range []int{22, 25, 6667} {
		t, ok := v.traced(firewall.IPv4, fmt.Sprintf("tcp %s:40000 -> 198.51.100.7:%d out %s new flags syn", addr, port, dev))
		if ok && t.Verdict == firewall.TraceAccept {
			open = append(open, fmt.Sprintf("%d/tcp", port))
		}
	}
	if len(open) > 0 {
		o.add("any program may open connections to %s of any host, without limit", strings.Join(open, ", "))
	}
	return o
}
