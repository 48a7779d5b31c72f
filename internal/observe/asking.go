package observe

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"sekimori/internal/host"
	"sekimori/internal/observe/sshwire"
)

// patience is how long a service on this very machine may take to answer.
const patience = 2 * time.Second

// loopbackFor is where a socket of this machine can be asked over loopback: its
// own address if that is one of loopback, or one of the family that it takes.
// False where it is bound to another address: it is then asked there, which the
// kernel delivers over loopback as well.
func loopbackFor(k host.Socket) netip.AddrPort {
	a := k.Local.Addr().WithZone("")
	switch {
	case a.IsUnspecified() && k.Takes4:
		a = netip.MustParseAddr("127.0.0.1")
	case a.IsUnspecified():
		a = netip.IPv6Loopback()
	}
	return netip.AddrPortFrom(a.Unmap(), k.Local.Port())
}

// local reports whether an address is the machine's own, so that what is sent
// there never leaves it.
func local(s *host.Snapshot, a netip.Addr) bool {
	if a.IsLoopback() {
		return true
	}
	for _, i := range s.Interfaces {
		for _, p := range i.Addresses {
			if p.Prefix.Addr() == a {
				return true
			}
		}
	}
	return false
}

// askSSH meets the sockets on which sshd listens.
func askSSH(ctx context.Context, s *host.Snapshot) []host.SSHAnswer {
	var out []host.SSHAnswer
	names := map[int]string{}
	for _, p := range s.Processes {
		names[p.PID] = p.Name
	}
	var asked []netip.AddrPort
	for _, k := range s.Sockets {
		to := loopbackFor(k)
		ssh := k.Local.Port() == 22 || slices.ContainsFunc(k.Owners, func(pid int) bool { return names[pid] == "sshd" || names[pid] == "dropbear" })
		if k.Proto != "tcp" || !ssh || !local(s, to.Addr()) || slices.Contains(asked, to) {
			continue
		}
		asked = append(asked, to)
		out = append(out, meet(ctx, to))
	}
	return out
}

func meet(ctx context.Context, to netip.AddrPort) host.SSHAnswer {
	a := host.SSHAnswer{To: to, User: "root"}
	d := net.Dialer{Timeout: patience}
	conn, err := d.DialContext(ctx, "tcp", to.String())
	if err != nil {
		a.Err = err.Error()
		return a
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(2 * patience)); err != nil {
		a.Err = err.Error()
		return a
	}
	m, err := sshwire.Meet(conn, a.User)
	a.Banner, a.Kex, a.HostKeys, a.Ciphers, a.MACs, a.Methods, a.None = m.Banner, m.Kex, m.HostKeys, m.Ciphers, m.MACs, m.Methods, m.None
	if err != nil {
		a.Err = err.Error()
	}
	return a
}

// askUDP asks what could serve as a reflector.
func askUDP(ctx context.Context, s *host.Snapshot) []host.UDPAnswer {
	var out []host.UDPAnswer
	type place struct {
		to       netip.AddrPort
		protocol string
	}
	var asked []place
	for _, k := range s.Sockets {
		if k.Proto != "udp" || k.Connected() {
			continue
		}
		to := loopbackFor(k)
		if !local(s, to.Addr()) {
			continue
		}
		for _, q := range questions(to.Port()) {
			if p := (place{to, q.protocol}); !slices.Contains(asked, p) {
				asked = append(asked, p)
				out = append(out, askOne(ctx, to, q))
			}
		}
	}
	return out
}

// udpPatience is how long answers are waited for.
const udpPatience = 400 * time.Millisecond

// askOne sends one question and counts what comes back.
func askOne(ctx context.Context, to netip.AddrPort, q question) host.UDPAnswer {
	a := host.UDPAnswer{To: to, Protocol: q.protocol, Sent: len(q.text)}
	d := net.Dialer{Timeout: patience}
	conn, err := d.DialContext(ctx, "udp", to.String())
	if err != nil {
		a.Err = err.Error()
		return a
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(udpPatience)); err != nil {
		a.Err = err.Error()
		return a
	}
	if _, err := conn.Write(q.text); err != nil {
		a.Err = fmt.Sprintf("send: %v", err)
		return a
	}
	buf := make([]byte, 64<<10)
	const most = 256 // datagrams
	for range most {
		n, err := conn.Read(buf)
		if err != nil {
			break // no more in time, or refused: then nobody listens
		}
		a.Received += n
		if a.Detail == "" && q.meaning != nil {
			a.Detail = q.meaning(buf[:n])
		}
	}
	return a
}
