package guard_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sekimori/internal/guard"
	"sekimori/internal/guard/filter"
	"sekimori/internal/guard/logdate"
)

// decisionsScript replays a log through fail2ban's own filter, failure and ban
// managers, the time following the log, and prints who was banned when.
const decisionsScript = `
import sys, json, os, time, types
os.environ["TZ"] = "UTC"; time.tzset()
sys.path.insert(0, sys.argv[1])
import logging
logging.disable(logging.CRITICAL)
from fail2ban.server.mytime import MyTime
MyTime.setAlternateNow(1767225600)
from fail2ban.server import utils
utils.time = types.SimpleNamespace(time=MyTime.time, sleep=time.sleep)
from fail2ban.server.filter import Filter
from fail2ban.server.ticket import FailTicket, BanTicket
from fail2ban.server.banmanager import BanManager
from fail2ban.client.filterreader import FilterReader

class Jail:
    name = "jail"
    def __init__(self): self.out, self.bans = [], BanManager()
    def putFailTicket(self, ticket):
        t = ticket.getTime()
        self.bans.unBanList(t)
        if not ticket.getID().isValid: return
        if self.bans.addBanTicket(BanTicket.wrap(ticket)):
            self.out.append([str(ticket.getID()), t])

for q in sys.stdin:
    q = json.loads(q)
    MyTime.setTime(q["start"])
    r = FilterReader(q["filter"], "jail", dict(q["options"]), basedir=sys.argv[2])
    r.read(); r.getOptions({})
    jail = Jail()
    f = Filter(jail)
    f.setUseDns("raw")
    f.checkFindTime = False
    f.active = True
    dates = None
    for c in r.convert():
        for v in (c[3] if c[0] == "multi-set" else [c[3]]):
            k = c[2]
            if k == "prefregex": f.prefRegex = v
            elif k == "addfailregex": f.addFailRegex(v)
            elif k == "addignoreregex": f.addIgnoreRegex(v)
            elif k == "maxlines": f.setMaxLines(v)
            elif k == "datepattern": f.setDatePattern(v)
    f.setMaxRetry(q["maxretry"]); f.setFindTime(str(q["findtime"]))
    jail.bans.setBanTime(q["bantime"])
    f.jail = jail
    n = 0
    for line in open(q["log"], encoding="utf-8", errors="replace", newline="\n"):
        for (_, ip, at, fail) in f.processLine(line.rstrip("\r\n")):
            if ip is None or not ip.isValid: continue
            if at > MyTime.time(): MyTime.setTime(at)
            ticket = FailTicket(ip, at, data=fail)
            if f.failManager.addFailure(ticket) >= f.failManager.getMaxRetry():
                f.performBan(ip)
        n += 1
        if n % 100 == 0: f.performSvc()
    print(json.dumps(jail.out), flush=True)
`

func fail2banDir(t *testing.T) (etc, lib string) {
	etc = os.Getenv("SEKIMORI_FAIL2BAN")
	if etc == "" {
		etc = "/etc/fail2ban"
	}
	lib = filepath.Join(etc, "../../usr/lib/python3/dist-packages")
	if _, err := os.Stat(filepath.Join(lib, "fail2ban/server/filter.py")); err != nil {
		t.Skip("fail2ban is not installed: its decisions cannot be asked for")
	}
	return etc, lib
}

// A banned is a decision, on both sides.
type banned struct {
	ID   string
	Time int64
}

type setting struct {
	filter            string
	options           map[string]string
	log               string
	retry, find, time int
}

// ask lets fail2ban decide.
func (s setting) ask(t *testing.T, in *json.Encoder, out *bufio.Scanner) []banned {
	err := in.Encode(map[string]any{
		"filter": s.filter, "options": s.options, "log": s.log, "start": 1767225600,
		"maxretry": s.retry, "findtime": s.find, "bantime": s.time,
	})
	if err != nil || !out.Scan() {
		t.Fatal("fail2ban does not answer: ", err, out.Err())
	}
	var raw [][2]any
	if err := json.Unmarshal(out.Bytes(), &raw); err != nil {
		t.Fatal(err)
	}
	var bans []banned
	for _, r := range raw {
		bans = append(bans, banned{r[0].(string), int64(r[1].(float64))})
	}
	return bans
}

// decide lets the guard decide, counting by estimate.
func (s setting) decide(t *testing.T, etc string) []banned {
	d, err := filter.Load(os.DirFS(etc), s.filter, s.options)
	if err != nil {
		t.Fatal(err)
	}
	f, err := filter.Compile(d)
	if err != nil {
		t.Fatal(err)
	}
	run, err := filter.NewSet(f).NewRun(filter.Settings{Year: 2026, Clock: logdate.Clock{Now: time.Unix(1767225600, 0), Local: time.UTC}})
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(s.log)
	if err != nil {
		t.Fatal(err)
	}
	st := guard.New(guard.Rule{After: s.retry, Within: time.Duration(s.find) * time.Second, For: time.Duration(s.time) * time.Second, Estimate: true})
	var bans []banned
	now := time.Unix(1767225600, 0)
	n := 0
	for line := range bytes.Lines(data) {
		run.SetNow(now)
		for _, h := range run.Line(line) {
			if !h.Addr.IsValid() {
				continue
			}
			at := time.Unix(int64(h.Time), 0)
			if at.After(now) {
				now = at
			}
			if dec, ok := st.Failure(guard.Event{Time: at, Source: h.Addr}, now); ok {
				bans = append(bans, banned{dec.Prefix.Addr().String(), dec.Time.Unix()})
			}
			if st.Tried() {
				st.Service(now)
			}
		}
		if n++; n%100 == 0 {
			st.Service(now)
		}
	}
	return bans
}

func TestSameDecisionsAsFail2ban(t *testing.T) {
	etc, lib := fail2banDir(t)
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is not installed")
	}
	log := filepath.Join(t.TempDir(), "auth.log")
	if err := os.WriteFile(log, sshdLog(t, 6000), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), python, "-c", decisionsScript, lib, etc)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stdin.Close(); cmd.Wait() })
	in, out := json.NewEncoder(stdin), bufio.NewScanner(stdout)
	out.Buffer(nil, 64<<20)
	var settings []setting
	for _, mode := range []string{"normal", "ddos", "extra", "aggressive"} {
		for _, n := range [][3]int{{5, 600, 600}, {3, 600, 3600}, {1, 60, 60}, {5, 86400, 86400}, {10, 3600, 600}, {2, 30, 120}} {
			settings = append(settings, setting{"sshd", map[string]string{"mode": mode}, log, n[0], n[1], n[2]})
		}
	}
	for name, line := range map[string]string{
		"dropbear":        "{BSD} host dropbear[{PID}]: bad password attempt for 'root' from {IP}:{PID}",
		"postfix":         "{BSD} host postfix/smtpd[{PID}]: NOQUEUE: reject: RCPT from unknown[{IP}]: 554 5.7.1 <a@example.net>: Relay access denied; from=<b@example.org> to=<a@example.net> proto=ESMTP helo=<x>",
		"apache-auth":     "[{APACHE}] [error] [client {IP}] user root not found: /secret",
		"nginx-http-auth": "{NGINX} [error] 1#1: *{PID} user \"root\" was not found in \"/etc/nginx/users\", client: {IP}, server: a, request: \"GET / HTTP/1.1\", host: \"a\"",
		"vsftpd":          "{BSD} host vsftpd: pam_unix(vsftpd:auth): authentication failure; logname= uid=0 euid=0 tty=ftp ruser=root rhost={IP}",
		"proftpd":         "{BSD} host proftpd[{PID}]: host ({IP}[{IP}]): USER root: no such user found from {IP} [{IP}] to 192.0.2.1:21",
	} {
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, madeLog(line, 3000), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, n := range [][3]int{{5, 600, 600}, {2, 60, 3600}, {8, 7200, 300}} {
			settings = append(settings, setting{name, map[string]string{}, file, n[0], n[1], n[2]})
		}
	}
	total := 0
	for _, s := range settings {
		want, got := s.ask(t, in, out), s.decide(t, etc)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s %v maxretry %d findtime %d bantime %d: fail2ban decides %d times, we %d (-fail2ban +we)\n%s",
				s.filter, s.options, s.retry, s.find, s.time, len(want), len(got), clip(diff))
		}
		total += len(want)
	}
	if total < 1000 {
		t.Errorf("only %d decisions", total)
	}
	t.Logf("%d settings, %d decisions", len(settings), total)
}

// madeLog writes a line over and over, from a few addresses at random times.
func madeLog(line string, n int) []byte {
	r := rand.New(rand.NewPCG(3, 4))
	var b bytes.Buffer
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for range n {
		at = at.Add(time.Duration(r.IntN(90)) * time.Second)
		b.WriteString(strings.NewReplacer(
			"{BSD}", at.Format("Jan _2 15:04:05"), "{APACHE}", at.Format("Mon Jan 02 15:04:05.000000 2006"), "{NGINX}", at.Format("2006/01/02 15:04:05"),
			"{PID}", fmt.Sprint(1000+r.IntN(9000)), "{IP}", fmt.Sprintf("198.51.100.%d", r.IntN(1+r.IntN(60))),
		).Replace(line))
		b.WriteByte('\n')
	}
	return b.Bytes()
}

func clip(s string) string { return s[:min(len(s), 1500)] }

// sshdLog is the recorded log of an sshd under attack with IPv4 addresses and
// times in order, so often that it has so many lines.
func sshdLog(t testing.TB, lines int) []byte {
	dir := os.Getenv("SEKIMORI_CORPUS")
	if dir == "" {
		up, err := filepath.Abs(".")
		if err != nil {
			t.Fatal(err)
		}
		for {
			if _, err := os.Stat(filepath.Join(up, "go.mod")); err == nil || up == "/" {
				break
			}
			up = filepath.Dir(up)
		}
		dir = filepath.Join(up, "../shared/corpus")
	}
	data, err := os.ReadFile(filepath.Join(dir, "sshd-logs/OpenSSH_2k.log"))
	if err != nil {
		t.Skip("the corpus is not here: set $SEKIMORI_CORPUS")
	}
	recorded := strings.Split(strings.TrimSpace(strings.ReplaceAll(string(data), "\r", "")), "\n")
	var b bytes.Buffer
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range lines {
		at = at.Add(time.Duration(i%7) * time.Second)
		fmt.Fprintf(&b, "%s%s\n", at.Format("Jan _2 15:04:05"), recorded[i%len(recorded)][15:])
	}
	return b.Bytes()
}
