package report

import (
	"fmt"
	"io"
	"strings"

	"sekimori/policy"
)

// PolicyCheck is the answer of `sekimori policy check`.
type PolicyCheck struct {
	File string `json:"file"`
	// Valid is true where nothing is wrong; there may be warnings.
	Valid    bool          `json:"valid"`
	Problems list[Problem] `json:"problems"`
	Warnings list[Problem] `json:"warnings"`
	// Safe and Proofs are there where the policy was looked at for a host: whether all
	// that must stay possible is proven to, and what that is.
	Safe   *bool       `json:"safe,omitempty"`
	Proofs list[Proof] `json:"proofs,omitempty"`

	proven *Plan
}

// Prove adds what was proven about the policy on a host.
func (c *PolicyCheck) Prove(p Plan) {
	c.Safe, c.Proofs, c.proven = &p.Safe, p.Proofs, &p
}

// Problem is something that is wrong with a policy, or hardly meant.
type Problem struct {
	// File is the policy, or a file of addresses that it names; Line and Column
	// count from 1, 0 where the file as a whole is meant.
	File     string `json:"file"`
	Line     int    `json:"line"`
	Column   int    `json:"column"`
	Message  string `json:"message"`
	Expected string `json:"expected,omitempty"`
	Hint     string `json:"hint,omitempty"`
	// Text is all that for people, with the line and a caret.
	Text string `json:"text"`
}

// NewPolicyCheck is the answer about one file.
func NewPolicyCheck(file string, problems, warnings []policy.Problem) PolicyCheck {
	c := PolicyCheck{File: file, Valid: len(problems) == 0}
	for _, p := range problems {
		c.Problems = append(c.Problems, newProblem(p))
	}
	for _, p := range warnings {
		c.Warnings = append(c.Warnings, newProblem(p))
	}
	return c
}

func newProblem(p policy.Problem) Problem {
	return Problem{p.File, p.Line, p.Column, p.Message, p.Expected, p.Hint, p.String()}
}

// Text writes every problem with its line, then how many there are.
func (c PolicyCheck) Text(w io.Writer, s Style) error {
	var b strings.Builder
	for _, p := range c.Problems {
		b.WriteString(p.Text)
	}
	for _, p := range c.Warnings {
		b.WriteString(s.paint(yellow, "warning: ") + p.Text)
	}
	switch {
	case !c.Valid:
		fmt.Fprintf(&b, "%s: %s%s\n", c.File, s.paint(red, counted(len(c.Problems), "fault")), c.warned())
	default:
		fmt.Fprintf(&b, "%s: %s%s\n", c.File, s.paint(green, "nothing wrong"), c.warned())
	}
	if c.proven != nil {
		c.proven.proofs(&b, s)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (c PolicyCheck) warned() string {
	if len(c.Warnings) == 0 {
		return ""
	}
	return ", " + counted(len(c.Warnings), "warning")
}

// counted writes a number of things.
func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// PolicyEdit is the answer of `sekimori allow`, `deny` and `remove`.
type PolicyEdit struct {
	File string `json:"file"`
	// Changed is false where the file says so already; Written where it was only
	// asked what would change.
	Changed bool `json:"changed"`
	Written bool `json:"written"`
	// InForce is false: a policy comes into force by `sekimori apply`.
	InForce  bool           `json:"in_force"`
	Lines    list[LineDiff] `json:"lines"`
	Warnings list[Problem]  `json:"warnings"`
}

// defaultPolicy is the file that commands take where none is named.
const defaultPolicy = "/etc/sekimori/policy.yaml"

// LineDiff is a line that was added or removed. Lines that stand around them
// have an empty Op.
type LineDiff struct {
	// Op is "+", "-" or "".
	Op string `json:"op"`
	// Line is its number, in the new text for what was added, else in the old one.
	Line int    `json:"line"`
	Text string `json:"text"`
}

// NewPolicyEdit is the answer about a file that had one text and has another.
// Warnings are those that the old text did not have.
func NewPolicyEdit(file, before, after string, written bool, warnings []policy.Problem) PolicyEdit {
	e := PolicyEdit{File: file, Changed: before != after, Written: written && before != after}
	for _, p := range warnings {
		e.Warnings = append(e.Warnings, newProblem(p))
	}
	if e.Changed {
		e.Lines = DiffLines(before, after, 1)
	}
	return e
}

// Text writes the lines that changed, and what is to be done next.
func (e PolicyEdit) Text(w io.Writer, s Style) error {
	var b strings.Builder
	for _, p := range e.Warnings {
		b.WriteString(s.paint(yellow, "warning: ") + p.Text)
	}
	switch {
	case !e.Changed:
		fmt.Fprintf(&b, "%s says so already; nothing was changed\n", e.File)
	case e.Written:
		fmt.Fprintf(&b, "%s\n", e.File)
	default:
		fmt.Fprintf(&b, "%s would change:\n", e.File)
	}
	s.lines(&b, e.Lines)
	if e.Written {
		plan, apply := "sekimori plan", "sekimori apply"
		if e.File != defaultPolicy {
			plan, apply = plan+" "+e.File, apply+" "+e.File
		}
		fmt.Fprintf(&b, "\nNot in force yet. What it would change: %s. To bring it into force: %s\n", plan, apply)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Layout writes the lines that changed, of a change that means nothing.
func (e PolicyEdit) Layout(w io.Writer, s Style) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", e.File)
	s.lines(&b, e.Lines)
	_, err := io.WriteString(w, b.String())
	return err
}

// lines writes a difference with the numbers of the lines.
func (s Style) lines(b *strings.Builder, ls []LineDiff) {
	width := 0
	for _, l := range ls {
		width = max(width, len(fmt.Sprint(l.Line)))
	}
	last := 0
	for _, l := range ls {
		if last > 0 && l.Op == "" && l.Line > last+1 {
			b.WriteString("  …\n")
		}
		text := fmt.Sprintf("%*d %s", width, l.Line, printable(strings.TrimRight(" "+l.Text, " \r")))
		switch l.Op {
		case "+":
			text = s.paint(green, fmt.Sprintf("%*d +%s", width, l.Line, printable(l.Text)))
		case "-":
			text = s.paint(red, fmt.Sprintf("%*d -%s", width, l.Line, printable(l.Text)))
		default:
			text = s.paint(dim, text)
		}
		b.WriteString("  " + text + "\n")
		last = l.Line
	}
}
