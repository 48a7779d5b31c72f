package sshwire_test

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"sekimori/internal/observe/sshwire"
)

// replay is a server that says what it was told, whatever it hears.
type replay struct{ io.Reader }

func (replay) Write(p []byte) (int, error) { return len(p), nil }

func TestRefused(t *testing.T) {
	for name, c := range map[string]struct{ says, want string }{
		"nothing":        {"", "no version line"},
		"not ssh":        {"HTTP/1.1 400 Bad Request\r\n\r\n", "no version line"},
		"old":            {"SSH-1.5-old\r\n", "it speaks SSH-1.5-old"},
		"endless line":   {strings.Repeat("x", 100_000), "a line without end"},
		"endless lines":  {strings.Repeat("x\n", 1000), "no version line"},
		"huge packet":    {"SSH-2.0-x\r\n\xff\xff\xff\xff", "a packet of"},
		"empty packet":   {"SSH-2.0-x\r\n\x00\x00\x00\x00", "a broken packet"},
		"other message":  {"SSH-2.0-x\r\n\x00\x00\x00\x0c\x0a\x06aaaaaaaaaa", "message 6 where 20 is due"},
		"only to ignore": {"SSH-2.0-x\r\n" + strings.Repeat("\x00\x00\x00\x0c\x0a\x02aaaaaaaaaa", 1000), "nothing but messages to ignore"},
		"short lists":    {"SSH-2.0-x\r\n\x00\x00\x00\x0c\x04\x14aaaaaaaaaa", "broken"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := sshwire.Meet(replay{strings.NewReader(c.says)}, "root")
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

// TestBannerIsText: what a server calls itself does not reach a terminal as it is.
func TestBannerIsText(t *testing.T) {
	m, _ := sshwire.Meet(replay{strings.NewReader("SSH-2.0-\x1b[2Jevil\r\n")}, "root")
	if m.Banner != "SSH-2.0-?[2Jevil" {
		t.Errorf("%q", m.Banner)
	}
}

// TestSilence: a deadline of the connection ends it.
func TestSilence(t *testing.T) {
	here, there := net.Pipe()
	defer there.Close()
	if err := here.SetDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := sshwire.Meet(here, "root"); err == nil {
		t.Error("no error from a server that says nothing")
	}
}

// FuzzMeet: no answer of a server makes it panic or take more than was sent.
func FuzzMeet(f *testing.F) {
	f.Add([]byte("SSH-2.0-x\r\n"))
	kexinit := []byte{20}
	kexinit = append(kexinit, make([]byte, 16)...)
	for _, list := range []string{"curve25519-sha256", "ssh-ed25519", "aes128-ctr", "aes128-ctr", "hmac-sha2-256", "hmac-sha2-256", "none", "none", "", ""} {
		kexinit = append(kexinit, 0, 0, 0, byte(len(list)))
		kexinit = append(kexinit, list...)
	}
	kexinit = append(kexinit, 0, 0, 0, 0, 0)
	packet := append([]byte{0, 0, 0, byte(len(kexinit) + 5), 4}, kexinit...)
	packet = append(packet, 0, 0, 0, 0)
	reply := append([]byte{0, 0, 0, 60, 4, 31, 0, 0, 0, 1, 'k', 0, 0, 0, 32}, bytes.Repeat([]byte{9}, 32)...)
	reply = append(reply, 0, 0, 0, 5, 's', 's', 's', 's', 's', 0, 0, 0, 0)
	f.Add(append([]byte("SSH-2.0-OpenSSH_9.2\r\n"), packet...))
	f.Add(append(append([]byte("SSH-2.0-OpenSSH_9.2\r\n"), packet...), reply...))
	f.Fuzz(func(t *testing.T, says []byte) {
		m, err := sshwire.Meet(replay{bytes.NewReader(says)}, "root")
		if err == nil {
			t.Fatalf("%+v: it agreed on keys with a recording", m)
		}
		if len(m.Kex) > 200 || len(m.Banner) > 255 {
			t.Errorf("%d names, banner of %d", len(m.Kex), len(m.Banner))
		}
	})
}
