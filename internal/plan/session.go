package plan

import "net/netip"

// Session is a login by which somebody administers the host, as seen from there.
type Session struct {
	// Client is the other end, Server this host's: its port is the one that sshd
	// got the connection at, after any translation.
	Client netip.AddrPort `json:"client"`
	Server netip.AddrPort `json:"server"`
	// From says how it is known: "the socket of sshd (pid 812)", "SSH_CONNECTION".
	From string `json:"from"`
	// Current is true for the session that asks, false for others.
	Current bool `json:"current"`
	// Stale is true where no such connection is open any more, as under a
	// multiplexer whose first client has left.
	Stale bool `json:"stale,omitempty"`
}

// Remote reports whether it comes over a network: one from this host itself is
// not endangered by rules, and tells nothing about where administrators are.
func (s Session) Remote() bool {
	a := s.Client.Addr().Unmap()
	return a.IsValid() && !a.IsLoopback() && a != s.Server.Addr().Unmap()
}
