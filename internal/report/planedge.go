package report

import (
	"fmt"
	"io"
	"strings"

	"sekimori/internal/plan"
)

// EdgePlan is what a block at the edge would hit.
type EdgePlan struct {
	Interfaces list[string] `json:"interfaces"`
	Block      list[string] `json:"block"`
	// Listeners and Flows are sockets and connections of this host whose packets the
	// block would drop; Neighbours are interfaces that it leaves alone.
	Listeners  list[EdgeHit] `json:"listeners"`
	Flows      list[EdgeHit] `json:"flows"`
	Scope      string        `json:"scope"`
	Neighbours list[string]  `json:"neighbours"`
}

// EdgeHit is something that the block would hit.
type EdgeHit struct {
	Port    string `json:"port"`
	Process string `json:"process"`
	Peer    string `json:"peer,omitempty"`
	// Entry is the word of the policy that hits it.
	Entry string `json:"entry"`
	Why   string `json:"why"`
}

// NewEdgePlan is the answer about the edge of one host.
func NewEdgePlan(h plan.EdgeHits) EdgePlan {
	out := EdgePlan{Interfaces: h.Interfaces, Block: h.Block, Scope: h.Scope, Neighbours: h.Neighbours}
	for _, l := range h.Listeners {
		out.Listeners = append(out.Listeners, EdgeHit{fmt.Sprintf("%d/%s", l.Port, l.Proto), l.Process, l.Peer, l.Entry, l.Why})
	}
	for _, f := range h.Flows {
		out.Flows = append(out.Flows, EdgeHit{fmt.Sprintf("%d/%s", f.Port, f.Proto), f.Process, f.Peer, f.Entry, f.Why})
	}
	return out
}

// Text writes the listeners and flows that the block would hit.
func (e EdgePlan) Text(w io.Writer, s Style) error {
	var b strings.Builder
	fmt.Fprintf(&b, "The edge drops %s on %s, in both directions, whatever connection it belongs to.\n", strings.Join(e.Block, ", "), strings.Join(e.Interfaces, ", "))
	for _, part := range []struct {
		head string
		hits []EdgeHit
	}{{"LISTENERS THAT IT WOULD HIT", e.Listeners}, {"FLOWS THAT IT WOULD HIT, OF THOSE SEEN", e.Flows}} {
		fmt.Fprintf(&b, "\n%s\n", s.paint(bold, part.head))
		var rows []row
		for _, h := range part.hits {
			rows = append(rows, row{[]string{h.Port, printable(h.Process), h.Peer, h.Entry, h.Why}, 4})
		}
		if len(rows) == 0 {
			b.WriteString("  none\n")
			continue
		}
		s.table(&b, []column{{"PORT", 12}, {"PROCESS", 24}, {"PEER", 40}, {"BY", 12}, {"WHY", 40}}, rows, true)
	}
	b.WriteString("\n")
	switch {
	case e.Scope == "all":
		s.wrap(&b, "", "scope: all. Packets between local hosts are meant as well"+e.others())
	case len(e.Neighbours) > 0:
		s.wrap(&b, "", "scope: outside. Packets between local hosts stay as they are"+e.others()+"; with scope: all they would be dropped too. An announcement of such a block usually leaves open which is meant.")
	default:
		s.wrap(&b, "", "There is no other network here: scope: all would mean the same.")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (e EdgePlan) others() string {
	if len(e.Neighbours) == 0 {
		return ""
	}
	return " (" + strings.Join(e.Neighbours, ", ") + ")"
}

// Rehearsal is how a candidate did in a throwaway namespace, asked with real
// packets.
type Rehearsal struct {
	// Asked is the number of packets, Wrong those that the kernel judged otherwise
	// than the plan says.
	Asked        int             `json:"asked"`
	Milliseconds int64           `json:"milliseconds"`
	Probes       list[Rehearsed] `json:"probes"`
	Wrong        int             `json:"wrong"`
	// Alone is true where others have rules loaded as well, which were left out.
	Alone bool `json:"alone"`
}

// Rehearsed is one packet that was sent.
type Rehearsed struct {
	About  string `json:"about"`
	Packet string `json:"packet"`
	// Expected and Passed are whether it gets in: by the plan, and in the kernel.
	Expected bool `json:"expected"`
	Passed   bool `json:"passed"`
}

func (r Rehearsal) text(b *strings.Builder, s Style) {
	verdict := s.paint(green, "as planned")
	if r.Wrong > 0 {
		verdict = s.paint(red, fmt.Sprintf("%d OTHERWISE THAN PLANNED", r.Wrong))
	}
	fmt.Fprintf(b, "\n%s the rules were loaded into a throwaway namespace and asked with %d packets in %d ms: %s\n", s.paint(bold, "REHEARSAL:"), r.Asked, r.Milliseconds, verdict)
	if r.Alone {
		b.WriteString("  The rules of others were left out there; what is proven above counts them in.\n")
	}
	for _, p := range r.Probes {
		does := map[bool]string{true: "passed", false: "dropped"}
		mark := ""
		if p.Expected != p.Passed {
			mark = s.paint(red, " (expected: "+does[p.Expected]+")")
		}
		fmt.Fprintf(b, "  %-8s%s %s: %s\n", does[p.Passed], mark, p.About, printable(p.Packet))
	}
}
