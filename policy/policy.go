package policy

// Version is the version of the language that this package reads.
const Version = 1

// Policy is what the operator wants. It is plain data: the words of the file,
// checked but not looked up. A section that the file leaves out is nil (or
// empty, for Containers) and is left alone; an inbound that is there and empty
// refuses everything.
type Policy struct {
	Version    int                `yaml:"version,required" doc:"the version of this language, 1"`
	Zones      map[string]Zone    `yaml:"zones" doc:"parts of the network, by the interfaces that lead there"`
	Lists      map[string][]Entry `yaml:"lists" doc:"addresses under a name"`
	Inbound    []InboundRule      `yaml:"inbound" doc:"to this host; the first rule that matches decides, what none matches is dropped and counted"`
	Outbound   *Outbound          `yaml:"outbound" doc:"from this host"`
	Router     *Router            `yaml:"router" doc:"through this host"`
	Containers Containers         `yaml:"containers" doc:"whether a published port needs an inbound rule like any other"`
	Edge       *Edge              `yaml:"edge" doc:"what a provider's router blocks: stateless, in both directions"`
	SSH        *SSH               `yaml:"ssh" doc:"how people log in"`
	Accounts   *Accounts          `yaml:"accounts" doc:"who administers this host"`
	Services   *Services          `yaml:"services" doc:"what runs on this host"`
	Updates    *Updates           `yaml:"updates" doc:"updates of packages"`
	Guard      *Guard             `yaml:"guard" doc:"learning attackers and banning them"`
	Apply      *Apply             `yaml:"apply" doc:"how a change is brought into force"`
}

// Zone is a part of the network.
type Zone struct {
	Interfaces []Interface `yaml:"interfaces,required,one" doc:"the interfaces that lead there; wg* stands for every name that starts so"`
	Networks   []Prefix    `yaml:"networks,one" doc:"the addresses there; without it, all"`
}

// Entry is one entry of a list: either a text or a file.
type Entry struct {
	Text Source `yaml:",scalar" doc:"an address, a prefix, a range, or the name of another list"`
	File string `yaml:"file" doc:"a file with one address, prefix or range a line; # starts a comment"`
}

// InboundRule is a rule for new connections to this host. Exactly one of Allow
// and Deny is there.
type InboundRule struct {
	Allow []Service `yaml:"allow,one" doc:"what is let in"`
	Deny  []Service `yaml:"deny,one" doc:"what is dropped"`
	From  []Peer    `yaml:"from,one" doc:"the sources; without it, anywhere"`
	To    []Source  `yaml:"to,one" doc:"the addresses of this host that are meant; without it, all"`
	Rate  Rate      `yaml:"rate" doc:"new connections beyond it are dropped, whatever later rules say"`
}

// Outbound is what may leave this host.
type Outbound struct {
	Default Verdict        `yaml:"default" doc:"what happens to what no rule matches; without it, allow"`
	Rules   []OutboundRule `yaml:"rules" doc:"the first that matches decides"`
}

// OutboundRule is a rule for new connections from this host. Exactly one of
// Allow and Deny is there. Users and groups are those of the sending process;
// a packet that has none (the kernel's own) is not theirs.
type OutboundRule struct {
	Allow        []Service `yaml:"allow,one" doc:"what may leave"`
	Deny         []Service `yaml:"deny,one" doc:"what is dropped"`
	To           []Peer    `yaml:"to,one" doc:"the destinations; without it, anywhere"`
	Users        []User    `yaml:"users,one" doc:"only what these users send"`
	ExceptUsers  []User    `yaml:"except-users,one" doc:"not what these users send"`
	Groups       []User    `yaml:"groups,one" doc:"only what these groups send"`
	ExceptGroups []User    `yaml:"except-groups,one" doc:"not what these groups send"`
	Rate         Rate      `yaml:"rate" doc:"new connections beyond it are dropped"`
}

// Router is what passes through this host, which is then a router.
type Router struct {
	Forward     []Forward     `yaml:"forward" doc:"which zone may open connections to which; nothing else passes"`
	PortForward []PortForward `yaml:"port-forward" doc:"ports of this host that lead to another one"`
	OneToOne    []OneToOne    `yaml:"one-to-one" doc:"addresses outside that stand for hosts inside"`
}

// Forward lets one zone open connections to another.
type Forward struct {
	From       Name      `yaml:"from,required" doc:"the zone that connections come from"`
	To         Name      `yaml:"to,required" doc:"the zone that they go to"`
	Allow      []Service `yaml:"allow,one" doc:"what passes; without it, everything"`
	Masquerade bool      `yaml:"masquerade" doc:"hide the sources behind the address of this host"`
}

// PortForward leads a port of this host to another host.
type PortForward struct {
	From    Name    `yaml:"from,required" doc:"the zone that connections come from"`
	Port    Service `yaml:"port,required" doc:"the port of this host"`
	To      Address `yaml:"to,required" doc:"the host inside"`
	ToPort  int     `yaml:"to-port,port" doc:"its port; without it, the same"`
	Hairpin bool    `yaml:"hairpin" doc:"hosts inside may use the outer address as well"`
}

// OneToOne makes an outer address stand for a host inside, in both directions.
type OneToOne struct {
	Outside Address   `yaml:"outside,required" doc:"the address that the world sees"`
	Inside  Address   `yaml:"inside,required" doc:"the host that it stands for"`
	Allow   []Service `yaml:"allow,one" doc:"what may be opened from outside; without it, nothing"`
}

// Edge is a stateless block at the edge of the network. A port in Block is both
// source and destination port; broadcast is broadcast and multicast that is
// sent out of the edge, except neighbour discovery, IGMP, MLD and DHCP.
type Edge struct {
	Interface []Interface `yaml:"interface,required,one" doc:"the interfaces that lead outside"`
	Block     []Blocked   `yaml:"block,required,one" doc:"ports, or broadcast"`
	Scope     Scope       `yaml:"scope" doc:"all includes the interfaces between local hosts; without it, outside"`
}

// SSH is the policy for logins. What is nil is left alone.
type SSH struct {
	Ports     []int  `yaml:"ports,one,port" doc:"the ports where sshd listens; without it, 22. Inbound rules name such a port themselves"`
	Passwords *bool  `yaml:"passwords" doc:"whether a password may open a session"`
	Root      *bool  `yaml:"root" doc:"whether root may log in"`
	Users     []User `yaml:"users,one" doc:"who may log in; without it, everybody"`
}

// Accounts says who administers this host.
type Accounts struct {
	Admin User  `yaml:"admin,required" doc:"an ordinary user who may become root with sudo"`
	Keys  []Key `yaml:"keys,one" doc:"the public keys of the admin, as in authorized_keys, without options"`
}

// Services says what runs.
type Services struct {
	Keep []Unit `yaml:"keep,required,one" doc:"programs that may listen; others are stopped and disabled"`
}

// Updates says which updates are installed by themselves.
type Updates struct {
	Automatic Automatic `yaml:"automatic,required" doc:"which updates are installed by themselves"`
}

// Guard says who is banned.
type Guard struct {
	Never []Peer `yaml:"never,one" doc:"who is never banned"`
	Ban   *Ban   `yaml:"ban" doc:"when, and for how long"`
	Watch []Unit `yaml:"watch,one" doc:"the services whose logs are read"`
}

// Ban says when a source is banned, and for how long.
type Ban struct {
	After  Threshold `yaml:"after,required" doc:"how many failures in which time"`
	For    Duration  `yaml:"for,required" doc:"how long"`
	Repeat Repeat    `yaml:"repeat" doc:"how much longer each further time"`
}

// Apply says how a change is brought into force.
type Apply struct {
	ConfirmWithin Duration `yaml:"confirm-within" doc:"the time to confirm by a fresh login before everything is undone"`
}
