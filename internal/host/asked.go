package host

import "net/netip"

// Asked is what the host's own services answered over loopback, where that was
// asked for. A service that treats loopback differently may answer others
// otherwise.
type Asked struct {
	// UDP are the answers of services that could be used as reflectors.
	UDP []UDPAnswer `json:"udp,omitempty"`
	// SSH are those of the sockets on which sshd listens.
	SSH []SSHAnswer `json:"ssh,omitempty"`
}

// UDPAnswer is what a service over UDP answers to the question of its protocol.
type UDPAnswer struct {
	// To is where the question was sent.
	To netip.AddrPort `json:"to"`
	// Protocol is ssdp, dns, ntp, ntp-control, ntp-monlist, memcached, cldap, chargen, echo, snmp,
	// portmap, mdns, ws-discovery, netbios or tftp.
	Protocol string `json:"protocol"`
	// Sent and Received are the bytes of UDP payload of the question and of all
	// answers.
	Sent     int `json:"sent"`
	Received int `json:"received,omitempty"`
	// Detail says what the answer means: "recursive" of a name server that asks
	// others for anybody, "refused" of one that says so.
	Detail string `json:"detail,omitempty"`
	// Err is why nothing is known, as where the question could not be sent.
	Err string `json:"err,omitempty"`
}

// SSHAnswer is what an SSH server says before anybody has logged in.
type SSHAnswer struct {
	To netip.AddrPort `json:"to"`
	// Banner is its version line, RFC 4253 section 4.2.
	Banner string `json:"banner,omitempty"`
	// The algorithms that it offers, in its order, RFC 4253 section 7.1; ciphers and
	// MACs are those from client to server.
	Kex      []string `json:"kex,omitempty"`
	HostKeys []string `json:"host_keys,omitempty"`
	Ciphers  []string `json:"ciphers,omitempty"`
	MACs     []string `json:"macs,omitempty"`
	// User is who was asked for, Methods the methods offered to the method none, RFC
	// 4252 section 5.2. None is true where that alone was enough to get in.
	User    string   `json:"user,omitempty"`
	Methods []string `json:"methods,omitempty"`
	None    bool     `json:"none,omitempty"`
	// Err is why something of it is missing.
	Err string `json:"err,omitempty"`
}
