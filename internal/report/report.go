// Package report turns answers into text for people and JSON for programs. It
// is pure: an answer goes in, lines come out.
//
// # JSON
//
// The types of this package are the documented JSON: one object per answer,
// member names as given by their tags, lists never null. Members may be added in
// later versions, none is renamed or removed.
//
// # Text
//
// Worst first, one line per socket, columns aligned, 100 columns wide unless the
// terminal is known to be wider. Where something could not be seen or decided,
// the text says so at the end, with the reason: a screen never says less than
// the JSON about what is unknown.
package report

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
)

// Verdict says who may reach a socket from outside this host.
type Verdict string

// The verdicts. Anyone means that more than half of the addresses of a family
// may, on some interface. Undecided means that something which could not be
// decoded, or read, makes the difference.
const (
	Anyone    Verdict = "anyone"
	Undecided Verdict = "undecided"
	Some      Verdict = "some"
	Nobody    Verdict = "none"
)

// rank orders verdicts, worst first.
func (v Verdict) rank() int {
	switch v {
	case Anyone:
		return 0
	case Undecided:
		return 1
	case Some:
		return 2
	}
	return 3
}

// Rule is a rule, or the policy of a chain, that decided something.
type Rule struct {
	// Table is family and name: "inet filter"; Chain the chain's name.
	Table string `json:"table"`
	Chain string `json:"chain"`
	// Rule is the number in the chain, from 1; 0 for the chain's policy, and
	// for an answer that no rule decided.
	Rule int `json:"rule"`
	// Line is its line in the file that the rules came from, if they did.
	Line int `json:"line,omitempty"`
	// Text is the rule as an administrator would write it.
	Text string `json:"text"`
}

// Place is where the rule stands: "inet filter input rule 3".
func (r Rule) Place() string {
	switch {
	case r.Chain == "":
		return ""
	case r.Rule == 0:
		return r.Table + " " + r.Chain
	}
	place := r.Table + " " + r.Chain + " rule " + strconv.Itoa(r.Rule)
	if r.Line > 0 {
		place += " (line " + strconv.Itoa(r.Line) + ")"
	}
	return place
}

// Group is a group of sources that a rule lets in.
type Group struct {
	// Interface is where they arrive.
	Interface string `json:"interface"`
	// Sources are the prefixes, less those in Except.
	Sources list[string] `json:"sources"`
	// Certain is true where the packets are accepted whatever the rate limits
	// and other matches without a fixed answer say; Depends names those.
	Certain bool         `json:"certain"`
	Depends []string     `json:"depends,omitempty"`
	Except  list[string] `json:"except"`
	Because Rule         `json:"because"`
	// Group is the multicast or broadcast address that packets must be sent to,
	// where nothing else passes.
	Group string `json:"group,omitempty"`
}

// Reach is who may reach something.
type Reach struct {
	Verdict Verdict     `json:"verdict"`
	From    list[Group] `json:"from"`
	// Why says what could not be decided, where the verdict is undecided; and
	// where it is none, what keeps everybody out.
	Why []string `json:"why,omitempty"`
}

// Socket is one listening socket, or one forwarded port that has none.
type Socket struct {
	// Proto is tcp, udp, udplite, sctp or raw; the port of a raw socket is its
	// IP protocol number.
	Proto   string `json:"proto"`
	Address string `json:"address"`
	Port    uint16 `json:"port"`
	// LastPort is the end of a range of forwarded ports, 0 for a single one.
	LastPort uint16 `json:"last_port,omitempty"`
	// PID is 0, and the names are empty, where the owner is not known.
	PID       int    `json:"pid"`
	Process   string `json:"process"`
	User      string `json:"user"`
	Unit      string `json:"unit"`
	Container string `json:"container,omitempty"`
	Package   string `json:"package"`
	// Listening is false for a port that is only forwarded: To is where.
	Listening bool   `json:"listening"`
	To        string `json:"to,omitempty"`
	// Interface is the one that the socket is bound to, "" for any.
	Interface string `json:"interface,omitempty"`
	Reach     Reach  `json:"reach"`
}

// Name is the port as people say it: 22/tcp.
func (k Socket) Name() string {
	if k.LastPort != 0 {
		return fmt.Sprintf("%d-%d/%s", k.Port, k.LastPort, k.Proto)
	}
	return fmt.Sprintf("%d/%s", k.Port, k.Proto)
}

// Unseen is something that could not be read.
type Unseen struct {
	Section string `json:"section"`
	Reason  string `json:"reason"`
}

// Ports is the answer of `sekimori ports`.
type Ports struct {
	Sockets list[Socket] `json:"sockets"`
	// Down are interfaces that somebody may come by, once they are up.
	Down   []string     `json:"down,omitempty"`
	Unseen list[Unseen] `json:"unseen"`
}

// Port is the answer of `sekimori reach`.
type Port struct {
	// Port is "6379/tcp".
	Port string `json:"port"`
	// Listening is true where a socket takes packets for that port.
	Listening bool  `json:"listening"`
	Reach     Reach `json:"reach"`
	// Process names who listens, for people.
	Process []string `json:"process,omitempty"`
	// Via are other ports that translation leads to this one. Reach is about
	// packets sent to this port alone.
	Via []string `json:"via,omitempty"`
	// Down are interfaces that somebody may come by, once they are up.
	Down   []string     `json:"down,omitempty"`
	Unseen list[Unseen] `json:"unseen"`
	// closedIn is the only family that the rules are about, where they let
	// nobody in.
	closedIn string
}

// Step is one station of a packet.
type Step struct {
	// Hook is prerouting, input, …; Rule the number in the chain, 0 for its policy.
	Hook  string `json:"hook"`
	Table string `json:"table"`
	Chain string `json:"chain"`
	Rule  int    `json:"rule"`
	Line  int    `json:"line,omitempty"`
	Text  string `json:"text"`
	// Effect is what the rule did: "no match", "accept", "jump user-input",
	// "mark 0x1", "undecided: …".
	Effect string `json:"effect"`
}

// Trace is the answer of `sekimori trace`.
type Trace struct {
	// Verdict is accept, drop, reject or undecided.
	Verdict string `json:"verdict"`
	// Packet is the packet as understood, Reason why it ended as it did.
	Packet string `json:"packet,omitempty"`
	Reason string `json:"reason,omitempty"`
	// Depends are the things that an undecided verdict hangs on.
	Depends []string   `json:"depends,omitempty"`
	Steps   list[Step] `json:"steps"`
	Unseen  []Unseen   `json:"unseen,omitempty"`
}

// Change is a box of packets whose verdict is another one in the new ruleset.
type Change struct {
	From string `json:"from"`
	To   string `json:"to"`
	// Way is "to this host", "through this host" or "from this host"; Family is
	// IPv4 or IPv6.
	Way    string `json:"way"`
	Family string `json:"family"`
	// Packets are disjoint boxes, the last of them "and more" where there are
	// further ones. Example is a packet of the first; `sekimori trace` reads it.
	Packets list[string] `json:"packets"`
	Example string       `json:"example"`
	OldRule Rule         `json:"old_rule"`
	NewRule Rule         `json:"new_rule"`
}

// Diff is the answer of `sekimori diff`.
type Diff struct {
	// Equal is about the families that were compared; the others are in Unseen.
	Equal   bool         `json:"equal"`
	Changes list[Change] `json:"changes"`
	// Why names what could not be decided or read: Equal is then false.
	Why    []string `json:"why,omitempty"`
	Unseen []Unseen `json:"unseen,omitempty"`
}

// JSON writes one answer as one indented object.
func JSON(w io.Writer, answer any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(answer); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	return nil
}
