package kernel

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sekimori/internal/lab"
)

// corpus returns the files of the corpus of other people's rulesets: from
// $SEKIMORI_CORPUS, or beside the repository.
func corpus(t *testing.T, pattern string) []string {
	t.Helper()
	dir := os.Getenv("SEKIMORI_CORPUS")
	if dir == "" {
		root, err := filepath.Abs(".")
		if err != nil {
			t.Fatal(err)
		}
		for {
			if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
				break
			}
			if root == filepath.Dir(root) {
				t.Fatal("no go.mod above")
			}
			root = filepath.Dir(root)
		}
		dir = filepath.Join(root, "..", "shared", "corpus")
	}
	files, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(files) == 0 {
		lab.Unavailable(t, "no corpus of rulesets here; set SEKIMORI_CORPUS")
	}
	return files
}

// TestCorpusNFT loads what other programs write as nft text. Everything in it has
// to be understood, and shown as nft does.
func TestCorpusNFT(t *testing.T) {
	for _, file := range corpus(t, "docker/*.nft") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			lab.Enter(t, func(t *testing.T) {
				b, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				// nft before 1.0.8 has this name for the prerouting hook alone.
				text := strings.ReplaceAll(string(b), "hook output priority dstnat", "hook output priority -100")
				if _, err := lab.Try(t, text, "nft", "-f", "-"); err != nil {
					lab.Unavailable(t, err.Error())
				}
				rs := Decode(nftDump(t), hostInterfaces())
				if n := opaque(rs); n > 0 || len(rs.Obstacles) > 0 {
					t.Errorf("%d parts are not understood:\n%s", n, show(rs))
				}
				list := strings.Split(lab.Run(t, "nft", "-s", "list", "ruleset"), "\n")
				texts, lines := ruleTexts(rs), ruleLines(list)
				if len(texts) != len(lines) {
					t.Fatalf("%d rules, nft lists %d", len(texts), len(lines))
				}
				for i, l := range lines {
					if want := strings.TrimSpace(list[l]); texts[i] != want {
						t.Errorf("\nours  %s\nnft's %s", texts[i], want)
					}
				}
			})
		})
	}
}

// TestCorpusSave loads recorded iptables rulesets by iptables-nft. No rule may get
// lost, and no more may be left undecided than is said here.
func TestCorpusSave(t *testing.T) {
	mac := regexp.MustCompile(`XX:XX:XX:XX:XX:XX|([0-9A-F]{2}:){2}XX:XX:XX:XX`)
	for _, file := range corpus(t, "iptables/save/*.save") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			enter := lab.Enter
			if os.Geteuid() == 0 {
				enter = lab.EnterRoot // thousands of rules need larger messages than root of a user namespace may send
			}
			enter(t, func(t *testing.T) {
				b, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				tool := "iptables"
				if strings.Contains(file, "ip6") {
					tool = "ip6tables"
				}
				text := mac.ReplaceAllString(string(b), "00:11:22:33:44:55")
				if _, err := lab.Try(t, text, tool+"-nft-restore"); err != nil {
					t.Skipf("%s-nft-restore does not take it: %v", tool, err)
				}
				rs := Decode(nftDump(t), hostInterfaces())
				if n := opaque(rs); n > 0 || len(rs.Obstacles) > 0 {
					for l := range strings.SplitSeq(show(rs), "\n") {
						if strings.Contains(l, "OPAQUE") || strings.Contains(l, "UNDECODED") {
							t.Errorf("not understood: %s", l)
						}
					}
				}
				for _, tb := range rs.Tables {
					ours := map[string][]string{}
					for _, c := range tb.Chains {
						for _, r := range c.Rules {
							ours[c.Name] = append(ours[c.Name], r.Text)
						}
					}
					for l := range strings.Lines(lab.Run(t, tool+"-nft-save", "-t", tb.Name)) {
						l = strings.TrimSpace(l)
						if !strings.HasPrefix(l, "-A ") {
							continue
						}
						c := strings.Trim(strings.Fields(l)[1], `"`)
						if len(ours[c]) == 0 {
							t.Fatalf("missing: %s", l)
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
