//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// Host is a machine of a small internet: a network namespace with links to
// others. The namespace of the test itself is a host too: [Here].
//
//	office := lab.NewHost(t, "office")
//	server := lab.NewHost(t, "server")
//	lab.Connect(t, office, "eth0", server, "eth0")
//	office.Address("eth0", "198.51.100.7/24")
//	server.Address("eth0", "198.51.100.1/24")
//	server.ServeTCP("198.51.100.1:80", "hello")
//	answer, err := office.Ask("tcp", netip.Addr{}, "198.51.100.1:80")
//
// Use addresses of documentation (RFC 5737, RFC 3849) and private ones: nothing
// leaves the lab, but texts of failures are read.
type Host struct {
	tb testing.TB
	// Name is that of the namespace, "" for the test's own.
	Name string
}

// Here is the namespace of the test.
func Here(tb testing.TB) *Host { return &Host{tb: tb} }

// NewHost makes a host without links but lo.
func NewHost(tb testing.TB, name string) *Host {
	tb.Helper()
	Netns(tb, name)
	return &Host{tb: tb, Name: name}
}

// Connect joins two hosts by a cable, with a new link on either side.
func Connect(tb testing.TB, a *Host, linkA string, b *Host, linkB string) {
	tb.Helper()
	// Both ends are made here and moved, so that neither name has to be free here.
	Run(tb, "ip", "link", "add", "lab-a", "type", "veth", "peer", "name", "lab-b")
	for _, end := range []struct {
		h          *Host
		here, name string
	}{{a, "lab-a", linkA}, {b, "lab-b", linkB}} {
		// Without duplicate address detection, which takes seconds in which neighbours
		// are not asked for.
		end.h.Sysctl("net.ipv6.conf.default.accept_dad=0")
		if end.h.Name != "" {
			Run(tb, "ip", "link", "set", end.here, "netns", end.h.Name)
		}
		end.h.Run("ip", "link", "set", end.here, "name", end.name)
		end.h.Sysctl("net.ipv6.conf." + end.name + ".accept_dad=0")
		end.h.Run("ip", "link", "set", end.name, "up")
	}
}

// Do runs body in the host's namespace; see [In].
func (h *Host) Do(body func()) {
	h.tb.Helper()
	if h.Name == "" {
		body()
		return
	}
	In(h.tb, h.Name, body)
}

// Run is [Run] on the host.
func (h *Host) Run(argv ...string) string {
	h.tb.Helper()
	var out string
	h.Do(func() { out = Run(h.tb, argv...) })
	return out
}

// Try is [Try] on the host.
func (h *Host) Try(stdin string, argv ...string) (out string, err error) {
	h.tb.Helper()
	h.Do(func() { out, err = Try(h.tb, stdin, argv...) })
	return out, err
}

// Address gives a link addresses, usable at once.
func (h *Host) Address(link string, prefixes ...string) {
	h.tb.Helper()
	for _, p := range prefixes {
		h.Do(func() { Address(h.tb, link, p) })
	}
}

// Gateway sets the default route of each address's family.
func (h *Host) Gateway(addresses ...string) {
	h.tb.Helper()
	for _, a := range addresses {
		h.Run("ip", family(a), "route", "replace", "default", "via", a)
	}
}

// Owns makes the host take packets to a whole prefix as its own, and send with any
// address of it: thousands of sources from one namespace.
func (h *Host) Owns(prefixes ...string) {
	h.tb.Helper()
	h.Sysctl("net.ipv6.ip_nonlocal_bind=1") // of IPv4, a local route is enough to bind
	for _, p := range prefixes {
		h.Run("ip", family(p), "route", "add", "local", p, "dev", "lo")
	}
}

func family(address string) string {
	if strings.Contains(address, ":") {
		return "-6"
	}
	return "-4"
}

// Sysctl sets kernel parameters of the host's network: "net.ipv4.ip_forward=1".
func (h *Host) Sysctl(settings ...string) {
	h.tb.Helper()
	h.Do(func() {
		for _, s := range settings {
			name, value, _ := strings.Cut(s, "=")
			if err := os.WriteFile("/proc/sys/"+strings.ReplaceAll(name, ".", "/"), []byte(value), 0o644); err != nil {
				h.tb.Fatal(err)
			}
		}
	})
}

// Forwards makes the host a router of both families.
func (h *Host) Forwards() {
	h.tb.Helper()
	h.Sysctl("net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
}

// ServeTCP answers every connection with a line and closes it, until the test ends.
// The line is followed by the address of whoever asks.
func (h *Host) ServeTCP(address, line string) {
	h.tb.Helper()
	var l net.Listener
	h.Do(func() {
		var err error
		if l, err = net.Listen("tcp", address); err != nil {
			h.tb.Fatal(err)
		}
	})
	var done sync.WaitGroup
	done.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // closed
			}
			fmt.Fprintf(c, "%s %s\n", line, host(c.RemoteAddr()))
			c.Close()
		}
	})
	h.tb.Cleanup(func() {
		l.Close()
		done.Wait()
	})
}

// ServeUDP answers every packet as [Host.ServeTCP] does connections.
func (h *Host) ServeUDP(address, line string) {
	h.tb.Helper()
	var l net.PacketConn
	h.Do(func() {
		var err error
		if l, err = net.ListenPacket("udp", address); err != nil {
			h.tb.Fatal(err)
		}
	})
	var done sync.WaitGroup
	done.Go(func() {
		buf := make([]byte, 1500)
		for {
			_, from, err := l.ReadFrom(buf)
			if err != nil {
				return // closed
			}
			_, _ = fmt.Fprintf(packetWriter{l, from}, "%s %s\n", line, host(from)) // whoever asked may be gone
		}
	})
	h.tb.Cleanup(func() {
		l.Close()
		done.Wait()
	})
}

type packetWriter struct {
	net.PacketConn
	to net.Addr
}

func (w packetWriter) Write(p []byte) (int, error) { return w.WriteTo(p, w.to) }

// host is an address without its port.
func host(a net.Addr) string {
	p, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return a.String()
	}
	return p.Addr().Unmap().String()
}

// patience is how long an answer is waited for: on a veth a packet that is let
// through is there at once, on a busy machine later. Who waits for silence says for
// how long: [Host.AskFor].
const patience = 10 * time.Second

// Quiet is how long a test waits for an answer that must not come.
const Quiet = 700 * time.Millisecond

// ErrSilence is the error where nothing came back in time: a drop, in contrast to
// a refusal.
var ErrSilence = errors.New("nothing came back")

// Ask opens a connection (tcp) or sends a packet (udp) and returns the line that
// comes back. From is the source address, or invalid for any.
func (h *Host) Ask(network string, from netip.Addr, to string) (string, error) {
	h.tb.Helper()
	return h.AskFor(patience, network, from, to)
}

// AskFor is Ask with another patience.
func (h *Host) AskFor(patience time.Duration, network string, from netip.Addr, to string) (string, error) {
	h.tb.Helper()
	var c net.Conn
	var err error
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	h.Do(func() {
		var d net.Dialer
		if from.IsValid() {
			d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
			if network == "udp" {
				d.LocalAddr = net.UDPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
			}
		}
		c, err = d.DialContext(ctx, network, to)
	})
	if err != nil {
		return "", silence(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	if network == "udp" {
		if _, err := c.Write([]byte("?")); err != nil {
			return "", silence(err)
		}
		buf := make([]byte, 1500)
		n, err := c.Read(buf)
		return strings.TrimSpace(string(buf[:n])), silence(err)
	}
	b, err := io.ReadAll(c)
	return strings.TrimSpace(string(b)), silence(err)
}

// silence makes every kind of running out of time ErrSilence.
func silence(err error) error {
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: %w", ErrSilence, err)
	}
	return err
}

// Ping sends one echo request and reports whether the answer came in time. From is
// the source address, or invalid for any.
func (h *Host) Ping(from netip.Addr, to string) bool {
	h.tb.Helper()
	network, request, answer := "ip4:icmp", byte(8), byte(0)
	if strings.Contains(to, ":") {
		network, request, answer = "ip6:ipv6-icmp", 128, 129
	}
	var c *net.IPConn
	h.Do(func() {
		var local *net.IPAddr
		if from.IsValid() {
			local = &net.IPAddr{IP: from.AsSlice()}
		}
		var err error
		if c, err = net.DialIP(network, local, &net.IPAddr{IP: net.ParseIP(to)}); err != nil {
			h.tb.Fatalf("ping %s: %v", to, err)
		}
	})
	defer c.Close()
	packet := []byte{request, 0, 0, 0, 'l', 'b', 0, 1} // identifier and number
	if request == 8 {                                  // of ICMPv6 the kernel does it
		sum := ^(uint32(request)<<8 + 'l'<<8 + 'b' + 1)
		packet[2], packet[3] = byte(sum>>8), byte(sum)
	}
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		h.tb.Fatal(err)
	}
	if _, err := c.Write(packet); err != nil {
		return false // as where no route leads there
	}
	for buf := make([]byte, 1500); ; {
		n, _, err := c.ReadFrom(buf) // unlike Read, it takes off the header of IPv4
		if err != nil {
			return false
		}
		if n >= 8 && buf[0] == answer && string(buf[4:8]) == "lb\x00\x01" {
			return true
		}
	}
}

// Start runs a program on the host until the test ends. What it prints goes to
// the test's output.
func (h *Host) Start(argv ...string) *exec.Cmd {
	h.tb.Helper()
	if !Inside() {
		h.tb.Fatalf("lab: %q would run on the machine itself; use lab.Enter", argv)
	}
	Need(h.tb, argv[0])
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	h.Do(func() {
		if err := cmd.Start(); err != nil {
			h.tb.Fatal(err)
		}
	})
	h.tb.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()         // it was killed
	})
	return cmd
}
