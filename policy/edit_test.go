package policy_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sekimori/policy"
)

// TestEdit has one file per case: $ and what is typed, the policy, and what
// becomes of it or why it does not.
func TestEdit(t *testing.T) {
	for _, name := range files(t, "testdata/edit/*.txt") {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			input, _, _ := strings.Cut(string(text), mark)
			command, input, _ := strings.Cut(input, "\n")
			f, err := policy.Parse("policy.yaml", []byte(input))
			if err != nil {
				t.Fatal(err)
			}
			c, err := policy.ParseChange(strings.TrimPrefix(command, "$ "))
			if err != nil {
				golden(t, name, mark, err.Error()+"\n")
				return
			}
			g, err := f.Edit(c)
			if err != nil {
				golden(t, name, mark, err.Error()+"\n")
				return
			}
			checkEdit(t, input, string(g.Text()), c)
			if !c.Remove && string(g.Text()) != input {
				takeOut(t, f, g, c)
			}
			golden(t, name, mark, string(g.Text()))
		})
	}
}

// checkEdit checks that an edit left alone what it does not speak of.
func checkEdit(t *testing.T, before, after string, c policy.Change) {
	t.Helper()
	old, now := strings.Split(before, "\n"), strings.Split(after, "\n")
	for len(old) > 0 && len(now) > 0 && old[0] == now[0] {
		old, now = old[1:], now[1:]
	}
	for len(old) > 0 && len(now) > 0 && old[len(old)-1] == now[len(now)-1] {
		old, now = old[:len(old)-1], now[:len(now)-1]
	}
	comment := func(lines []string) (cs []string) {
		for _, l := range lines {
			if i := strings.Index(l, "#"); i >= 0 {
				cs = append(cs, l[i:])
			}
		}
		return cs
	}
	switch {
	case !c.Remove && (len(old) > 1 || len(old) == 1 && !strings.Contains(old[0], "[") || !slices.Equal(comment(old), comment(now))):
		t.Errorf("adding a rule changed lines:\n%q\nbecame\n%q", old, now)
	case c.Remove && len(now) > len(old):
		t.Errorf("removing a rule added lines:\n%q\nbecame\n%q", old, now)
	}
}

// takeOut checks that a rule that was put in can be taken out again, and that the
// text is then what it was, but for an end of the last line where there was none.
// Where another rule is like it already, or the section had no rules, there is
// nothing to compare.
func takeOut(t *testing.T, p, q *policy.File, c policy.Change) {
	t.Helper()
	rules := len(p.Policy.Inbound)
	if c.Out {
		rules = 0
		if p.Policy.Outbound != nil {
			rules = len(p.Policy.Outbound.Rules)
		}
	}
	c.Remove, c.Rate = true, ""
	if _, err := p.Edit(c); err == nil || !strings.Contains(err.Error(), "no rule is like that") || rules == 0 {
		return
	}
	r, err := q.Edit(c)
	if err != nil {
		t.Fatalf("what was added cannot be removed: %v\n%s", err, q.Text())
	}
	if got, want := string(r.Text()), string(p.Text()); got != want && got != want+"\n" && got != want+"\r\n" {
		t.Fatalf("added and removed again, the policy\n%q\nhas become\n%q", want, got)
	}
}

// FuzzEdit: an edit is refused, or does to the policy what was said and leaves
// other lines alone; what was added can be taken out again, and then the text
// is what it was.
func FuzzEdit(f *testing.F) {
	for _, name := range files(f, "testdata/edit/*.txt") {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		input, _, _ := strings.Cut(string(text), mark)
		command, input, _ := strings.Cut(input, "\n")
		f.Add(strings.TrimPrefix(command, "$ "), input)
	}
	f.Fuzz(func(t *testing.T, command, text string) {
		c, err := policy.ParseChange(command)
		if err != nil || len(text) > 4096 {
			return
		}
		p, err := policy.Parse("fuzz", []byte(text))
		if err != nil {
			return
		}
		q, err := p.Edit(c)
		if err != nil {
			return
		}
		checkEdit(t, text, string(q.Text()), c)
		if again, err := q.Edit(c); !c.Remove && (err != nil || string(again.Text()) != string(q.Text())) {
			t.Fatalf("a second time it is not the same: %v", err)
		}
		if !c.Remove && string(q.Text()) != text {
			takeOut(t, p, q, c)
		}
	})
}
