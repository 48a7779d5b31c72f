package compile

import (
	"os"
	"strings"
	"testing"

	"sekimori/internal/firewall/acl"
	"sekimori/policy"
)

// TestLineIsNotMissed takes lines out of what was written, one at a time, and
// writes a number in them one higher: what is left is no longer proven, or not
// read at all. The lines that carry nothing of the policy are known.
func TestLineIsNotMissed(t *testing.T) {
	text, err := os.ReadFile("../../testdata/portable.yaml")
	if err != nil {
		t.Fatal(err)
	}
	f, err := policy.Parse("portable.yaml", text)
	if err != nil {
		t.Fatal(err)
	}
	lists, err := f.Lists(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range backends() {
		if b.target == NFTables {
			continue // has a test of its own
		}
		t.Run(string(b.target), func(t *testing.T) {
			t.Parallel()
			r, err := Compile(f, lists, policy.Host{}, b.target, acl.Options{})
			if err != nil {
				t.Fatal(err)
			}
			tried := 0
			proven := func(n int, lines []string) bool {
				tried++
				files := append([]acl.File{}, r.Files...)
				files[n].Text = []byte(strings.Join(lines, "\n"))
				_, err := prove(b, files, f, lists, policy.Host{}, r.List, false)
				return err == nil
			}
			for n := range r.Files {
				lines := strings.Split(string(r.Files[n].Text), "\n")
				every := max(1, len(lines)/25) // some of them, where there are many
				for i, line := range lines {
					if i%every != 0 || line == "" || strings.ContainsAny(line[:1], "#;") || ceremony(line) {
						continue
					}
					without := append(append([]string{}, lines[:i]...), lines[i+1:]...)
					if proven(n, without) {
						t.Errorf("%s: proven without\n%s", r.Files[n].Name, line)
					}
					changed := append([]string{}, lines...)
					if changed[i] = higher(line); changed[i] != line && proven(n, changed) {
						t.Errorf("%s: proven with\n%s\nin the place of\n%s", r.Files[n].Name, changed[i], line)
					}
				}
			}
			if tried < 10 {
				t.Errorf("%d changes were tried", tried)
			}
		})
	}
}

// ceremony tells whether a line is about how rules are loaded, or says what another
// line says too.
func ceremony(line string) bool {
	for _, s := range []string{
		"set -e", "ipfw -q set", "ipfw -q delete", "ipfw -q table", "$others", "*filter", ":SEKIMORI-", "[HKEY_", "Windows Registry",
		// Errors of ICMPv6 are in IPv6's life support as well; where nothing that is
		// known is refused, it need not be let through first; and fragments are not
		// compared.
		"add 1030 set 29 allow ipv6-icmp", "add 1260 set 29 allow ipv6-icmp", "New-NetFirewallRule -Name 'sekimori-in-2'", `"sekimori-in-2"`,
		"-A SEKIMORI-OUTPUT -m conntrack --ctstate RELATED,ESTABLISHED", "add 1000 set 29 allow ip from any to any frag",
		// What the last rule of all allows as well.
		"New-NetFirewallRule -Name 'sekimori-out-15'",
	} {
		if strings.HasPrefix(line, s) {
			return true
		}
	}
	return false
}

// higher makes the last digit of a port or address in the line another one.
func higher(line string) string {
	if strings.Contains(line, "::1'") || strings.Contains(line, "'127.0.0.1'") || strings.Contains(line, "=::1|") || strings.Contains(line, "=127.0.0.1|") {
		return line // about one family, with an address that nobody has for the other
	}
	end := len(line)
	for _, tail := range []string{" // ", " -m comment", " -j ", " | Out-Null", "|Name="} {
		if i := strings.Index(line, tail); i >= 0 && i < end {
			end = i
		}
	}
	i := strings.LastIndexAny(line[:end], "012345678")
	if i < 0 || !strings.ContainsAny(line[:end], ".:") && !strings.Contains(line, "port") && !strings.Contains(line, "Port") {
		return line
	}
	return line[:i] + string(line[i]+1) + line[i+1:]
}
