//go:build linux

package sshwire_test

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sekimori/internal/audit"
	"sekimori/internal/host"
	"sekimori/internal/lab"
	"sekimori/internal/observe/sshwire"
)

func TestMain(m *testing.M) { lab.Main(m) }

// offers are configurations of algorithms, each with what sshd says of itself in
// three categories at least.
func offers() []string {
	var out []string
	for _, kex := range []string{
		"curve25519-sha256", "sntrup761x25519-sha512@openssh.com,curve25519-sha256@libssh.org", "ecdh-sha2-nistp256", "ecdh-sha2-nistp384,curve25519-sha256",
		"ecdh-sha2-nistp521", "curve25519-sha256,diffie-hellman-group14-sha1", "curve25519-sha256,diffie-hellman-group1-sha1",
		"curve25519-sha256,diffie-hellman-group14-sha256,diffie-hellman-group16-sha512", "curve25519-sha256,diffie-hellman-group18-sha512",
	} {
		out = append(out, "KexAlgorithms "+kex)
	}
	for _, ciphers := range []string{
		"aes256-gcm@openssh.com", "aes128-gcm@openssh.com,aes128-cbc", "aes128-ctr,3des-cbc", "aes256-ctr,aes256-cbc,aes192-cbc", "aes192-ctr", "chacha20-poly1305@openssh.com,aes256-ctr",
	} {
		out = append(out, "KexAlgorithms curve25519-sha256\nCiphers "+ciphers)
	}
	for _, macs := range []string{
		"hmac-sha2-256", "hmac-sha2-512", "hmac-sha2-256-etm@openssh.com,hmac-md5", "hmac-sha2-512-etm@openssh.com,hmac-md5-96-etm@openssh.com",
		"hmac-sha2-256,hmac-sha1,hmac-sha1-96", "hmac-sha2-256,umac-64@openssh.com,umac-64-etm@openssh.com", "hmac-sha2-256,umac-128-etm@openssh.com,hmac-sha1-etm@openssh.com",
	} {
		out = append(out, "KexAlgorithms curve25519-sha256\nCiphers aes128-ctr\nMACs "+macs)
	}
	for _, keys := range []string{"ssh-ed25519", "rsa-sha2-512,ssh-rsa", "ecdsa-sha2-nistp256,ssh-ed25519"} {
		out = append(out, "KexAlgorithms curve25519-sha256\nHostKeyAlgorithms "+keys)
	}
	return out
}

// TestSSHAudit: what we read on the wire is what ssh-audit reads, and what that
// calls a failure our audit calls weak; what our audit calls weak, ssh-audit does
// not call good.
func TestSSHAudit(t *testing.T) {
	lab.EnterRoot(t, func(t *testing.T) {
		lab.Need(t, "sshd", "ssh-keygen", "ssh-audit")
		dir := t.TempDir()
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatal(err)
		}
		for _, kind := range []string{"ed25519", "rsa", "ecdsa"} {
			lab.Run(t, "ssh-keygen", "-q", "-t", kind, "-N", "", "-f", filepath.Join(dir, kind))
		}
		configs := offers()
		if len(configs) < 20 {
			t.Fatalf("%d configurations", len(configs))
		}
		for i, config := range configs {
			serve(t, dir, 4000+i, config)
		}
		// ssh-audit waits most of its time: all of them wait together.
		texts := make([]string, len(configs))
		var wait sync.WaitGroup
		for i := range configs {
			wait.Go(func() {
				// Its exit status says how bad it is.
				out, _ := exec.Command("ssh-audit", "-n", "-p", fmt.Sprint(4000+i), "127.0.0.1").Output()
				texts[i] = string(out)
			})
		}
		wait.Wait()
		for i, config := range configs {
			compareWithSSHAudit(t, 4000+i, config, texts[i])
		}
	})
}

// serve starts sshd with a configuration.
func serve(t *testing.T, dir string, port int, config string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "sshd_config")
	text := fmt.Sprintf("Port %d\nListenAddress 127.0.0.1\nHostKey %[2]s/ed25519\nHostKey %[2]s/rsa\nHostKey %[2]s/ecdsa\nUsePAM no\nPidFile none\nPasswordAuthentication yes\nKbdInteractiveAuthentication no\nMaxStartups 100\n%[3]s\n", port, dir, config)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	sshd, err := exec.LookPath("sshd")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(sshd, "-D", "-e", "-f", file)
	var log strings.Builder
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for range 200 {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			c.Close()
			return
		}
		time.Sleep(25 * time.Millisecond)
	}
	t.Fatalf("sshd does not listen with\n%s", config)
}

// compareWithSSHAudit meets the server as we do and as ssh-audit does.
func compareWithSSHAudit(t *testing.T, port int, config, text string) {
	t.Helper()
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	m, err := sshwire.Meet(conn, "root")
	if err != nil {
		t.Fatalf("%v\n%s", err, config)
	}
	if d := cmp.Diff([]string{"publickey", "password"}, m.Methods); d != "" {
		t.Errorf("methods: %s", d)
	}
	said := verdicts(text)
	theirs := func(category string) []string {
		var names []string
		for _, v := range said {
			if v.category == category {
				names = append(names, v.name)
			}
		}
		return names
	}
	notKex := func(name string) bool { return strings.Contains(name, "kex-strict") || name == "ext-info-s" }
	for _, c := range []struct {
		category string
		ours     []string
	}{{"kex", m.Kex}, {"key", m.HostKeys}, {"enc", m.Ciphers}, {"mac", m.MACs}} {
		ours := slices.DeleteFunc(slices.Clone(c.ours), notKex)
		if d := cmp.Diff(slices.DeleteFunc(theirs(c.category), notKex), ours); d != "" || len(ours) == 0 {
			t.Errorf("%s: -ssh-audit +ours: %s\n%s", c.category, d, config)
		}
	}
	s := &host.Snapshot{Audited: true, EUID: -1, Asked: host.Asked{SSH: []host.SSHAnswer{{
		To: netip.MustParseAddrPort("127.0.0.1:22"), Kex: m.Kex, HostKeys: m.HostKeys, Ciphers: m.Ciphers, MACs: m.MACs,
	}}}}
	weak := ""
	for _, f := range audit.Run(audit.Input{Snapshot: s, Only: []audit.Section{audit.SSH}}).Findings {
		if f.ID == "ssh-algos-wire" {
			weak = strings.Join(f.Evidence, "\n")
		}
	}
	for _, v := range said {
		ours := regexp.MustCompile(`[ ,]` + regexp.QuoteMeta(v.name) + ` \(`).MatchString(weak)
		if v.fail && !ours {
			t.Errorf("%s: a failure to ssh-audit, and nothing to us\n%s", v.name, text)
		}
		if ours && !v.fail && !v.warn {
			t.Errorf("%s: weak to us, and good to ssh-audit\n%s", v.name, text)
		}
	}
}

// verdict is what ssh-audit says of one algorithm.
type verdict struct {
	category, name string
	fail, warn     bool
}

// verdicts reads ssh-audit's text: a line for each algorithm, with further notes
// on lines that begin with blanks.
func verdicts(text string) []verdict {
	var out []verdict
	for line := range strings.Lines(text) {
		if m := regexp.MustCompile(`^\((kex|key|enc|mac)\) (\S+)`).FindStringSubmatch(line); m != nil {
			if n := len(out); n == 0 || out[n-1].name != m[2] {
				out = append(out, verdict{category: m[1], name: m[2]})
			}
		} else if !strings.HasPrefix(line, " ") {
			continue
		}
		if n := len(out); n > 0 {
			out[n-1].fail = out[n-1].fail || strings.Contains(line, "[fail]")
			out[n-1].warn = out[n-1].warn || strings.Contains(line, "[warn]")
		}
	}
	return out
}
