//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sekimori/internal/host"
	"sekimori/internal/lab"
	"sekimori/internal/report"
)

// liveAudit audits the namespace that the test is in.
func liveAudit(t *testing.T, args ...string) report.Audit {
	t.Helper()
	var a report.Audit
	out := sekimori(t, exitDone, append([]string{"audit", "--format", "json", "--lang", "en"}, args...)...)
	if err := json.Unmarshal(out, &a); err != nil {
		t.Fatal(err)
	}
	return a
}

func findingOf(a report.Audit, id string) (report.Finding, bool) {
	i := slices.IndexFunc(a.Findings, func(f report.Finding) bool { return f.ID == id })
	if i < 0 {
		return report.Finding{}, false
	}
	return a.Findings[i], true
}

// expose opens Redis, SSDP and memcached to every address, on a host with a link
// to the outside.
func expose(t *testing.T) {
	t.Helper()
	world(t)
	lab.Run(t, "ip", "route", "add", "default", "via", "203.0.113.1")
	redis, err := net.Listen("tcp4", "0.0.0.0:6379")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { redis.Close() })
	for at, answer := range map[string]string{
		"0.0.0.0:1900":  "HTTP/1.1 200 OK\r\nST: upnp:rootdevice\r\nUSN: uuid:x\r\nSERVER: test\r\nLOCATION: http://192.0.2.1/x.xml\r\n\r\n",
		"0.0.0.0:11211": "\x00\x01\x00\x00\x00\x01\x00\x00STAT pid 1\r\nEND\r\n",
	} {
		c, err := net.ListenPacket("udp4", at)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		go func() {
			buf := make([]byte, 2048)
			for {
				_, from, err := c.ReadFrom(buf)
				if err != nil {
					return
				}
				for range 3 {
					_, _ = c.WriteTo([]byte(answer), from)
				}
			}
		}()
	}
}

// TestThreeFirewalls: Redis, SSDP and memcached behind no rules, behind rules that
// accept everything, and behind a default drop. An auditor that looks at sockets
// alone, or at rules alone, says the same three times.
func TestThreeFirewalls(t *testing.T) {
	lab.EnterRoot(t, func(t *testing.T) {
		expose(t)
		none := liveAudit(t, "--only", "exposure,firewall", "--probe")
		lab.LoadNFT(t, "table inet filter { chain input { type filter hook input priority 0; policy accept; ct state established accept; tcp dport 22 accept; }; }")
		all := liveAudit(t, "--only", "exposure,firewall")
		lab.LoadNFT(t, "flush ruleset; table inet filter { chain input { type filter hook input priority 0; policy drop; iif lo accept; ct state established,related accept; meta l4proto { icmp, icmpv6 } accept; tcp dport 22 accept; }; }")
		drop := liveAudit(t, "--only", "exposure,firewall")
		for _, c := range []struct {
			name  string
			audit report.Audit
			grade string // of exposure alone: the machine's own units bear on the rest
			has   []string
			lacks []string
		}{
			{"no rules", none, "F", []string{"exp-danger", "exp-amplifier", "fw-present"}, []string{"fw-drop4", "exp-wildcard"}},
			{"accept all", all, "F", []string{"exp-danger", "exp-amplifier", "fw-drop4", "fw-drop6"}, []string{"fw-present", "exp-wildcard"}},
			{"default drop", drop, "B", []string{"exp-wildcard"}, []string{"exp-danger", "exp-amplifier", "fw-present", "fw-drop4", "fw-drop6", "exp-reach"}},
		} {
			if g := gradeOf(c.audit, "exposure"); g != c.grade || c.audit.Grade == "?" {
				t.Errorf("%s: grade %s, want %s: %+v %+v", c.name, g, c.grade, c.audit.Findings, c.audit.Unseen)
			}
			for _, id := range c.has {
				if _, ok := findingOf(c.audit, id); !ok {
					t.Errorf("%s: %s is not found", c.name, id)
				}
			}
			for _, id := range c.lacks {
				if f, ok := findingOf(c.audit, id); ok {
					t.Errorf("%s: %s: %q", c.name, id, f.Evidence)
				}
			}
		}
		f, _ := findingOf(none, "exp-amplifier")
		said := strings.Join(f.Evidence, "\n")
		for _, want := range []string{"SSDP: 1900/udp", "memcached: 11211/udp", "answers here: ", "bytes to a question of"} {
			if !strings.Contains(said, want) {
				t.Errorf("no %q in %s", want, said)
			}
		}
	})
}

// TestSignsOfCompromise: a script from /tmp that calls itself apache2, is deleted
// and talks to the network, and a copy of a program that runs from /dev/shm after
// its file was deleted.
func TestSignsOfCompromise(t *testing.T) {
	lab.EnterRoot(t, func(t *testing.T) {
		lab.Need(t, "/usr/bin/python3", "sleep") // what stands before it in PATH may be a script that changes its name
		world(t)
		dir, err := os.MkdirTemp("/tmp", ".x")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		script := filepath.Join(dir, "bot.py")
		text := "import socket, time\ns = socket.socket()\ns.bind(('0.0.0.0', 4711))\ns.listen()\nprint('ready', flush=True)\ntime.sleep(60)\n"
		if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
		startProgram(t, "/usr/bin/python3", []string{"/usr/sbin/apache2", script}, true)
		gone := filepath.Join(dir, "k")
		program, err := os.ReadFile("/bin/sleep")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(gone, program, 0o700); err != nil {
			t.Fatal(err)
		}
		startProgram(t, gone, []string{"[kworker/0:1]", "60"}, false)
		time.Sleep(50 * time.Millisecond)
		for _, name := range []string{script, gone} {
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
		a := liveAudit(t, "--only", "compromise")
		for id, want := range map[string]string{
			"ioc-interp-net": "bot.py is gone, and it listens on 4711/tcp", "ioc-argv": "calls itself /usr/sbin/apache2",
			"ioc-deleted-exe": gone + " was deleted", "ioc-fake-kthread": "[kworker/0:1]",
		} {
			f, ok := findingOf(a, id)
			if !ok || !slices.ContainsFunc(f.Evidence, func(e string) bool { return strings.Contains(e, want) }) {
				if id == "ioc-interp-net" && ok && slices.ContainsFunc(f.Evidence, func(e string) bool { return strings.Contains(e, "bot.py") }) {
					continue
				}
				t.Errorf("%s: no %q in %q", id, want, f.Evidence)
			}
		}
	})
}

// gradeOf is the grade that the findings of one section alone would give.
func gradeOf(a report.Audit, section string) string {
	grades := map[string]string{"info": "A", "low": "B", "medium": "C", "high": "D", "critical": "F"}
	worst := "A"
	for _, f := range a.Findings {
		if f.Section == section {
			worst = max(worst, grades[f.Severity])
		}
	}
	return worst
}

// TestSavedRules: what nftables.service would load at boot is put beside what is
// loaded, by meaning: another order is the same, another port is not.
func TestSavedRules(t *testing.T) {
	lab.EnterRoot(t, func(t *testing.T) {
		world(t)
		const rules = `table inet filter { chain input { type filter hook input priority 0; policy drop; iif lo accept; tcp dport 22 accept; tcp dport 443 accept; }; }`
		lab.LoadNFT(t, rules)
		file := filepath.Join(t.TempDir(), "host.json")
		sekimori(t, exitDone, "snapshot", "-o", file)
		for text, want := range map[string]string{
			`table inet f { chain i { type filter hook input priority 0; policy drop; iif lo accept; tcp dport { 443, 22 } accept; }; }`: "",
			strings.ReplaceAll(rules, "443", "3306"): "after the next boot drop becomes accept for IPv4 packets: tcp dport 3306",
			"table inet broken {":                    "",
		} {
			s := readHost(t, file)
			s.Units = []host.Unit{{Name: "nftables.service", Manager: "systemd", State: "enabled"}}
			s.SavedRules = []host.TextFile{{File: host.File{Path: "/etc/nftables.conf", Type: "file"}, Text: text}}
			changed := filepath.Join(t.TempDir(), "changed.json")
			var b bytes.Buffer
			if err := host.Write(&b, s); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(changed, b.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			a := liveAudit(t, "--snapshot", changed, "--only", "firewall")
			f, found := findingOf(a, "fw-saved")
			if found != (want != "") || !strings.Contains(strings.Join(f.Evidence, "\n"), want) {
				t.Errorf("%s: %q", text, f.Evidence)
			}
			if broken := strings.Contains(text, "broken"); broken != slices.ContainsFunc(a.Unseen, func(u report.Unseen) bool { return strings.HasPrefix(u.Reason, "/etc/nftables.conf: ") }) {
				t.Errorf("%s: unseen: %+v", text, a.Unseen)
			}
		}
	})
}

func readHost(t *testing.T, file string) *host.Snapshot {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s, err := host.Read(f)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
