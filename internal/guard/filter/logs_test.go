package filter

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// attackLog makes a log of an sshd under attack: the recorded 2,000 lines over
// and over, the times going on, other addresses each time.
func attackLog(t testing.TB, lines int) []byte {
	data, err := os.ReadFile(filepath.Join(corpus(t, "sshd-logs"), "OpenSSH_2k.log"))
	if err != nil {
		t.Fatal(err)
	}
	recorded := strings.Split(strings.TrimSpace(strings.ReplaceAll(string(data), "\r", "")), "\n")
	address := regexp.MustCompile(`\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b`)
	var out bytes.Buffer
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range lines {
		l := recorded[i%len(recorded)]
		rep := i / len(recorded)
		l = address.ReplaceAllStringFunc(l[len("Dec 10 06:55:46"):], func(a string) string {
			h := uint32(2166136261)
			for _, c := range a {
				h = (h ^ uint32(c)) * 16777619
			}
			h += uint32(rep) * 2654435761
			return fmt.Sprintf("%d.%d.%d.%d", 11+h>>24%180, h>>16&255, h>>8&255, 1+h&127)
		})
		out.WriteString(at.Format("Jan _2 15:04:05"))
		out.WriteString(l)
		out.WriteByte('\n')
		at = at.Add(4 * time.Second)
		if at.Year() > 2026 {
			at = at.AddDate(-1, 0, 0)
		}
	}
	return out.Bytes()
}

// benignLog makes a log of a busy host: one line in twenty is of an attack, a
// fifth from a web server's error log.
func benignLog(t testing.TB, lines int) []byte {
	attack := bufio.NewScanner(bytes.NewReader(attackLog(t, lines/20+1)))
	r := rand.New(rand.NewPCG(1, 2))
	var out bytes.Buffer
	at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for range lines {
		at = at.Add(time.Second)
		n := r.IntN(10_000)
		if r.IntN(20) == 0 && attack.Scan() {
			out.WriteString(at.Format("Jan _2 15:04:05") + attack.Text()[15:] + "\n")
			continue
		}
		if r.IntN(5) == 0 {
			fmt.Fprintf(&out, at.Format("[Mon Jan 02 15:04:05 2006] ")+[]string{
				"[notice] jk2_init() Found child %d in scoreboard slot 9\n",
				"[notice] workerEnv.init() ok /etc/httpd/conf/workers2.properties (%d)\n",
				"[error] mod_jk child workerEnv in error state %d\n",
				"[error] [client 198.51.100.7] Directory index forbidden by rule: /var/www/html/%d/\n",
			}[r.IntN(4)], n)
			continue
		}
		fmt.Fprintf(&out, at.Format("Jan _2 15:04:05 ")+[]string{
			"web1 CRON[%d]: (root) CMD (   cd / && run-parts --report /etc/cron.hourly)\n",
			"web1 CRON[%d]: pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)\n",
			"web1 sudo:    alice : TTY=pts/%d ; PWD=/home/alice ; USER=root ; COMMAND=/usr/bin/systemctl status nginx\n",
			"web1 systemd[1]: Started Session %d of user alice.\n",
			"web1 systemd[1]: logrotate.service: Deactivated successfully after %d ms.\n",
			"web1 kernel: [%d.123456] IPv6: ADDRCONF(NETDEV_CHANGE): veth1234567: link becomes ready\n",
			"web1 kernel: usb 1-1.2: new high-speed USB device number %d using xhci_hcd\n",
			"web1 ftpd[%d]: connection from 203.0.113.9 (gateway.example.net)\n",
			"web1 systemd-logind[512]: New session %d of user bob.\n",
			"web1 dhclient[%d]: DHCPACK of 192.0.2.44 from 192.0.2.1\n",
			"web1 postfix/qmgr[%d]: 4A1B2C3D4E: from=<alice@example.org>, size=2231, nrcpt=1 (queue active)\n",
			"web1 dockerd[%d]: time=\"2026-03-01T00:00:00Z\" level=info msg=\"Container health status changed\"\n",
		}[r.IntN(12)], n)
	}
	return out.Bytes()
}

// TestWriteBenchLogs writes the logs of the benchmarks to a directory, for the
// programs that they are compared with.
func TestWriteBenchLogs(t *testing.T) {
	dir := os.Getenv("SEKIMORI_BENCH_LOGS")
	if dir == "" {
		t.Skip("SEKIMORI_BENCH_LOGS names no directory to write to")
	}
	for name, data := range map[string][]byte{"attack.log": attackLog(t, 500_000), "benign.log": benignLog(t, 500_000)} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
