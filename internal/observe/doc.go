// Package observe fills a [host.Snapshot] with what can be seen of a host: by
// netlink and socket options on the live Linux machine it runs on, and from
// files below a root. It needs no other program, changes nothing, and reads as
// much as the caller's privileges allow; whatever it could not read is named in
// [host.Snapshot.Unseen] or, for packet filters, in kernel.Dump.Unread.
//
// # What it takes care not to do
//
// Asking for some things makes the kernel load modules, which would add to what
// the host exposes. SCTP, UDP-Lite and AF_PACKET sockets are asked for only
// where /proc/net says that the protocol is present; legacy tables and ipsets
// only where they are registered. The diagnostic modules behind sock_diag
// (tcp_diag, udp_diag, raw_diag, af_packet_diag) may be loaded, as ss(8) would do.
//
// # Two readers
//
// Sockets come from sock_diag; /proc/net/tcp and its siblings are a second,
// independent reader, used where sock_diag is not to be had and compared with
// the first in a test.
package observe
