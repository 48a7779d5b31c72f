package report

import (
	"fmt"
	"io"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"sekimori/internal/firewall"
	"sekimori/internal/plan"
)

// Plan is the answer of `sekimori plan`.
type Plan struct {
	File string `json:"file"`
	Host string `json:"host,omitempty"`
	// InForce is true where there is nothing to do.
	InForce bool `json:"in_force"`
	// First is true where no policy is in force.
	First bool `json:"first"`
	// Safe is true where everything that must stay possible is proven to.
	Safe      bool           `json:"safe"`
	Listeners list[Listener] `json:"listeners"`
	Changes   list[Planned]  `json:"changes"`
	Proofs    list[Proof]    `json:"proofs"`
	// Rules are the native rules that would be loaded, in one transaction.
	Rules string `json:"rules,omitempty"`
	// Translated is true where connections whose addresses are translated change
	// beside that: their packets follow the first one.
	Translated bool `json:"translated,omitempty"`
	// Undecided is what could not be worked out or read.
	Undecided list[string] `json:"undecided"`
	// Edge is there where it was asked for.
	Edge *EdgePlan `json:"edge,omitempty"`
	// Rehearsal is there where the rules were tried out.
	Rehearsal *Rehearsal   `json:"rehearsal,omitempty"`
	Unseen    list[Unseen] `json:"unseen"`
	// Terse leaves the native rules out of the text.
	Terse bool `json:"-"`
	// policy are the lines of the file; looked says that sessions were looked for.
	policy []string
	looked bool
}

// Planned is a change, and what of the policy is behind it.
type Planned struct {
	Change
	// Line is the line of the policy that decides, 0 if it is none of it; Text is that
	// line, or says that no rule lets these packets in.
	Line int    `json:"line,omitempty"`
	Text string `json:"text,omitempty"`
}

// Listener is a port and who can reach it, before and after.
type Listener struct {
	Port    string `json:"port"`
	Process string `json:"process"`
	// Now and Then are who may reach it, in words; Changed whether they differ.
	Now     string `json:"now"`
	Then    string `json:"then"`
	Changed bool   `json:"changed"`
}

// Proof is something that must stay possible.
type Proof struct {
	// Kind is session, return, admins, network or outgoing.
	Kind   string `json:"kind"`
	Family string `json:"family"`
	About  string `json:"about"`
	// Answer is yes, no or undecided, for the time after; Now for the present.
	Answer string `json:"answer"`
	Now    string `json:"now"`
	// Part is true where it is possible for some of the packets, though not for all.
	Part bool `json:"part,omitempty"`
	// Needed is true where the change must not be made without it.
	Needed  bool   `json:"needed"`
	Why     string `json:"why,omitempty"`
	Example string `json:"example,omitempty"`
	Rule    *Rule  `json:"rule,omitempty"`
}

// NewPlan is the answer about one policy, with its text, and one host; rules is the
// native text.
func NewPlan(file, hostname string, policy []byte, p plan.Plan, rules string, interfaces []string) Plan {
	out := Plan{File: file, Host: hostname, InForce: p.InForce, First: p.First, Safe: !p.Locked(), Undecided: p.Undecided, Translated: p.Translated}
	if !p.InForce {
		out.Rules = rules
	}
	out.policy, out.looked = splitLines(string(policy)), p.SessionsKnown
	for _, c := range p.Changes {
		one := Planned{Change: NewDiff([]firewall.Change{c.Change}, nil, nil).Changes[0], Line: c.Line}
		switch {
		case c.Default:
			one.Text = "no rule of the policy lets them pass"
		case c.Line > 0 && c.Line <= len(out.policy):
			one.Text = strings.TrimSpace(out.policy[c.Line-1])
		}
		for i, box := range one.Packets {
			one.Packets[i] = withoutHere(withoutNone(box), p.Here)
		}
		out.Changes = append(out.Changes, one)
	}
	for _, l := range p.Listeners {
		now, then := whoReaches(newReach(l.Before), interfaces), whoReaches(newReach(l.After), interfaces)
		out.Listeners = append(out.Listeners, Listener{
			Port: fmt.Sprintf("%d/%s", l.Port, l.Proto), Process: l.Process, Now: now, Then: then, Changed: now != then,
		})
	}
	for _, o := range p.Proofs {
		proof := Proof{
			Kind: [...]string{"session", "return", "admins", "network", "outgoing"}[o.Kind], Family: familyName(o.Family),
			About: o.About, Answer: o.Answer.String(), Now: o.Now.String(), Part: o.Part, Needed: o.Needed, Why: o.Why,
		}
		if o.Answer != plan.Holds && o.Example.Src.IsValid() {
			proof.Example = shortPacket(o.Example)
			if o.Because != (firewall.Because{}) {
				r := newRule(o.Because)
				proof.Rule = &r
			}
		}
		out.Proofs = append(out.Proofs, proof)
	}
	return out
}

// whoReaches says in few words who may reach a port.
func whoReaches(r Reach, interfaces []string) string {
	var parts []string
	for _, f := range fromLines(r.From, interfaces) {
		if text := f.text(true, few); !slices.Contains(parts, text) {
			parts = append(parts, text)
		}
	}
	switch {
	case r.Verdict == Undecided:
		parts = append(parts, "undecided")
	case len(parts) == 0:
		return "nobody"
	}
	return strings.Join(parts, "; ")
}

// shownRules is how many lines of native rules a screen shows.
const shownRules = 150

// Text writes what would change: ports, packets, what is proven to stay, rules.
func (p Plan) Text(w io.Writer, s Style) error {
	var b strings.Builder
	if p.InForce {
		fmt.Fprintf(&b, "%s is in force: what is loaded means exactly what it says. Nothing to do.\n", p.File)
	} else {
		fmt.Fprintf(&b, "What would change if %s were applied%s\n", p.File, onHost(p.Host))
		p.ports(&b, s)
		p.packets(&b, s)
	}
	p.proofs(&b, s)
	if p.Rehearsal != nil {
		p.Rehearsal.text(&b, s)
	}
	p.rules(&b, s)
	for _, u := range p.Undecided {
		fmt.Fprintf(&b, "\n%s %s\n", s.paint(yellow, "COULD NOT BE DECIDED:"), printable(u))
	}
	for _, u := range p.Unseen {
		fmt.Fprintf(&b, "not seen: %s: %s\n", u.Section, printable(u.Reason))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func onHost(name string) string {
	if name == "" {
		return ""
	}
	return " on " + printable(name)
}

// ports writes the listeners whose reach changes, and names the others.
func (p Plan) ports(b *strings.Builder, s Style) {
	var rows []row
	var same []string
	for _, l := range p.Listeners {
		if !l.Changed {
			same = append(same, strings.TrimSpace(l.Port+" "+printable(l.Process)))
			continue
		}
		rows = append(rows, row{[]string{l.Port, printable(l.Process), l.Now, l.Then}, 4})
	}
	if len(rows) > 0 {
		fmt.Fprintf(b, "\n%s\n", s.paint(bold, "WHO CAN REACH WHAT LISTENS"))
		s.table(b, []column{{"PORT", 14}, {"PROCESS", 24}, {"NOW", 36}, {"THEN", 40}}, rows, true)
	}
	if len(same) > 0 {
		b.WriteString("\n")
		s.wrap(b, "  ", "the same as now: "+strings.Join(same, ", "))
	}
}

// packets writes the changes, what opens first.
func (p Plan) packets(b *strings.Builder, s Style) {
	for _, part := range []struct {
		head, colour string
		is           func(Planned) bool
	}{
		{"PACKETS THAT WOULD GET THROUGH", red, func(c Planned) bool { return c.To == "accept" }},
		{"PACKETS THAT WOULD NOT ANY MORE", yellow, func(c Planned) bool { return c.From == "accept" }},
		{"PACKETS REFUSED IN ANOTHER WAY", dim, func(c Planned) bool { return c.From != "accept" && c.To != "accept" }},
	} {
		first := true
		for _, c := range p.Changes {
			if !part.is(c) {
				continue
			}
			if first {
				fmt.Fprintf(b, "\n%s\n", s.paint(part.colour, part.head))
				first = false
			}
			fmt.Fprintf(b, "  %s packets %s, %s -> %s\n", c.Family, c.Way, c.From, c.To)
			for _, box := range c.Packets {
				s.wrap(b, "    ", printable(box))
			}
			fmt.Fprintf(b, "      example: %s\n", printable(c.Example))
			fmt.Fprintf(b, "      now:  %s\n", cut(printable(c.OldRule.line()), s.width()-12))
			fmt.Fprintf(b, "      then: %s\n", cut(printable(c.then(p.File)), s.width()-12))
		}
	}
	if p.Translated {
		b.WriteString("\n")
		s.wrap(b, "", "Addresses are translated: packets of such connections go where the first one went, which is not shown here.")
	}
	if len(p.Changes) == 0 && !p.Translated && !p.InForce && len(p.Undecided) == 0 {
		b.WriteString("\nNo packet would be judged otherwise than now, rates aside.\n")
	}
}

// then says what decides about the packets afterwards.
func (c Planned) then(file string) string {
	switch {
	case c.Line > 0:
		return fmt.Sprintf("%s:%d: %s", file, c.Line, c.Text)
	case c.Text != "":
		return c.Text
	}
	return c.NewRule.line()
}

// policyLine finds the line of the policy in the comment of one of its rules.
var policyLine = regexp.MustCompile(`comment "[^"]*, line (\d+)"`)

// because is the rule that decides; of our own, the line of the policy.
func (p Plan) because(r Rule) string {
	if r.Table != "inet "+plan.OwnTable {
		return r.line()
	}
	if strings.Contains(r.Text, `comment "inbound"`) {
		return "no rule of the policy lets it pass"
	}
	if m := policyLine.FindAllStringSubmatch(r.Text, -1); len(m) == 1 {
		if n, err := strconv.Atoi(m[0][1]); err == nil && n > 0 && n <= len(p.policy) {
			return fmt.Sprintf("%s:%d: %s", p.File, n, strings.TrimSpace(p.policy[n-1]))
		}
	}
	return r.line()
}

// withoutNone leaves out of a box that packets may also have no interface: those to
// or from another host have one.
func withoutNone(box string) string {
	return strings.NewReplacer(" in :none,", " in ", " out :none,", " out ", ",:none", "").Replace(box)
}

// withoutHere leaves out of a box that it is about packets to this host, which the
// head says.
func withoutHere(box string, here [][]netip.Prefix) string {
	for _, all := range here {
		texts := make([]string, len(all))
		for i, p := range all {
			texts[i] = p.String()
		}
		if len(texts) > 0 {
			box = strings.Replace(box, " to "+strings.Join(texts, ","), "", 1)
		}
	}
	return box
}

// proofs writes what must stay possible.
func (p Plan) proofs(b *strings.Builder, s Style) {
	if len(p.Proofs) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s\n", s.paint(bold, "WHAT MUST STAY POSSIBLE"))
	sessions := false
	for _, o := range p.Proofs {
		sessions = sessions || o.Kind == "session"
		if o.Kind == "outgoing" && o.Answer == "yes" {
			continue
		}
		fmt.Fprintf(b, "  %s\n", o.line(s))
		if o.Answer == "yes" {
			continue
		}
		if o.Why != "" {
			fmt.Fprintf(b, "      %s\n", o.Why)
		}
		if o.Example != "" {
			fmt.Fprintf(b, "      example: %s\n", printable(o.Example))
		}
		if o.Rule != nil {
			fmt.Fprintf(b, "      because: %s\n", cut(printable(p.because(*o.Rule)), s.width()-15))
		}
	}
	if !sessions && p.looked {
		b.WriteString("  no ssh session over a network is open here that could be cut\n")
	}
	if !p.Safe && p.InForce {
		fmt.Fprintf(b, "  %s\n", s.paint(red, "Somebody who must get in might not, now."))
	} else if !p.Safe {
		fmt.Fprintf(b, "  %s\n", s.paint(red, "Do not apply this: somebody who must get in might not."))
	}
}

// line says one proof.
func (o Proof) line(s Style) string {
	verdict := map[string]map[string]string{
		"session": {"yes": "stays", "no": "WOULD BE CUT", "undecided": "might be cut"},
		"return":  {"yes": "possible", "no": "would not be possible", "undecided": "might not be possible"},
	}[o.Kind]
	if verdict == nil {
		verdict = map[string]string{"yes": "proven", "no": "NOT POSSIBLE", "undecided": "could not be decided"}
	}
	colour := green
	if o.Answer != "yes" {
		colour = yellow
		if o.Needed {
			colour = red
		}
	}
	text := s.paint(colour, verdict[o.Answer])
	if o.Answer == "no" && o.Part {
		text = s.paint(colour, "NOT FOR ALL OF THEM")
	}
	if o.Answer != "yes" && o.Now == o.Answer {
		text += " (as it is now)"
	}
	switch o.Kind {
	case "session":
		return "your current ssh session, " + o.About + ": " + text
	case "return":
		return "a new login from " + o.About + ": " + text
	case "admins":
		return "logins from " + o.About + " (" + o.Family + "): " + text
	case "outgoing":
		return "answers of your session, " + o.About + ": " + text
	}
	return o.About + " (" + o.Family + "): " + text
}

// rules writes the native text.
func (p Plan) rules(b *strings.Builder, s Style) {
	if p.Rules == "" || p.Terse {
		return
	}
	what := "table inet sekimori would be replaced"
	if p.First {
		what = "table inet sekimori would be added"
	}
	fmt.Fprintf(b, "\n%s %s, in one transaction; all else that is loaded stays\n", s.paint(bold, "RULES:"), what)
	lines := splitLines(p.Rules)
	for i, l := range lines {
		if i == shownRules {
			fmt.Fprintf(b, "  … %d more lines: sekimori compile --to nftables --facts live\n", len(lines)-i)
			break
		}
		b.WriteString("  " + s.paint(dim, printable(strings.ReplaceAll(l, "\t", "  "))) + "\n")
	}
}
