//go:build linux

package referee

import (
	"context"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"sekimori/internal/firewall"
	"sekimori/internal/firewall/kernel"
	"sekimori/internal/host"
	"sekimori/internal/lab"
	"sekimori/internal/observe"
	"sekimori/packet"
)

// part is text for one of the tools that load rules.
type part struct{ loader, text string }

// rules are what one trial loads, in order.
type rules struct {
	parts []part
	// open is true where something without a fixed answer is among them, so that
	// the model may leave packets undecided.
	open bool
}

func (rs rules) String() string {
	var b strings.Builder
	for _, p := range rs.parts {
		fmt.Fprintf(&b, "# %s\n%s\n", p.loader, strings.TrimSpace(p.text))
	}
	return b.String()
}

// try loads one part.
func (p part) try(t testing.TB) error {
	var err error
	switch p.loader {
	case "nft":
		_, err = lab.Try(t, p.text, "nft", "-f", "-")
	case "ipset":
		_, err = lab.Try(t, p.text, "ipset", "restore")
	default:
		_, err = lab.Try(t, p.text, p.loader)
	}
	return err
}

// clear unloads everything.
func (w *world) clear(t testing.TB) {
	t.Helper()
	lab.Run(t, "nft", "flush", "ruleset")
	for loader := range w.legacy {
		var b strings.Builder
		for _, table := range []string{"raw", "mangle", "nat", "filter"} {
			fmt.Fprintf(&b, "*%s\nCOMMIT\n", table)
		}
		lab.LoadIPTables(t, loader, b.String())
	}
	if w.ipsets {
		lab.Run(t, "ipset", "destroy")
	}
	w.ipsets = false
	clear(w.legacy)
}

// load replaces what is loaded. An error says which part, and why.
func (w *world) load(t testing.TB, rs rules) error {
	t.Helper()
	w.clear(t)
	w.marks = strings.Contains(rs.String(), "ct mark set") || strings.Contains(rs.String(), "CONNMARK")
	w.fragments = !trackRe.MatchString(rs.String())
	for i, p := range rs.parts {
		if strings.Contains(p.loader, "legacy") {
			w.legacy[p.loader] = true
		}
		w.ipsets = w.ipsets || p.loader == "ipset"
		if err := p.try(t); err != nil {
			return &loadError{i, err}
		}
	}
	return nil
}

// trackRe finds what makes the kernel track connections, or look for sockets.
var trackRe = regexp.MustCompile(`(?i)\bct |nat\b|masquerade|redirect|conntrack|state|connmark|notrack|netmap|\bCT\b|socket|tproxy`)

type loadError struct {
	part int
	err  error
}

func (e *loadError) Error() string { return e.err.Error() }

var lineRe = regexp.MustCompile(`(?:/dev/stdin:|line:? )(\d+)`)

// loadable leaves out the lines that the tools refuse, until the rest loads.
func (w *world) loadable(t testing.TB, rs rules) (rules, error) {
	t.Helper()
	rs.parts = slices.Clone(rs.parts)
	for range 40 {
		err := w.load(t, rs)
		if err == nil {
			return rs, nil
		}
		le, ok := err.(*loadError)
		if !ok {
			return rs, err
		}
		p := &rs.parts[le.part]
		m := lineRe.FindStringSubmatch(err.Error())
		if m == nil {
			return rs, fmt.Errorf("%w\n%s", err, p.text)
		}
		n, _ := strconv.Atoi(m[1])
		ls := strings.Split(p.text, "\n")
		for n >= 1 && n <= len(ls) && strings.HasPrefix(ls[n-1], "COMMIT") && n > 1 {
			n-- // the kernel refused a table as a whole: some rule of it has to go
		}
		rule := n >= 1 && n <= len(ls) && (strings.HasPrefix(ls[n-1], "\t\t") || strings.HasPrefix(ls[n-1], "-A") || strings.HasPrefix(ls[n-1], "add"))
		if !rule {
			return rs, fmt.Errorf("%w\n%s", err, p.text)
		}
		p.text = strings.Join(slices.Delete(ls, n-1, n), "\n")
	}
	return rs, fmt.Errorf("too many lines that do not load\n%s", rs)
}

// observed reads the loaded rules back as sekimori does on any host.
func observed(t testing.TB) (*firewall.Ruleset, firewall.Facts, *host.Snapshot) {
	t.Helper()
	snap, err := observe.Host(context.Background(), observe.Options{})
	if err != nil {
		t.Fatalf("observe: %v", err)
	}
	facts := snap.Facts()
	if !facts.Known {
		t.Fatalf("the facts of the host are not known: %+v", snap.Unseen)
	}
	rs := kernel.Decode(&snap.Filters, facts.Interfaces)
	// A lab is no place for BPF programs, and may not list those of the machine.
	rs.Obstacles = slices.DeleteFunc(rs.Obstacles, func(o firewall.Obstacle) bool { return o.What == "bpf" })
	return rs, facts, snap
}

// model is a ruleset's meaning for one family.
type model struct {
	e      *firewall.Engine
	rs     *firewall.Ruleset
	accept packet.Set
	refuse packet.Set
}

func newModel(family firewall.Family, rs *firewall.Ruleset, facts firewall.Facts) (*model, error) {
	m := &model{e: firewall.NewEngine(family, facts, 0, rs), rs: rs}
	err := m.e.Do(func() error {
		in := m.e.Arriving(m.e.Space().All())
		a := m.e.Follow(rs, firewall.WayInput, in, false).Accept
		b := m.e.Follow(rs, firewall.WayForward, in, false).Accept
		m.accept = a.Or(b).Exists(packet.OutInterface)
		m.refuse = m.accept.Not()
		return nil
	})
	return m, err
}

// verdict is what the model says of a packet.
type verdict uint8

const (
	refused verdict = iota
	accepted
	undecided
)

func (v verdict) String() string { return [...]string{"refused", "accepted", "undecided"}[v] }

func (m *model) verdict(p packet.Packet) verdict {
	switch {
	case m.accept.Contains(p):
		return accepted
	case m.refuse.Contains(p):
		return refused
	}
	return undecided
}

// models are a ruleset's meaning for both families.
type models [2]*model

func modelsOf(t testing.TB) (models, *host.Snapshot) {
	t.Helper()
	rs, facts, snap := observed(t)
	var ms models
	for i, f := range []firewall.Family{firewall.IPv4, firewall.IPv6} {
		var err error
		if ms[i], err = newModel(f, rs, facts); err != nil {
			t.Fatalf("%s: %v", f, err)
		}
	}
	return ms, snap
}

func (ms models) of(p *probe) *model {
	if p.v4() {
		return ms[0]
	}
	return ms[1]
}

// outcome is what became of one trial.
type outcome struct {
	packets, passed, undecided int
	wrong                      []disagreement
}

// disagreement is a packet that the kernel judged otherwise than the model.
type disagreement struct {
	probe  probe
	passed bool
}

// compare holds the kernel's verdicts against the models'.
func compare(ms models, ps []probe, passed []bool) outcome {
	out := outcome{packets: len(ps)}
	for i := range ps {
		if passed[i] {
			out.passed++
		}
		switch v := ms.of(&ps[i]).verdict(ps[i].model()); {
		case v == undecided:
			if !ps[i].later() { // what is loaded from a later fragment depends on the kernel
				out.undecided++
			}
		case (v == accepted) != passed[i]:
			out.wrong = append(out.wrong, disagreement{ps[i], passed[i]})
		}
	}
	return out
}

// trial loads rules, asks model and kernel about n packets, and fails the test
// where they disagree.
func (w *world) trial(t *testing.T, rs rules, r *rand.Rand, n int) outcome {
	t.Helper()
	rs, err := w.loadable(t, rs)
	if err != nil {
		t.Fatal(err)
	}
	ms, _ := modelsOf(t)
	ps := w.packets(r, n, constants(rs.String()))
	out := compare(ms, ps, w.judge(t, ps))
	if len(out.wrong) > 0 {
		w.explain(t, rs, out)
	}
	if !rs.open && out.undecided > 0 {
		t.Errorf("%d of %d packets undecided, although nothing is open in\n%s", out.undecided, out.packets, rs)
		w.explainUndecided(t, ms, ps)
	}
	return out
}

func (w *world) explainUndecided(t *testing.T, ms models, ps []probe) {
	t.Helper()
	shown := 0
	for i := range ps {
		m := ms.of(&ps[i])
		p := ps[i].model()
		if m.verdict(p) != undecided || ps[i].later() {
			continue
		}
		for _, way := range []firewall.Way{firewall.WayInput, firewall.WayForward} {
			tr, err := m.e.Trace(m.rs, way, m.e.Space().Point(p))
			if err == nil && tr.Verdict == firewall.TraceUndecided {
				t.Logf("undecided: %s\n%s", p, showTrace(tr))
			}
		}
		if shown++; shown == 2 {
			return
		}
	}
}

// explain reports disagreements, with as few rules as still show one.
func (w *world) explain(t *testing.T, rs rules, out outcome) {
	t.Helper()
	var ps []probe
	for _, d := range out.wrong[:min(len(out.wrong), 200)] {
		ps = append(ps, d.probe)
	}
	t.Errorf("%d of %d packets judged wrongly", len(out.wrong), out.packets)
	small, wrong := w.shrink(t, rs, ps)
	if len(wrong) == 0 {
		t.Logf("not seen again when the packets were sent a second time; the rules were\n%s", rs)
		wrong = out.wrong
	} else {
		t.Logf("the fewest rules that still show it:\n%s", small)
	}
	ms, _ := modelsOf(t)
	for _, d := range wrong[:min(len(wrong), 3)] {
		m := ms.of(&d.probe)
		p := d.probe.model()
		t.Logf("kernel passed: %v, model: %s\n%s", d.passed, m.verdict(p), p)
		for _, way := range []firewall.Way{firewall.WayInput, firewall.WayForward} {
			if tr, err := m.e.Trace(m.rs, way, m.e.Space().Point(p)); err == nil && !tr.Unrouted {
				t.Logf("trace of it %s\n%s", way, showTrace(tr))
			}
		}
	}
}

func showTrace(tr firewall.Trace) string {
	var b strings.Builder
	for _, s := range tr.Steps {
		if s.Matched {
			fmt.Fprintf(&b, "\t%s %s %s rule %d: %s => %s maybe=%v\n", s.Hook, s.Table, s.Chain, s.Rule, s.Text, s.Effect, s.Maybe)
		}
	}
	fmt.Fprintf(&b, "\t%s %v depends on %q", tr.Verdict, tr.Because, tr.Depends)
	return b.String()
}

// shrink deletes lines as long as one of the packets is still judged wrongly.
func (w *world) shrink(t *testing.T, rs rules, ps []probe) (rules, []disagreement) {
	t.Helper()
	still := func(c rules) []disagreement {
		if w.load(t, c) != nil {
			return nil
		}
		ms, _ := modelsOf(t)
		return compare(ms, ps, w.judge(t, ps)).wrong
	}
	wrong := still(rs)
	if len(wrong) == 0 {
		return rs, nil
	}
	budget := 250
	for k := range rs.parts {
		ls := strings.Split(rs.parts[k].text, "\n")
		for size := max(len(ls)/2, 1); size > 0; size /= 2 {
			for at := 0; at < len(ls) && budget > 0; budget-- {
				c := rules{parts: slices.Clone(rs.parts), open: rs.open}
				cut := slices.Delete(slices.Clone(ls), at, min(at+size, len(ls)))
				c.parts[k].text = strings.Join(cut, "\n")
				if got := still(c); len(got) > 0 {
					ls, rs, wrong = cut, c, got
				} else {
					at += size
				}
			}
		}
	}
	if err := w.load(t, rs); err != nil {
		t.Fatal(err)
	}
	return rs, wrong
}
