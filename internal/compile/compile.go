package compile

import (
	"fmt"
	"slices"

	"sekimori/internal/firewall"
	"sekimori/internal/firewall/acl"
	"sekimori/packet"
	"sekimori/policy"
)

// Target names a packet filter.
type Target string

// The targets.
const (
	NFTables  Target = "nftables"
	IPTables  Target = "iptables"
	IP6Tables Target = "ip6tables"
	IPFW      Target = "ipfw"
	Windows   Target = "windows"
)

// Lists are the lists of a policy, resolved: see policy.File.Lists.
type Lists = map[string][]packet.AddrRange

// Result is a text with its proof.
type Result struct {
	Target Target
	// Files are what was written; the first is the one to load.
	Files []acl.File
	// List is what was written, before it was text.
	List  *acl.List
	Proof Proof
}

// Text is the first file.
func (r *Result) Text() []byte { return r.Files[0].Text }

// Proof says what was proven.
type Proof struct {
	// Families are those that the target judges.
	Families []packet.Family
	// Ways are those that were compared: to this host, from it, through it.
	Ways []firewall.Way
	// Limits is the number of rate limits whose parameters were compared.
	Limits int
	// Equivalent is false for a text that admits less than the policy, because
	// something was left out (acl.Options.Degrade); Less has an example then.
	Equivalent bool
	Less       []Difference
}

// Targets returns the targets that can be compiled for.
func Targets() []Target {
	var ts []Target
	for _, b := range backends() {
		ts = append(ts, b.target)
	}
	return ts
}

// Compile returns the policy in a target's language, proven, or says why there is
// none: an acl.UnsupportedList with everything that the target has no words for, a
// *Difference, or an error that wraps packet.ErrBudget where the question was too
// large.
func Compile(f *policy.File, lists Lists, host policy.Host, target Target, o acl.Options) (*Result, error) {
	i := slices.IndexFunc(backends(), func(b backend) bool { return b.target == target })
	if i < 0 {
		return nil, fmt.Errorf("unknown target %q", target)
	}
	b := backends()[i]
	list, err := Lower(f, lists, host, o.Lang)
	if err != nil {
		return nil, err
	}
	files, err := b.write(list, o)
	if err != nil {
		return nil, err
	}
	r := &Result{Target: target, Files: files, List: list}
	if r.Proof, err = prove(b, files, f, lists, host, list, o.Degrade); err != nil {
		return nil, err
	}
	return r, nil
}
