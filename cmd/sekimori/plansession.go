package main

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"sekimori/internal/plan"
)

// sessions finds the logins over ssh by which this program is used, and the other
// ones that are open. Root is the file system, pid this process; env is the
// environment, for SSH_CONNECTION.
//
// The socket of the sshd among the ancestors is believed first: it cannot be
// forged, and sudo does not take it away. Where it cannot be seen (only root may
// look), or the shell hangs on a multiplexer, SSH_CONNECTION tells, of this
// process or of an ancestor; whether that connection is still open is looked up.
func sessions(root fs.FS, pid int, env func(string) string) []plan.Session {
	open := openTCP(root)
	var found []plan.Session
	for _, a := range ancestors(root, pid) {
		if name := a.name; name != "sshd" && name != "sshd-session" && name != "dropbear" {
			continue
		}
		for _, inode := range socketsOf(root, a.pid) {
			if c, ok := open[inode]; ok {
				s := plan.Session{Client: c.peer, Server: c.local, From: fmt.Sprintf("the socket of %s (pid %d)", a.name, a.pid), Current: true}
				if !slices.ContainsFunc(found, func(o plan.Session) bool { return o.Client == s.Client && o.Server == s.Server }) {
					found = append(found, s)
				}
			}
		}
	}
	if len(found) > 0 {
		return found
	}
	texts := []string{env("SSH_CONNECTION")}
	for _, a := range ancestors(root, pid) {
		texts = append(texts, environ(root, a.pid, "SSH_CONNECTION"))
	}
	for _, text := range texts {
		s, ok := parseConnection(text)
		if !ok {
			continue
		}
		s.From, s.Current, s.Stale = "SSH_CONNECTION", true, true
		for _, c := range open {
			if c.peer == s.Client && c.local == s.Server {
				s.Stale = false
			}
		}
		return []plan.Session{s}
	}
	return nil
}

// parseConnection reads SSH_CONNECTION (ssh(1)): client, its port, server, its port.
func parseConnection(text string) (plan.Session, bool) {
	f := strings.Fields(text)
	if len(f) != 4 {
		return plan.Session{}, false
	}
	end := func(addr, port string) (netip.AddrPort, bool) {
		a, err := netip.ParseAddr(addr)
		n, errPort := strconv.ParseUint(port, 10, 16)
		return netip.AddrPortFrom(a.Unmap().WithZone(""), uint16(n)), err == nil && errPort == nil && n > 0
	}
	client, ok := end(f[0], f[1])
	server, ok2 := end(f[2], f[3])
	return plan.Session{Client: client, Server: server}, ok && ok2
}

// ancestor is a process above this one.
type ancestor struct {
	pid  int
	name string
}

// ancestors are the processes above one, the nearest first.
func ancestors(root fs.FS, pid int) []ancestor {
	var out []ancestor
	for range 64 { // a chain longer than that goes in circles
		parent := procStatus(root, pid, "PPid")
		n, err := strconv.Atoi(parent)
		if err != nil || n <= 0 {
			break
		}
		out = append(out, ancestor{n, procStatus(root, n, "Name")})
		pid = n
	}
	return out
}

// procStatus is a field of /proc/PID/status, "" where it cannot be read.
func procStatus(root fs.FS, pid int, field string) string {
	text, err := fs.ReadFile(root, fmt.Sprintf("proc/%d/status", pid))
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, field+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// socketsOf are the inodes of the sockets that a process holds.
func socketsOf(root fs.FS, pid int) []uint64 {
	dir := fmt.Sprintf("proc/%d/fd", pid)
	entries, err := fs.ReadDir(root, dir)
	if err != nil {
		return nil
	}
	var out []uint64
	for _, e := range entries {
		to, err := fs.ReadLink(root, dir+"/"+e.Name())
		if err != nil {
			continue
		}
		if inner, ok := strings.CutPrefix(to, "socket:["); ok {
			if n, err := strconv.ParseUint(strings.TrimSuffix(inner, "]"), 10, 64); err == nil {
				out = append(out, n)
			}
		}
	}
	return out
}

// environ is a variable of another process's environment, as it was started.
func environ(root fs.FS, pid int, name string) string {
	text, err := fs.ReadFile(root, fmt.Sprintf("proc/%d/environ", pid))
	if err != nil {
		return ""
	}
	for entry := range strings.SplitSeq(string(text), "\x00") {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}

// tcpConnection is an established connection.
type tcpConnection struct{ local, peer netip.AddrPort }

// openTCP are the established connections by inode, from /proc/net/tcp and tcp6.
func openTCP(root fs.FS) map[uint64]tcpConnection {
	out := map[uint64]tcpConnection{}
	for _, name := range []string{"tcp", "tcp6"} {
		text, err := fs.ReadFile(root, "proc/thread-self/net/"+name)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			f := strings.Fields(line)
			if len(f) < 10 || f[3] != "01" {
				continue
			}
			local, ok := hexAddrPort(f[1])
			peer, ok2 := hexAddrPort(f[2])
			inode, err := strconv.ParseUint(f[9], 10, 64)
			if ok && ok2 && err == nil && inode > 0 {
				out[inode] = tcpConnection{local, peer}
			}
		}
	}
	return out
}

// hexAddrPort reads the notation of /proc/net/tcp: the address in words of four
// bytes, each as the number that the machine takes it for, a colon, the port.
func hexAddrPort(s string) (netip.AddrPort, bool) {
	addr, port, ok := strings.Cut(s, ":")
	b, err := hex.DecodeString(addr)
	n, errPort := strconv.ParseUint(port, 16, 16)
	if !ok || err != nil || errPort != nil || len(b) != 4 && len(b) != 16 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(b); i += 4 {
		binary.NativeEndian.PutUint32(b[i:], binary.BigEndian.Uint32(b[i:]))
	}
	a, _ := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(a.Unmap(), uint16(n)), true
}
