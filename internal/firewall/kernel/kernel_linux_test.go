package kernel

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sekimori/internal/firewall"
	"sekimori/internal/lab"
)

func TestMain(m *testing.M) { lab.Main(m) }

// envUpdate, set to 1, has the dumps and meanings in testdata recorded anew from
// this machine's kernel. It is no flag, for flags do not reach into namespaces.
const envUpdate = "SEKIMORI_UPDATE"

// TestKernel loads each ruleset of testdata into this machine's kernel. What is
// read back has to mean what is recorded.
func TestKernel(t *testing.T) {
	for _, file := range recorded(t, "nft/*.nft") {
		t.Run(strings.TrimPrefix(file, "testdata/"), func(t *testing.T) {
			lab.Enter(t, func(t *testing.T) {
				load(t, file)
				check(t, strings.TrimSuffix(file, ".nft"))
			})
		})
	}
	for _, file := range recorded(t, "iptables/*.save") {
		t.Run(strings.TrimPrefix(file, "testdata/"), func(t *testing.T) {
			lab.Enter(t, func(t *testing.T) {
				load(t, file)
				check(t, strings.TrimSuffix(file, ".save"))
			})
		})
	}
}

// load loads a file; where this kernel or this nft lacks something that it needs,
// the test is not possible here.
func load(t *testing.T, file string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	argv := []string{"nft", "-f", "-"}
	if strings.HasSuffix(file, ".save") {
		argv = []string{"iptables-nft-restore"}
		if strings.Contains(file, "ip6tables") {
			argv[0] = "ip6tables-nft-restore"
		}
	}
	if _, err := lab.Try(t, string(b), argv...); err != nil {
		lab.Unavailable(t, err.Error())
	}
}

func check(t *testing.T, base string) {
	t.Helper()
	d := nftDump(t)
	got := show(Decode(d, hostInterfaces()))
	if os.Getenv(envUpdate) == "1" {
		b, err := json.MarshalIndent(d, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		write(t, base+".json", append(b, '\n'))
		write(t, base+".want", []byte(got))
	}
	want, err := os.ReadFile(base + ".want")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func write(t *testing.T, file string, b []byte) {
	t.Helper()
	if err := os.WriteFile(file, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// ruleTexts are the texts of all rules in order.
func ruleTexts(rs *firewall.Ruleset) []string {
	var out []string
	for _, t := range rs.Tables {
		for _, c := range t.Chains {
			for _, r := range c.Rules {
				out = append(out, r.Text)
			}
		}
	}
	return out
}

// ruleLines finds the lines of rules in what `nft list ruleset` prints.
func ruleLines(list []string) []int {
	var at []int
	in := false
	for i, l := range list {
		l = strings.TrimSpace(l)
		switch {
		case strings.HasPrefix(l, "chain "):
			in = true
		case l == "}":
			in = false
		case in && !strings.HasPrefix(l, "type ") && l != "":
			at = append(at, i)
		}
	}
	return at
}

// TestTextMeansTheSame loads the texts of decoded rules again. They have to mean
// what the rules did that they were taken from.
func TestTextMeansTheSame(t *testing.T) {
	for _, file := range recorded(t, "nft/*.nft") {
		t.Run(strings.TrimPrefix(file, "testdata/"), func(t *testing.T) {
			lab.Enter(t, func(t *testing.T) {
				load(t, file)
				first := Decode(nftDump(t), hostInterfaces())
				list := strings.Split(lab.Run(t, "nft", "-s", "list", "ruleset"), "\n")
				texts, lines := ruleTexts(first), ruleLines(list)
				if len(texts) != len(lines) {
					t.Fatalf("%d rules, nft lists %d", len(texts), len(lines))
				}
				var own int
				for i, l := range lines {
					if !readable(texts[i]) {
						t.Logf("not nft's language: %s", texts[i])
						continue
					}
					list[l] = texts[i]
					own++
				}
				if own < len(lines)*9/10 {
					t.Errorf("only %d of %d texts can be read by nft", own, len(lines))
				}
				lab.Run(t, "nft", "flush", "ruleset")
				lab.LoadNFT(t, strings.Join(list, "\n"))
				again := Decode(nftDump(t), hostInterfaces())
				if diff := cmp.Diff(strings.Split(show(first), "\n"), strings.Split(show(again), "\n")); diff != "" {
					t.Errorf("(-first +again)\n%s", diff)
				}
			})
		})
	}
}

// readable reports whether a text is nft's: values that nft has no words for are
// shown in brackets, and as bytes in the order of the machine.
func readable(text string) bool {
	if strings.Contains(text, "ct label") || strings.Contains(text, " @16,") {
		return false
	}
	return !strings.ContainsAny(text, "[(") || strings.Contains(text, "to [") || strings.Contains(text, `comment "`)
}

// TestTextIsNFTs compares the texts with those of nft 1.0.6 itself.
func TestTextIsNFTs(t *testing.T) {
	other := map[string]string{ // ours: nft's
		"meta random (host order) 0x00000000-0x00000063 drop": "meta random < 100 drop",
		"ip frag-off & 0x1fff != 0x0 drop":                    "ip frag-off & 8191 != 0 drop",
		"exthdr frag @16,16 & 0xfff8 == 0x28 drop":            "frag frag-off 5 drop",
		"ether type ip ip saddr 1.2.3.4 drop":                 "ip saddr 1.2.3.4 drop",
		"mh type 1 accept":                                    "mh type home-test-init accept",
		"ct event set 5":                                      "ct event set new,destroy",
		"ct label set 0x20000000000000000000000000000000":     "ct label set 5",
		"tcp option mptcp @16,8 & 0xf0 == 0x10 accept":        "tcp option mptcp subtype 1 accept",
		"ip hdrlength 6-15 drop":                              "ip hdrlength > 5 drop",
		"ether type 8021q @ll,112,16 & 0xfff == 0x5 drop":     "vlan id 5 drop",
		"(ct label & 0x20000000000000000000000000000000 ^ 0x00000000000000000000000000000000) != 0x00000000000000000000000000000000 accept": "ct label 5 accept",
	}
	for _, file := range recorded(t, "nft/*.nft") {
		t.Run(strings.TrimPrefix(file, "testdata/"), func(t *testing.T) {
			lab.Enter(t, func(t *testing.T) {
				if v := lab.Run(t, "nft", "--version"); !strings.Contains(v, "v1.0.6") {
					t.Skipf("other versions have other words: %s", v)
				}
				load(t, file)
				list := strings.Split(lab.Run(t, "nft", "-s", "list", "ruleset"), "\n")
				texts, lines := ruleTexts(Decode(nftDump(t), hostInterfaces())), ruleLines(list)
				for i, l := range lines {
					want := strings.TrimSpace(list[l])
					if texts[i] != want && other[texts[i]] != want {
						t.Errorf("\nours  %s\nnft's %s", texts[i], want)
					}
				}
			})
		})
	}
}

// TestTextIsIPTables compares the texts of rules made by iptables-nft with what
// iptables-nft-save prints.
func TestTextIsIPTables(t *testing.T) {
	for _, file := range recorded(t, "iptables/*.save") {
		t.Run(strings.TrimPrefix(file, "testdata/"), func(t *testing.T) {
			lab.Enter(t, func(t *testing.T) {
				load(t, file)
				save := "iptables-nft-save"
				if strings.Contains(file, "ip6tables") {
					save = "ip6tables-nft-save"
				}
				for _, tb := range Decode(nftDump(t), hostInterfaces()).Tables {
					ours := map[string][]string{}
					for _, c := range tb.Chains {
						for _, r := range c.Rules {
							ours[c.Name] = append(ours[c.Name], r.Text)
						}
					}
					for l := range strings.Lines(lab.Run(t, save, "-t", tb.Name)) {
						l = strings.TrimSpace(l)
						if !strings.HasPrefix(l, "-A ") {
							continue
						}
						c := strings.Fields(l)[1]
						if len(ours[c]) == 0 {
							t.Errorf("missing: %s", l)
							continue
						}
						if ours[c][0] != l {
							t.Errorf("\nours     %s\niptables %s", ours[c][0], l)
						}
						ours[c] = ours[c][1:]
					}
				}
			})
		})
	}
}
