package observe

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// errChanged says that what a dump listed changed while it was listed
// (NLM_F_DUMP_INTR): the answer may lack something or have it twice.
var errChanged = errors.New("the kernel's list changed while it was read")

const (
	// receiveBuffer holds any datagram the kernel sends in a dump; it makes
	// them no longer than 32 KiB where the buffer allows, except for links.
	receiveBuffer = 256 << 10
	// answerWithin bounds the wait for one answer; the kernel answers a dump
	// synchronously, so that only a lost one is waited for.
	answerWithin = 5 * time.Second
	nlmsgHeader  = 16
	// nlmDumpIntr is NLM_F_DUMP_INTR and nlmDumpFiltered NLM_F_DUMP_FILTERED.
	nlmDumpIntr = 0x10
)

// netlink is one netlink socket (netlink(7)), used for one request at a time.
type netlink struct {
	fd  int
	seq uint32
	buf []byte
}

func dialNetlink(proto int) (*netlink, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, proto)
	if err != nil {
		return nil, fmt.Errorf("netlink socket: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("bind netlink socket: %w", err)
	}
	tv := unix.NsecToTimeval(answerWithin.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("netlink receive timeout: %w", err)
	}
	// A dump is produced as it is received, so a small buffer loses nothing;
	// this one saves round trips. Failing to get it is no matter.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<20)
	return &netlink{fd: fd, buf: make([]byte, receiveBuffer)}, nil
}

func (n *netlink) close() { unix.Close(n.fd) }

// dump sends a request with NLM_F_DUMP and hands each message of the answer to
// each, whose argument is valid during the call only. The message's type comes
// with it. A list that changed meanwhile is errChanged, after all messages.
func (n *netlink) dump(ctx context.Context, typ uint16, payload []byte, each func(typ uint16, payload []byte) error) error {
	return n.request(ctx, typ, unix.NLM_F_REQUEST|unix.NLM_F_DUMP, payload, each)
}

// get sends a request that one message answers.
func (n *netlink) get(ctx context.Context, typ uint16, payload []byte, each func(typ uint16, payload []byte) error) error {
	return n.request(ctx, typ, unix.NLM_F_REQUEST|unix.NLM_F_ACK, payload, each)
}

func (n *netlink) request(ctx context.Context, typ, flags uint16, payload []byte, each func(uint16, []byte) error) error {
	n.seq++
	msg := make([]byte, 0, nlmsgHeader+len(payload))
	msg = binary.NativeEndian.AppendUint32(msg, uint32(nlmsgHeader+len(payload)))
	msg = binary.NativeEndian.AppendUint16(msg, typ)
	msg = binary.NativeEndian.AppendUint16(msg, flags)
	msg = binary.NativeEndian.AppendUint32(msg, n.seq)
	msg = binary.NativeEndian.AppendUint32(msg, 0)
	msg = append(msg, payload...)
	if err := unix.Sendto(n.fd, msg, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	changed := false
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		b, err := n.receive()
		if err != nil {
			return err
		}
		done, err := n.answer(b, &changed, each)
		if err != nil {
			return err
		}
		if done {
			break
		}
	}
	if changed {
		return errChanged
	}
	return nil
}

func (n *netlink) receive() ([]byte, error) {
	for {
		size, _, flags, from, err := unix.Recvmsg(n.fd, n.buf, nil, 0)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return nil, fmt.Errorf("receive: %w", err)
		case flags&unix.MSG_TRUNC != 0:
			return nil, fmt.Errorf("receive: a message is longer than %d bytes", len(n.buf))
		}
		if sa, ok := from.(*unix.SockaddrNetlink); ok && sa.Pid != 0 {
			continue // not from the kernel
		}
		return n.buf[:size], nil
	}
}

// answer goes through the messages of one datagram.
func (n *netlink) answer(b []byte, changed *bool, each func(uint16, []byte) error) (done bool, err error) {
	for len(b) >= nlmsgHeader {
		size := int(u32(b))
		if size < nlmsgHeader || size > len(b) {
			return false, fmt.Errorf("%w: netlink message of %d bytes in %d", errShort, size, len(b))
		}
		typ, flags, seq, payload := u16(b[4:]), u16(b[6:]), u32(b[8:]), b[nlmsgHeader:size]
		b = b[min((size+3)&^3, len(b)):]
		if seq != n.seq {
			continue // the rest of an answer that was given up
		}
		*changed = *changed || flags&nlmDumpIntr != 0
		switch typ {
		case unix.NLMSG_NOOP:
		case unix.NLMSG_ERROR, unix.NLMSG_DONE:
			// Both carry an errno, negated; a DONE without one is a success.
			if code := int32(u32(payload)); code < 0 {
				if errno := unix.Errno(-code); errno != unix.EINTR {
					return true, errno
				}
				*changed = true
			}
			return true, nil
		case unix.NLMSG_OVERRUN:
			return true, errors.New("the kernel lost part of the answer")
		default:
			if err := each(typ, payload); err != nil {
				return true, err
			}
		}
	}
	if len(b) > 0 {
		return false, fmt.Errorf("%w: %d bytes behind the last netlink message", errShort, len(b))
	}
	return false, nil
}

// attempts is how often something that changes while it is read is read anew.
const attempts = 8

// steady repeats read until what it reads holds still.
func steady(ctx context.Context, read func() error) error {
	wait := time.Millisecond
	for i := 0; ; i++ {
		err := read()
		if !errors.Is(err, errChanged) || i+1 == attempts {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
			wait *= 2
		}
	}
}
