package policy

import (
	"fmt"
	"iter"
	"strings"

	"sekimori/packet"
)

// Service is what a rule lets in or drops: the name of a service in the table
// of Names, PORT/tcp, PORT-PORT/udp (also sctp, dccp, udplite), a protocol by itself (tcp, udp,
// esp, …), icmp/TYPE for both families, icmpv4/N or icmpv6/N for one, or any.
type Service string

// Match is one protocol with a range of ports. A service is one or more.
type Match struct {
	Family   packet.Family // 0 for both
	Protocol uint8         // IANA number
	Any      bool          // every protocol; the rest is not looked at
	// Lo to Hi are destination ports; for ICMP they are type*256 + code, as in
	// packet.SrcPort. A protocol without ports has 0 to 65535.
	Lo, Hi uint16
}

// serviceTable is our own: a name, its ports, and what it is. Ports are those
// that a host must offer for the service to work; what is optional has a name
// of its own (http3).
const serviceTable = `
amqp           5672/tcp                     RabbitMQ and others
bgp            179/tcp                      Border Gateway Protocol
dhcp           67/udp                       server for DHCP
dhcpv6         547/udp                      server for DHCPv6
dns            53/tcp 53/udp                name server
dns-over-tls   853/tcp                      name server, encrypted
docker         2376/tcp                     Docker's API, with TLS
elasticsearch  9200/tcp                     its HTTP interface
ftp            21/tcp                       control connection alone
git            9418/tcp                     Git's own protocol
grafana        3000/tcp                     dashboards
http           80/tcp                       web
http3          443/udp                      web over QUIC
https          443/tcp                      web, encrypted
imap           143/tcp                      reading mail
imaps          993/tcp                      reading mail, encrypted
ipp            631/tcp                      printing
ipsec          500/udp 4500/udp esp         IKE and ESP
jabber         5222/tcp 5269/tcp            XMPP, clients and servers
kafka          9092/tcp                     Kafka
kerberos       88/tcp 88/udp                Kerberos
kubernetes     6443/tcp                     Kubernetes' API
ldap           389/tcp                      directory
ldaps          636/tcp                      directory, encrypted
libvirt        16514/tcp                    libvirt with TLS
mdns           5353/udp                     multicast DNS
memcached      11211/tcp                    memcached; its UDP is an amplifier and not here
minecraft      25565/tcp                    Minecraft
mongodb        27017/tcp                    MongoDB
mosh           60000-61000/udp              mobile shell, beside ssh
mqtt           1883/tcp                     MQTT
mqtts          8883/tcp                     MQTT, encrypted
mssql          1433/tcp                     SQL Server
mysql          3306/tcp                     MySQL, MariaDB
nats           4222/tcp                     NATS
nfs            2049/tcp                     NFS 4
node-exporter  9100/tcp                     Prometheus' view of a host
ntp            123/udp                      time
openvpn        1194/udp                     OpenVPN
ping           icmp/echo-request            echo requests of both families
pop3           110/tcp                      fetching mail
pop3s          995/tcp                      fetching mail, encrypted
postgresql     5432/tcp                     PostgreSQL
prometheus     9090/tcp                     Prometheus
radius         1812/udp 1813/udp            RADIUS
rdp            3389/tcp 3389/udp            Remote Desktop
redis          6379/tcp                     Redis, Valkey
rsync          873/tcp                      rsync's own daemon
rtsp           554/tcp                      streaming
samba          445/tcp                      SMB without NetBIOS
sip            5060/tcp 5060/udp            telephony
sips           5061/tcp                     telephony, encrypted
smtp           25/tcp                       mail between servers
smtps          465/tcp                      handing in mail, encrypted
snmp           161/udp                      SNMP
ssdp           1900/udp                     discovery for UPnP
ssh            22/tcp                       secure shell
submission     587/tcp                      handing in mail
syslog         514/udp                      syslog
syslog-tls     6514/tcp                     syslog, encrypted
tailscale      41641/udp                    direct connections
telnet         23/tcp                       telnet
tftp           69/udp                       TFTP
vnc            5900/tcp                     first display
wireguard      51820/udp                    WireGuard
zabbix-agent   10050/tcp                    Zabbix
`

// Names yields the names of the services with their ports and what they are.
func Names() iter.Seq[[3]string] {
	return func(yield func([3]string) bool) {
		for line := range strings.Lines(serviceTable[1:]) {
			line = strings.TrimSuffix(line, "\n")
			if !yield([3]string{strings.TrimSpace(line[:15]), strings.TrimSpace(line[15:44]), line[44:]}) {
				return
			}
		}
	}
}

// lookup returns the ports of a named service.
func lookup(name string) (string, bool) {
	i := strings.Index(serviceTable, "\n"+name+" ")
	if i < 0 || strings.ContainsAny(name, " \n") {
		return "", false
	}
	line := serviceTable[i+1:]
	return strings.TrimSpace(line[15:44]), true
}

// protocol returns the number of a protocol that may stand in a policy, and
// whether it has ports. Numbers: IANA.
func protocol(name string) (n uint8, ports, ok bool) {
	switch name {
	case "tcp":
		return 6, true, true
	case "udp":
		return 17, true, true
	case "dccp":
		return 33, true, true
	case "sctp":
		return 132, true, true
	case "udplite":
		return 136, true, true
	case "igmp":
		return 2, false, true
	case "ipip":
		return 4, false, true
	case "sit":
		return 41, false, true
	case "gre":
		return 47, false, true
	case "esp":
		return 50, false, true
	case "ah":
		return 51, false, true
	case "ospf":
		return 89, false, true
	case "vrrp":
		return 112, false, true
	}
	return 0, false, false
}

// icmpType returns the types of a message in both families; 0 in v6 is none.
func icmpType(name string) (v4, v6 int) {
	switch name {
	case "echo-request":
		return 8, 128
	case "echo-reply":
		return 0, 129
	case "destination-unreachable":
		return 3, 1
	case "time-exceeded":
		return 11, 3
	case "parameter-problem":
		return 12, 4
	}
	return -1, -1
}

func (Service) syntax() string {
	return "the name of a service (ssh, https, ping, …), PORT/tcp, PORT/udp, PORT-PORT/tcp, icmp/TYPE, a protocol, or any"
}

func (s Service) fault() *fault {
	_, f := s.parse()
	return f
}

// Matches returns what a checked service stands for.
func (s Service) Matches() []Match {
	ms, _ := s.parse()
	return ms
}

func (s Service) parse() ([]Match, *fault) {
	text := string(s)
	if text == "any" {
		return []Match{{Any: true, Hi: 0xffff}}, nil
	}
	if ports, ok := lookup(text); ok {
		var ms []Match
		for p := range strings.FieldsSeq(ports) {
			m, f := Service(p).parse()
			if f != nil {
				return nil, f
			}
			ms = append(ms, m...)
		}
		return ms, nil
	}
	if n, _, ok := protocol(text); ok {
		return []Match{{Protocol: n, Hi: 0xffff}}, nil
	}
	left, right, ok := strings.Cut(text, "/")
	switch {
	case ok && strings.HasPrefix(left, "icmp"):
		return icmp(text, left, right)
	case ok:
		return portMatch(text, left, right)
	}
	if n, good := natural(text, 65535); good {
		return nil, &fault{message: fmt.Sprintf("port %d lacks its protocol", n), near: text + "/tcp"}
	}
	var names []string
	for n := range Names() {
		names = append(names, n[0])
	}
	return nil, &fault{message: fmt.Sprintf("unknown service %q", text), near: nearest(text, names)}
}

func portMatch(text, ports, proto string) ([]Match, *fault) {
	n, has, ok := protocol(proto)
	if _, _, swapped := protocol(ports); swapped && !ok {
		return nil, &fault{message: fmt.Sprintf("%q has port and protocol in the other order", text), near: proto + "/" + ports}
	}
	if !ok || !has {
		return nil, &fault{message: fmt.Sprintf("unknown protocol %q, or one without ports", proto), near: nearest(proto, []string{"tcp", "udp", "sctp", "dccp", "udplite"})}
	}
	lo, hi, isRange := strings.Cut(ports, "-")
	if !isRange {
		hi = lo
	}
	a, good := port(lo)
	b, good2 := port(hi)
	switch {
	case !good || !good2:
		return nil, faultf("%q is no port: ports are numbers from 1 to 65535, without leading zeros", ports)
	case a > b:
		return nil, &fault{message: fmt.Sprintf("the range of ports %s is empty: it ends before it starts", ports), near: hi + "-" + lo + "/" + proto}
	}
	return []Match{{Protocol: n, Lo: a, Hi: b}}, nil
}

func port(s string) (uint16, bool) {
	n, ok := natural(s, 65535)
	return uint16(n), ok && n > 0
}

func icmp(text, family, kind string) ([]Match, *fault) {
	message := func(v6 bool, t int) Match {
		m := Match{Family: packet.V4, Protocol: 1, Lo: uint16(t) << 8, Hi: uint16(t)<<8 | 0xff}
		if v6 {
			m.Family, m.Protocol = packet.V6, 58
		}
		return m
	}
	v4, v6 := icmpType(kind)
	n, number := natural(kind, 255)
	switch {
	case family == "icmp" && v4 >= 0:
		return []Match{message(false, v4), message(true, v6)}, nil
	case family == "icmp" && number:
		return nil, faultf("%q: the numbers of the two families differ; write icmpv4/%d or icmpv6/%d", text, n, n)
	case family == "icmpv4" && number:
		return []Match{message(false, n)}, nil
	case family == "icmpv6" && number:
		return []Match{message(true, n)}, nil
	case family == "icmpv4" && v4 >= 0:
		return []Match{message(false, v4)}, nil
	case family == "icmpv6" && v4 >= 0:
		return []Match{message(true, v6)}, nil
	}
	types := []string{"echo-request", "echo-reply", "destination-unreachable", "time-exceeded", "parameter-problem"}
	f := faultf("%q is no ICMP message", text)
	if near := nearest(kind, types); near != "" {
		f.near = "icmp/" + near
	}
	return nil, f
}
