package filters

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"sekimori/internal/guard/filter"
	"sekimori/internal/guard/logdate"
)

// judgedBy says which logs of the corpus are of the services that a filter
// covers, with the mode that finds what they are about.
var judgedBy = map[string][2]string{
	"sshd": {"sshd", ""}, "dropbear": {"dropbear", ""}, "nginx-http-auth": {"nginx", "aggressive"}, "nginx-limit-req": {"nginx", ""},
	"nginx-bad-request": {"nginx", "probing"}, "nginx-botsearch": {"nginx", "probing"}, "nginx-forbidden": {"nginx", ""},
	"apache-auth": {"apache", ""}, "apache-botsearch": {"apache", "probing"}, "apache-noscript": {"apache", "probing"},
	"apache-nohome": {"apache", "probing"}, "apache-overflows": {"apache", "probing"}, "apache-modsecurity": {"apache", ""},
	"haproxy-http-auth": {"haproxy", ""}, "traefik-auth": {"traefik", ""}, "postfix": {"postfix", ""}, "proftpd": {"proftpd", ""},
	"mysqld-auth": {"mysql", ""}, "openvpn": {"openvpn", ""}, "phpmyadmin-syslog": {"phpmyadmin", ""}, "roundcube-auth": {"roundcube", ""},
	"proxmox": {"proxmox", ""}, "xrdp": {"xrdp", ""}, "bitwarden": {"vaultwarden", ""},
}

var directive = regexp.MustCompile(`^#+ ?(failJSON|(?:file|filter)Options|addFILE):(.+)$`)

type sample struct {
	where, line string
	match       bool
	host        string
	options     map[string]string
}

// readSamples reads an annotated log; each line comes once for each set of options.
func readSamples(t *testing.T, path string) []sample {
	data, err := os.ReadFile(path)
	if err != nil {
		t.Skip("the corpus is not here: set $SEKIMORI_CORPUS")
	}
	var out []sample
	options := []map[string]string{{}}
	ignore := false
	lines := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	for n := 0; n < len(lines); n++ {
		var want map[string]any
		if m := directive.FindStringSubmatch(lines[n]); m != nil {
			var v any
			if err := json.Unmarshal([]byte(m[2]), &v); err != nil {
				t.Fatal(path, n+1, err)
			}
			switch m[1] {
			case "filterOptions":
				list, ok := v.([]any)
				if !ok {
					list = []any{v}
				}
				options, ignore = nil, false
				for _, e := range list {
					o := map[string]string{}
					for k, v := range e.(map[string]any) {
						if k == "mode" || k == "logtype" {
							o[k] = fmt.Sprint(v)
						}
					}
					options = append(options, o)
				}
				continue
			case "failJSON":
				want = v.(map[string]any)
				n++
			default:
				continue
			}
		} else if ignore || strings.HasPrefix(lines[n], "#") || strings.TrimSpace(lines[n]) == "" {
			continue
		}
		s := sample{where: fmt.Sprintf("%s:%d", filepath.Base(path), n+1), line: strings.TrimRight(lines[n], "\r")}
		s.match, _ = want["match"].(bool)
		s.host, _ = want["host"].(string)
		constraint, _ := want["constraint"].(string)
		for _, o := range options {
			aggressive := o["mode"] == "aggressive"
			if strings.HasPrefix(constraint, "opts.get('mode')") && aggressive != strings.Contains(constraint, "==") {
				continue
			}
			s.options = o
			out = append(out, s)
		}
	}
	return out
}

// Of the attacks in the corpus on services that we cover, nine of ten are
// found, and nothing that is none.
func TestOwnFiltersAgainstCorpus(t *testing.T) {
	dir := corpusDir(t, "fail2ban-logs")
	attacks, found, named := 0, 0, 0
	for log, by := range judgedBy {
		runs := map[string]*filter.Run{}
		a, f := 0, 0
		for _, s := range readSamples(t, filepath.Join(dir, log)) {
			mode := s.options["mode"]
			if by[1] != "" {
				mode = by[1]
			}
			if mode == "fallback" {
				mode = "aggressive"
			}
			key := mode + s.options["logtype"]
			if runs[key] == nil {
				o := map[string]string{}
				if mode != "" {
					o["mode"] = mode
				}
				if l := s.options["logtype"]; l != "" {
					o["logtype"] = l
				}
				loc, err := time.LoadLocation("Europe/Berlin")
				if err != nil {
					t.Fatal(err)
				}
				run, err := filter.NewSet(compile(t, by[0], o)).NewRun(filter.Settings{
					Year: 2026, Clock: logdate.Clock{Now: time.Unix(1124013600, 0), Local: loc},
				})
				if err != nil {
					t.Fatal(err)
				}
				runs[key] = run
			}
			var hits []filter.Hit
			if s.options["logtype"] == "journal" {
				hits = runs[key].LineAt([]byte(s.line), 1124013600)
			} else {
				hits = runs[key].Line([]byte(s.line))
			}
			got := ""
			if len(hits) > 0 {
				got = hits[0].ID
			}
			addr, err := netip.ParseAddr(s.host)
			switch {
			case s.match && err != nil && s.host != "":
				named++ // a name: nobody to refuse
			case s.match:
				a++
				if g, err := netip.ParseAddr(got); err == nil && (s.host == "" || g == addr.Unmap()) {
					f++
				} else {
					t.Logf("missed: %s %v: %q, want %q: %s", s.where, s.options, got, s.host, s.line)
				}
			case got != "":
				t.Errorf("false: %s %v: %s: %s", s.where, s.options, got, s.line)
			}
		}
		if f*10 < a*9 {
			t.Logf("%s: %d of %d attacks are found", log, f, a)
		}
		attacks, found = attacks+a, found+f
	}
	t.Logf("%d of %d annotated attacks are found (%.1f %%); %d more have only a name", found, attacks, 100*float64(found)/float64(attacks), named)
	if found*10 < attacks*9 {
		t.Errorf("only %d of %d attacks are found", found, attacks)
	}
}

func corpusDir(t *testing.T, name string) string {
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
	if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
		t.Skip("the corpus is not here: set $SEKIMORI_CORPUS")
	}
	return filepath.Join(dir, name)
}

// The recorded log of an sshd under attack: everybody who guessed, told by
// hand, is found with the first guess; who came but did not guess (closed the
// connection, or only has a name that maps nowhere), and the one who logged in,
// are not.
func TestRecordedAttack(t *testing.T) {
	attackers := strings.Fields(`
		103.207.39.16 103.207.39.165 103.207.39.212 103.99.0.122 104.192.3.34 106.5.5.195 112.95.230.3 119.4.203.64
		123.235.32.19 173.234.31.186 175.102.13.6 181.214.87.4 183.136.162.51 183.62.140.253 185.190.58.151
		187.141.143.180 191.210.223.172 195.154.37.122 202.100.179.208 5.188.10.180 5.36.59.76 52.80.34.196 60.2.12.12
		88.147.143.242`)
	innocent := map[string]string{
		"119.137.62.142": "logged in by password", "1.237.174.253": "no attempt", "212.47.254.145": "no attempt",
		"188.132.244.89": "no attempt", "177.79.82.136": "no attempt", "194.190.163.22": "no attempt",
	}
	data, err := os.ReadFile(filepath.Join(corpusDir(t, "sshd-logs"), "OpenSSH_2k.log"))
	if err != nil {
		t.Fatal(err)
	}
	run := newRun(t, "sshd", "normal")
	found := map[string]int{}
	for line := range strings.Lines(string(data)) {
		for _, h := range run.Line([]byte(line)) {
			found[h.ID]++
		}
	}
	for _, a := range attackers {
		if found[a] == 0 {
			t.Errorf("%s guessed and is not found", a)
		}
		delete(found, a)
	}
	for a, n := range found {
		if why := innocent[a]; why != "" {
			t.Errorf("%s: %d failures, but: %s", a, n, why)
			continue
		}
		if _, err := netip.ParseAddr(a); err == nil {
			t.Errorf("%s: %d failures, and nobody has heard of it", a, n)
		}
	}
}
