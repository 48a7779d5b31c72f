package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sekimori/internal/lab"
)

// TestPasteBlock pastes the block into a shell, as people do: the rules are loaded,
// a second time changes nothing, and what is to run at boot loads them again.
// Only systemctl is another: it notes what it is told.
func TestPasteBlock(t *testing.T) {
	const policy = "version: 1\nlists: {admins: [198.51.100.0/24, 192.0.2.1, 192.0.2.9]}\ninbound:\n  - {allow: ssh, from: admins}\n  - {allow: [http, https]}\n"
	cases := map[string]struct {
		list, flush []string
		want        string
	}{
		"nftables":  {list: []string{"nft", "list", "table", "inet", "sekimori"}, flush: []string{"nft", "flush", "ruleset"}, want: "198.51.100.0/24"},
		"iptables":  {list: []string{"iptables", "-S"}, flush: []string{"iptables", "-F"}, want: "--dport 22"},
		"ip6tables": {list: []string{"ip6tables", "-S"}, flush: []string{"ip6tables", "-F"}, want: "--dports 80,443"},
	}
	for target, c := range cases {
		t.Run(target, func(t *testing.T) {
			lab.Enter(t, func(t *testing.T) {
				for _, dir := range []string{"/run/bin", "/run/etc", "/run/policy"} {
					if err := os.Mkdir(dir, 0o755); err != nil {
						t.Fatal(err)
					}
				}
				// An /etc of its own, with what programs want to find there.
				for _, name := range []string{"ld.so.cache", "protocols", "services", "ethertypes", "passwd", "group", "nsswitch.conf", "alternatives"} {
					if _, err := os.Stat("/etc/" + name); err == nil {
						lab.Run(t, "cp", "-a", "/etc/"+name, "/run/etc/")
					}
				}
				lab.Run(t, "mkdir", "-p", "/run/etc/systemd/system")
				lab.Run(t, "mount", "--bind", "/run/etc", "/etc")
				files := map[string]string{
					"/run/bin/systemctl": "#!/bin/sh\necho \"$@\" >> /run/systemctl.log\n", "/run/policy/policy.yaml": policy,
				}
				for name, text := range files {
					if err := os.WriteFile(name, []byte(text), 0o755); err != nil {
						t.Fatal(err)
					}
				}
				t.Setenv("PATH", "/run/bin:"+os.Getenv("PATH")+":/usr/sbin:/sbin")
				sekimori(t, exitDone, "compile", "/run/policy/policy.yaml", "--to", target, "-o", "/run/out")
				block, err := os.ReadFile("/run/out/paste.txt")
				if err != nil {
					t.Fatal(err)
				}

				lab.RunInput(t, string(block), "sh")
				loaded := lab.Run(t, c.list...)
				if !strings.Contains(loaded, c.want) {
					t.Fatalf("not loaded:\n%s", loaded)
				}
				lab.RunInput(t, string(block), "sh")
				if again := lab.Run(t, c.list...); again != loaded {
					t.Errorf("a second time it is\n%s\nand was\n%s", again, loaded)
				}
				log, err := os.ReadFile("/run/systemctl.log")
				if err != nil || !strings.Contains(string(log), "enable sekimori-") {
					t.Errorf("systemctl was told %q, %v", log, err)
				}

				// What the unit starts, as after a boot.
				lab.Run(t, c.flush...)
				units, err := filepath.Glob("/etc/systemd/system/*.service")
				if err != nil || len(units) != 1 {
					t.Fatalf("units %v, %v", units, err)
				}
				unit, err := os.ReadFile(units[0])
				if err != nil {
					t.Fatal(err)
				}
				for line := range strings.Lines(string(unit)) {
					if command, ok := strings.CutPrefix(strings.TrimSpace(line), "ExecStart=/bin/sh -c '"); ok {
						lab.Run(t, "sh", "-c", strings.TrimSuffix(command, "'"))
					}
				}
				if booted := lab.Run(t, c.list...); booted != loaded {
					t.Errorf("after a boot it is\n%s\nand was\n%s", booted, loaded)
				}
			})
		})
	}
}
