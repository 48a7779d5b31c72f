package observe

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"sekimori/internal/host"
)

// TestQuestions: each question has the length that its own fields say, where the
// protocol has such fields.
func TestQuestions(t *testing.T) {
	for _, port := range []uint16{7, 19, 53, 69, 111, 123, 137, 161, 389, 1900, 3702, 5353, 11211} {
		qs := questions(port)
		if len(qs) == 0 {
			t.Errorf("nothing is asked on port %d", port)
		}
		for _, q := range qs {
			if len(q.text) == 0 || len(q.text) > 1200 {
				t.Errorf("%s: %d bytes", q.protocol, len(q.text))
			}
			if q.protocol == "snmp" || q.protocol == "cldap" { // BER: a sequence of all that follows
				if q.text[0] != 0x30 || int(q.text[1]) != len(q.text)-2 {
					t.Errorf("%s: length %d of %d", q.protocol, q.text[1], len(q.text)-2)
				}
			}
		}
	}
	if questions(40000) != nil {
		t.Error("an unknown port is asked something")
	}
}

func TestDNSMeaning(t *testing.T) {
	q := dnsQuestion()
	if want := "\x5e\x41\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x01"; string(q.text) != want {
		t.Errorf("%x", q.text)
	}
	for flags, want := range map[[2]byte]string{{0x81, 0x80}: "recursive", {0x81, 0x05}: "refused", {0x81, 0x85}: "refused", {0x85, 0x00}: "not recursive"} {
		answer := append([]byte{0x5e, 0x41, flags[0], flags[1]}, make([]byte, 8)...)
		if got := q.meaning(answer); got != want {
			t.Errorf("%x: %s, want %s", flags, got, want)
		}
	}
	if got := q.meaning([]byte{1}); got != "broken" {
		t.Error(got)
	}
}

// TestAskOwnOnly: only addresses of this machine are asked.
func TestAskOwnOnly(t *testing.T) {
	s := &host.Snapshot{
		Interfaces: []host.Interface{{Name: "eth0", Addresses: []host.Address{{Prefix: netip.MustParsePrefix("203.0.113.5/24")}}}},
		Sockets:    []host.Socket{{Proto: "udp", Family: 4, Takes4: true, Local: netip.MustParseAddrPort("198.51.100.9:1900")}},
	}
	if got := askUDP(t.Context(), s); got != nil {
		t.Errorf("somebody else's address was asked: %+v", got)
	}
	for local, want := range map[string]string{"0.0.0.0:53": "127.0.0.1:53", "203.0.113.5:53": "203.0.113.5:53", "127.0.0.53:53": "127.0.0.53:53"} {
		if got := loopbackFor(host.Socket{Family: 4, Takes4: true, Local: netip.MustParseAddrPort(local)}); got.String() != want {
			t.Errorf("%s is asked at %s, want %s", local, got, want)
		}
	}
	if got := loopbackFor(host.Socket{Family: 6, Takes6: true, Local: netip.MustParseAddrPort("[::]:53")}); got.String() != "[::1]:53" {
		t.Error(got)
	}
}

// TestAskCounts: answers are counted, and one that does not come is none.
func TestAskCounts(t *testing.T) {
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	go func() {
		buf := make([]byte, 2048)
		_, from, err := c.ReadFrom(buf)
		if err != nil {
			return
		}
		for range 2 {
			_, _ = c.WriteTo([]byte(strings.Repeat("x", 500)), from)
		}
	}()
	at := netip.MustParseAddrPort(c.LocalAddr().String())
	a := askOne(t.Context(), at, question{"ssdp", []byte("M-SEARCH"), nil})
	if a.Sent != 8 || a.Received != 1000 || a.Err != "" {
		t.Errorf("%+v", a)
	}
	if a := askOne(t.Context(), at, question{"ssdp", []byte("M-SEARCH"), nil}); a.Received != 0 {
		t.Errorf("nobody answers any more: %+v", a)
	}
}
