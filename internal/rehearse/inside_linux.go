package rehearse

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"sekimori/internal/run"
)

// Inside carries out a job that it reads, in the namespace that it was started in,
// and writes the answers. It refuses to touch the one that the job came from.
func Inside(ctx context.Context, in io.Reader, out io.Writer) error {
	var job Job
	if err := json.NewDecoder(in).Decode(&job); err != nil {
		return fmt.Errorf("read the job: %w", err)
	}
	here, err := namespace()
	if err != nil {
		return err
	}
	if here == job.Outside || job.Outside == "" {
		return errors.New("not in a namespace of its own; nothing was done")
	}
	s := stage{job: job, ends: map[string]end{}}
	defer s.close()
	if err := s.build(ctx); err != nil {
		return err
	}
	passed, err := s.play(ctx)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(passed)
}

// stage is the namespace with its interfaces.
type stage struct {
	job  Job
	ends map[string]end
	open []io.Closer
}

// end is where frames are sent so that they arrive at an interface.
type end struct {
	socket int
	mac    [6]byte // of the interface
}

func (s *stage) close() {
	for _, e := range s.ends {
		unix.Close(e.socket)
	}
	for _, c := range s.open {
		c.Close()
	}
}

// build makes the interfaces, addresses and routes.
func (s *stage) build(ctx context.Context) error {
	for name, value := range map[string]string{
		"net/ipv4/conf/all/rp_filter": "0", "net/ipv4/conf/default/rp_filter": "0",
		"net/ipv6/conf/all/accept_dad": "0", "net/ipv6/conf/default/accept_dad": "0", "net/ipv6/conf/default/accept_ra": "0",
	} {
		// Where IPv6 is off, so is what is asked of it.
		if err := sysctl(name, value); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	if s.job.Forward {
		for _, name := range []string{"net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"} {
			if err := sysctl(name, "1"); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
	}
	var batch strings.Builder
	batch.WriteString("link set lo up\n")
	for i, l := range s.job.Interfaces {
		peer := peerName(i)
		fmt.Fprintf(&batch, "link add %s type veth peer name %s\nlink set %s up\nlink set %s up\n", l.Name, peer, peer, l.Name)
		for _, a := range l.Addresses {
			nodad := ""
			if a.Addr().Is6() {
				nodad = " nodad"
			}
			fmt.Fprintf(&batch, "addr add %s dev %s%s\n", a, l.Name, nodad)
		}
	}
	for _, r := range s.job.Routes {
		// Without its gateway: packets come that way, none has to get there.
		fmt.Fprintf(&batch, "route replace %s dev %s\n", r.Dst, r.Interface)
	}
	// Some of it may be there already, by the addresses; what really is missing shows
	// when packets are sent.
	_, err := run.Command{Argv: []string{"ip", "-force", "-batch", "-"}, Stdin: []byte(batch.String())}.Output(ctx)
	for i, l := range s.job.Interfaces {
		if e := s.plug(l.Name, peerName(i)); e != nil {
			return errors.Join(e, err)
		}
	}
	return nil
}

func peerName(i int) string { return "rehearse" + strconv.Itoa(i) }

func sysctl(name, value string) error { return os.WriteFile("/proc/sys/"+name, []byte(value), 0o644) }

// plug opens a socket at the other end of an interface.
func (s *stage) plug(name, peer string) error {
	iface, err := net.InterfaceByName(name)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	far, err := net.InterfaceByName(peer)
	if err != nil {
		return fmt.Errorf("%s: %w", peer, err)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0) // it receives nothing
	if err != nil {
		return fmt.Errorf("packet socket: %w", err)
	}
	e := end{socket: fd}
	copy(e.mac[:], iface.HardwareAddr)
	s.ends[name] = e
	return unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: far.Index})
}

// witnessText notes the identification of packets before all other chains, and
// behind them. It also makes the kernel track connections, as it does where rules
// asked for it before.
const witnessText = `table inet sekimori-rehearsal {
	set came4 { typeof ip id; size 65535; flags dynamic; }
	set came6 { typeof ip6 flowlabel; size 65535; flags dynamic; }
	set seen4 { typeof ip id; size 65535; flags dynamic; }
	set seen6 { typeof ip6 flowlabel; size 65535; flags dynamic; }
	chain prerouting {
		type filter hook prerouting priority -2147483647; policy accept;
		meta nfproto ipv4 add @came4 { ip id }
		meta nfproto ipv6 add @came6 { ip6 flowlabel }
	}
	chain input { type filter hook input priority 2147483647; policy accept; ct state new counter; jump note; }
	chain forward { type filter hook forward priority 2147483647; policy accept; jump note; }
	chain note {
		meta nfproto ipv4 add @seen4 { ip id }
		meta nfproto ipv6 add @seen6 { ip6 flowlabel }
	}
}
`

// play opens the connections that shall be there, loads the rules, sends the
// packets and asks which got through.
func (s *stage) play(ctx context.Context) ([]bool, error) {
	if err := nft(ctx, []byte(witnessText)); err != nil {
		return nil, err
	}
	// Packets in the midst of a connection have no right numbers.
	if err := sysctl("net/netfilter/nf_conntrack_tcp_be_liberal", "1"); err != nil {
		return nil, err
	}
	if err := s.prepare(ctx); err != nil {
		return nil, err
	}
	if err := nft(ctx, s.job.Rules); err != nil {
		return nil, fmt.Errorf("the rules cannot be loaded: %w", err)
	}
	sent := make([]shot, len(s.job.Probes))
	for i, p := range s.job.Probes {
		sent[i] = shot{p, tagOf(i), flagSYN}
		if p.Established {
			sent[i].flags = flagACK
		}
	}
	if err := s.fire(ctx, sent); err != nil {
		return nil, err
	}
	seen, err := readTags(ctx, "seen")
	if err != nil {
		return nil, err
	}
	passed := make([]bool, len(sent))
	for i, x := range sent {
		passed[i] = seen[x.family()][x.tag]
	}
	return passed, nil
}

// tagOf gives each probe a number; 0 is what the kernel's own packets may have.
func tagOf(i int) uint16 { return uint16(i + 1) }

// firstSpare is the first number that no probe has.
const firstSpare = maxProbes + 1

// shot is a packet with its number.
type shot struct {
	Probe
	tag   uint16
	flags byte
}

func (x shot) family() int {
	if x.Src.Is4() {
		return 4
	}
	return 6
}

// prepare makes sure that packets arrive, and opens the connections of established
// probes, to sockets that answer. Links take a moment until they carry something.
func (s *stage) prepare(ctx context.Context) error {
	var first []shot
	listening := map[uint16]bool{}
	used := map[string]bool{}
	for _, p := range s.job.Probes {
		x := shot{p, uint16(firstSpare + len(first)), flagSYN}
		x.Protocol, x.DstPort, x.Established = udp, 9, false
		if p.Established {
			x.Probe = p
			if !listening[p.DstPort] {
				l, err := net.Listen("tcp", ":"+strconv.Itoa(int(p.DstPort)))
				if err != nil {
					return err
				}
				listening[p.DstPort] = true
				s.open = append(s.open, l)
			}
		}
		if key := p.In + strconv.Itoa(x.family()); p.Established || !used[key] {
			used[key] = true
			first = append(first, x)
		}
		if len(first) > 60 { // numbers are 16 bits
			return errors.New("too many interfaces and connections to rehearse")
		}
	}
	return s.fire(ctx, first)
}

// fire sends packets and waits until all have arrived, so that one that is not seen
// behind the rules was dropped, and did not get lost on the way there.
func (s *stage) fire(ctx context.Context, shots []shot) error {
	missing := shots
	for range 100 {
		for _, x := range missing {
			if err := s.send(x.Probe, x.tag, x.flags); err != nil {
				return err
			}
		}
		came, err := readTags(ctx, "came")
		if err != nil {
			return err
		}
		var left []shot
		for _, x := range missing {
			if !came[x.family()][x.tag] {
				left = append(left, x)
			}
		}
		if missing = left; len(missing) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	return fmt.Errorf("%d packets did not arrive in the throwaway namespace, the first of them %s", len(missing), missing[0].Probe)
}

func (s *stage) send(p Probe, tag uint16, flags byte) error {
	e, ok := s.ends[p.In]
	if !ok {
		return fmt.Errorf("%s: no such interface", p.In)
	}
	to := e.mac
	if p.Dst.IsMulticast() {
		to = groupAddress(p.Dst)
	}
	if _, err := unix.Write(e.socket, frame(p, to, tag, flags)); err != nil {
		return fmt.Errorf("send %s: %w", p, err)
	}
	return nil
}

// groupAddress is the hardware address of a multicast group (RFC 1112, RFC 2464).
func groupAddress(a netip.Addr) [6]byte {
	if a.Is4() {
		b := a.As4()
		return [6]byte{1, 0, 0x5e, b[1] & 0x7f, b[2], b[3]}
	}
	b := a.As16()
	return [6]byte{0x33, 0x33, b[12], b[13], b[14], b[15]}
}

// readTags reads the numbers in two sets of the witness, by family.
func readTags(ctx context.Context, name string) (map[int]map[uint16]bool, error) {
	out := map[int]map[uint16]bool{}
	for _, family := range []int{4, 6} {
		tags, err := readSet(ctx, name+strconv.Itoa(family))
		if err != nil {
			return nil, err
		}
		out[family] = tags
	}
	return out, nil
}

// readSet reads the numbers in a set of the witness.
func readSet(ctx context.Context, name string) (map[uint16]bool, error) {
	out, err := run.Command{Argv: []string{"nft", "-j", "list", "set", "inet", "sekimori-rehearsal", name}}.Output(ctx)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Nftables []struct {
			Set struct {
				Elem []json.RawMessage `json:"elem"`
			} `json:"set"`
		} `json:"nftables"`
	}
	if err := json.Unmarshal(out, &answer); err != nil {
		return nil, fmt.Errorf("nft's answer: %w", err)
	}
	tags := map[uint16]bool{}
	for _, o := range answer.Nftables {
		for _, e := range o.Set.Elem {
			n, err := strconv.ParseUint(strings.Trim(string(e), `" `), 0, 32)
			if err != nil {
				return nil, fmt.Errorf("nft's answer: %s is no number", e)
			}
			tags[uint16(n)] = true
		}
	}
	return tags, nil
}

func nft(ctx context.Context, text []byte) error {
	_, err := run.Command{Argv: []string{"nft", "-f", "-"}, Stdin: text}.Output(ctx)
	return err
}
