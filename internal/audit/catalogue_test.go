package audit_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"sekimori/internal/audit"
	"sekimori/internal/audit/words"
)

// update rewrites docs/audit.md: go test ./internal/audit -args -update
var update = flag.Bool("update", false, "rewrite docs/audit.md")

// TestCatalogue: docs/audit.md has all checks, as the table and the words have them.
func TestCatalogue(t *testing.T) {
	w, err := words.Load("en")
	if err != nil {
		t.Fatal(err)
	}
	const file = "../../docs/audit.md"
	got := catalogue(w)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Error("docs/audit.md is out of date: go test ./internal/audit -args -update")
	}
}

const catalogueHead = `# The audit

<!-- Made from the table of checks and its words; go test ./internal/audit -args -update writes it. -->

` + "`sekimori audit`" + ` looks at one host at one moment and changes nothing. The worst finding decides the grade: critical F, high D, medium C,
low B, nothing worse than information A; **?** while something about who reaches the host could not be seen or decided.

- A check finds something, or nothing, or could not see what it asks about: then it stands under "could not be seen", and nothing is
  concluded from it.
- "Anyone" is as in ` + "`sekimori ports`" + `: more than half of the addresses of the internet, by an interface that leads outside. Interfaces with
  a default route lead outside; tunnels, container bridges and networks of private addresses without one do not.
- sshd is judged by what holds for each account, source and port, Match blocks and drop-ins included, never by one file. ` + "`sshd -T`" + ` is asked
  as well; where it disagrees, that is a finding.
- The severity below is the worst that a check gives; where less is at stake it gives less, and says why.
- Nothing is demanded that is known to break a server: no strict reverse path filter, no accept_ra = 0, no module blacklists, no ageing of
  passwords for accounts that only keys open.
- ` + "`--probe`" + ` asks this machine's own services over loopback: each reflector its real question, sshd its methods for somebody who has shown
  nothing. A service that treats loopback differently may answer others otherwise.

Evidence is in English in every language: it quotes files, rules and programs.

`

// catalogue writes the table of checks.
func catalogue(w *words.Table) string {
	var b strings.Builder
	b.WriteString(catalogueHead)
	fmt.Fprintf(&b, "%d checks. `sekimori explain ID` tells more about each.\n", len(audit.Checks()))
	cell := func(s string) string { return strings.ReplaceAll(s, "|", "\\|") }
	for _, section := range audit.Sections() {
		fmt.Fprintf(&b, "\n## %s\n\n| check | severity | what | references |\n|---|---|---|---|\n", w.UI(string(section)))
		for _, c := range audit.Checks() {
			if e, _ := w.Entry(c.ID); c.Section == section {
				fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", c.ID, c.Severity, cell(e.Title), cell(strings.Join(c.References, "; ")))
			}
		}
	}
	return b.String()
}

// TestWordsOfChecks: each check has its words in each language, and no words are
// about a check that there is not.
func TestWordsOfChecks(t *testing.T) {
	for _, language := range words.Languages() {
		w, err := words.Load(language)
		if err != nil {
			t.Fatal(err)
		}
		known := map[string]bool{}
		for _, c := range audit.Checks() {
			known[c.ID] = true
			if e, ok := w.Entry(c.ID); !ok || e.Title == "" || e.Why == "" || e.Remedy == "" {
				t.Errorf("%s has no words in %s", c.ID, language)
			}
			for _, key := range []string{string(c.Section), c.Severity.String()} {
				if w.UI(key) == key && language != "en" {
					t.Errorf("%s has no word in %s", key, language)
				}
			}
		}
		for _, id := range w.IDs() {
			if !known[id] {
				t.Errorf("words in %s about %s, which is no check", language, id)
			}
		}
	}
}
