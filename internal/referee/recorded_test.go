//go:build linux

package referee

import (
	"cmp"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sekimori/internal/lab"
)

// recorded returns the rulesets of other people's machines, by file name.
func recorded(t *testing.T) []string {
	t.Helper()
	root := os.Getenv("SEKIMORI_CORPUS")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared", "corpus")
	}
	var files []string
	for _, pattern := range []string{"iptables/save/*.save", "docker/*.save", "docker/*.nft"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	if len(files) == 0 {
		lab.Unavailable(t, "the corpus of recorded rulesets is not here: set SEKIMORI_CORPUS to its folder")
	}
	return files
}

// loaders are the tools that a recorded ruleset is loaded with.
func loaders(file string) []string {
	switch {
	case strings.HasSuffix(file, ".nft"):
		return []string{"nft"}
	case strings.Contains(filepath.Base(file), "ip6"):
		return []string{"ip6tables-legacy-restore", "ip6tables-nft-restore"}
	}
	return []string{"iptables-legacy-restore", "iptables-nft-restore"}
}

var (
	interfaceRe = regexp.MustCompile(`(?m)(?: -[io] |[io]ifname (?:!= )?")([a-zA-Z0-9_.:-]+)(\+?)`)
	hiddenMACRe = regexp.MustCompile(`(?i)(?:XX:){5}XX`)
)

// mentioned returns the interfaces that a ruleset names most often, two at least.
func mentioned(text string) []string {
	count := map[string]int{}
	for _, m := range interfaceRe.FindAllStringSubmatch(text, -1) {
		name := m[1]
		if m[2] != "" {
			name += "0"
		}
		if name != "lo" && len(name) < 16 && !strings.Contains(name, ":") {
			count[name]++
		}
	}
	names := slices.SortedFunc(maps.Keys(count), func(a, b string) int { return cmp.Or(count[b]-count[a], cmp.Compare(a, b)) })
	names = append(names[:min(len(names), 6)], "h0", "h1")
	return names[:max(2, len(names)-2)]
}

// TestRefereeRecorded judges the rulesets of other people's machines.
func TestRefereeRecorded(t *testing.T) {
	t.Parallel()
	for _, file := range recorded(t) {
		for _, loader := range loaders(file) {
			t.Run(filepath.Base(file)+"/"+loader, func(t *testing.T) {
				t.Parallel()
				enterFor(t, file, loader)(t, func(t *testing.T) { judgeRecorded(t, file, loader) })
			})
		}
	}
}

// enterFor chooses the lab for a file. One transaction of iptables-nft-restore is
// one netlink message, and only root proper may send one of several megabytes.
func enterFor(t *testing.T, file, loader string) func(*testing.T, func(*testing.T)) {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > 200_000 && strings.Contains(loader, "-nft-") {
		return lab.EnterRoot
	}
	return lab.Enter
}

func judgeRecorded(t *testing.T, file, loader string) {
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text := hiddenMACRe.ReplaceAllString(string(b), "02:00:00:00:00:01")
	s := scaleOf(t)
	r := rand.New(rand.NewPCG(s.seed, 3))
	w := newWorld(t, true, mentioned(text)...)
	w.establish(t, r, 300)
	rs, err := w.loadable(t, rules{parts: []part{{loader, text}}, open: true})
	if err != nil {
		t.Fatal(err)
	}
	if n := lines(text) - lines(rs.parts[0].text); n > 0 {
		t.Logf("%d of %d lines do not load", n, lines(text))
	}
	w.only = 4
	if strings.Contains(filepath.Base(file), "ip6") {
		w.only = 6
	}
	out := w.trial(t, rs, r, s.packets)
	t.Logf("referee: %s with %s: %d packets, %d passed, %d undecided, %d judged wrongly",
		filepath.Base(file), loader, out.packets, out.passed, out.undecided, len(out.wrong))
}
