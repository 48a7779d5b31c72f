package kernel

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"sekimori/internal/firewall"
)

// data is what an immediate, a comparison or an element holds.
type data struct {
	value   []byte
	verdict *verdict
}

// verdict is a verdict as nf_tables encodes it.
type verdict struct {
	code  int32
	chain string
}

// decodeData reads nested data (enum nft_data_attributes).
func decodeData(b []byte) (data, error) {
	r := read(b, types(1, 2)) // value, verdict
	switch {
	case r.err != nil:
		return data{}, r.err
	case r.has(1) == r.has(2):
		return data{}, errors.New("neither a value nor a verdict")
	case r.has(1):
		if n := len(r.attrs[1]); n == 0 || n > regBytes {
			return data{}, fmt.Errorf("a value of %d bytes", n)
		}
		return data{value: r.attrs[1]}, nil
	}
	v := read(r.attrs[2], types(1, 2)) // code, chain
	out := &verdict{code: int32(v.num(1))}
	if v.has(2) {
		out.chain = v.text(2)
	}
	return data{verdict: out}, v.err
}

// Verdicts of nf_tables (enum nft_verdicts).
const (
	nftContinue = -1
	nftBreak    = -2
	nftJump     = -3
	nftGoto     = -4
	nftReturn   = -5
)

// step returns the verdict as a step; Break is Continue, for both end the rule.
func (v *verdict) step() (*firewall.Verdict, error) {
	out := &firewall.Verdict{}
	switch {
	case v.code == nftContinue || v.code == nftBreak:
		out.Kind = firewall.Continue
	case v.code == nftJump:
		out.Kind = firewall.Jump
	case v.code == nftGoto:
		out.Kind = firewall.Goto
	case v.code == nftReturn:
		out.Kind = firewall.Return
	case v.code == nfAccept:
		out.Kind = firewall.Accept
	case v.code == nfDrop:
		// With an error in the upper bits, which kernels before 6.8 took, it need not
		// be a drop at all (CVE-2024-1086).
		out.Kind = firewall.Drop
	case v.code&0xff == nfQueue && v.code >= 0:
		out.Kind, out.Detail = firewall.Queue, fmt.Sprintf("to %d", v.code>>16)
	default:
		return nil, fmt.Errorf("verdict %d is not known", v.code)
	}
	if jumps := out.Kind == firewall.Jump || out.Kind == firewall.Goto; jumps != (v.chain != "") {
		return nil, fmt.Errorf("verdict %s with chain %q", out.Kind, v.chain)
	}
	out.Chain = v.chain
	return out, nil
}

func (r *rule) immediate(b []byte) error {
	a := read(b, types(1, 2)) // dreg, data
	reg := a.num(1)
	if a.err != nil {
		return a.err
	}
	d, err := decodeData(a.attrs[2])
	if err != nil {
		return err
	}
	if (reg == 0) != (d.verdict != nil) {
		return fmt.Errorf("register %d for such data", reg)
	}
	if d.verdict == nil {
		return r.store(reg, &operand{bits: firewall.Constant(d.value)}, len(d.value))
	}
	v, err := d.verdict.step()
	switch {
	case err != nil:
		return err
	case d.verdict.code == nftContinue: // on with the next expression
		r.say("continue")
	case d.verdict.code == nftBreak:
		r.emit(firewall.Verdict{Kind: firewall.Continue})
		r.say("break")
	default:
		r.emit(*v)
		r.sayVerdict(v)
	}
	return nil
}

// relation is a comparison as it stands in a rule, for its text and for joining
// the two halves of a range.
type relation struct {
	v      *operand
	lo, hi []byte
	neg    bool
	strict bool // written as less or greater than
	step   int  // of the condition, counted from 1
	frag   int  // of the text
}

func (r *rule) cmp(b []byte) error {
	a := read(b, types(1, 2, 3)) // sreg, op, data
	reg, op := a.num(1), a.num(2)
	if a.err != nil {
		return a.err
	}
	d, err := decodeData(a.attrs[3])
	if err != nil {
		return err
	}
	if d.verdict != nil {
		return errors.New("a comparison with a verdict")
	}
	v, err := r.source(reg, len(d.value))
	if err != nil {
		return err
	}
	rel := relation{v: v, lo: d.value, hi: d.value}
	none := false
	switch op {
	case 0:
	case 1:
		rel.neg = true
	case 2: // less: nothing is less than zero
		none, rel.strict = isZero(d.value), true
		rel.lo, rel.hi = fill(0, len(d.value)), before(d.value)
	case 3:
		rel.lo = fill(0, len(d.value))
	case 4: // greater: nothing is greater than all ones
		none, rel.strict = isOnes(d.value), true
		rel.lo, rel.hi = after(d.value), fill(0xff, len(d.value))
	case 5:
		rel.hi = fill(0xff, len(d.value))
	default:
		return fmt.Errorf("operator %d is not known", op)
	}
	if none {
		r.match(firewall.Const(false))
		r.say("never")
		return nil
	}
	r.compare(rel)
	return nil
}

func isZero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }

func isOnes(b []byte) bool { return bytes.Count(b, []byte{0xff}) == len(b) }

func fill(c byte, n int) []byte { return bytes.Repeat([]byte{c}, n) }

// after returns the number after b, which is not all ones.
func after(b []byte) []byte {
	out := bytes.Clone(b)
	for i := len(out) - 1; i >= 0; i-- {
		out[i]++
		if out[i] != 0 {
			break
		}
	}
	return out
}

func (r *rule) rangeExpr(b []byte) error {
	a := read(b, types(1, 2, 3, 4)) // sreg, op, from, to
	reg, op := a.num(1), a.num(2)
	if a.err == nil && op > 1 {
		return fmt.Errorf("operator %d is not known", op)
	}
	if a.err != nil {
		return a.err
	}
	from, err := decodeData(a.attrs[3])
	if err != nil {
		return err
	}
	to, err := decodeData(a.attrs[4])
	if err != nil {
		return err
	}
	if from.verdict != nil || to.verdict != nil || len(from.value) != len(to.value) {
		return errors.New("ends of a range that do not fit together")
	}
	v, err := r.source(reg, len(from.value))
	if err != nil {
		return err
	}
	if bytes.Compare(from.value, to.value) > 0 { // empty
		r.match(firewall.Const(op == 1))
		r.say("an empty range")
		return nil
	}
	r.compare(relation{v: v, lo: from.value, hi: to.value, neg: op == 1})
	return nil
}

// compare adds a comparison. Two that follow each other and bound the same value
// from below and above become one.
func (r *rule) compare(rel relation) {
	if joined, ok := r.join(rel); ok {
		rel = joined
		r.out.Steps = r.out.Steps[:r.last.step-1]
		r.text.frags = r.text.frags[:r.last.frag-1]
	}
	d := r.answer(rel)
	n := len(r.out.Steps)
	r.match(d.cond)
	r.sayRelation(rel, d)
	if len(r.out.Steps) > n && !r.ended {
		rel.step = len(r.out.Steps)
		rel.frag = len(r.text.frags)
		r.last = rel
	}
}

// compareKey names a comparison with one value that rules have in common, and
// comparison is what it comes to.
type compareKey struct {
	v        *operand
	neg      bool
	iptables bool
	data     string
}

type comparison struct {
	cond firewall.Cond
	text string
	save saveOption
}

// answer works a comparison out, unless that has been done before.
func (r *rule) answer(rel relation) comparison {
	keep := rel.v.shared && bytes.Equal(rel.lo, rel.hi)
	if keep {
		if d, ok := r.n.compared[compareKey{rel.v, rel.neg, r.t.iptables, string(rel.lo)}]; ok {
			return d
		}
	}
	d := comparison{cond: rel.v.within(rel.lo, rel.hi), text: r.relationText(rel)}
	if v := r.fixed(rel.v); v != rel.v {
		d.cond = firewall.Varies{Text: d.text + " (which a rule changes)", Stateful: true}
		if v.kind == unknown {
			d.cond = v.within(rel.lo, rel.hi)
		}
	} else if rel.neg {
		d.cond = negate(d.cond)
	}
	d.save = r.saveRelation(rel)
	if keep {
		r.n.compared[compareKey{rel.v, rel.neg, r.t.iptables, string(rel.lo)}] = d
	}
	return d
}

func (r *rule) join(rel relation) (relation, bool) {
	l := r.last
	if l.step == 0 || l.step != len(r.out.Steps) || l.frag != len(r.text.frags) || r.ended || r.need != [needs]int{} ||
		l.neg || rel.neg || !l.v.same(rel.v) || len(l.lo) != len(rel.lo) || rel.v.kind == unknown || rel.v.stateful {
		return rel, false
	}
	one := rel
	if bytes.Compare(l.lo, rel.lo) > 0 {
		rel.lo = l.lo
	}
	if bytes.Compare(l.hi, rel.hi) < 0 {
		rel.hi = l.hi
	}
	if bytes.Compare(rel.lo, rel.hi) > 0 {
		return one, false
	}
	rel.strict = false
	return rel, true
}

// same reports whether two values are surely the same.
func (o *operand) same(p *operand) bool {
	if o == p {
		return true
	}
	return o.kind == plain && p.kind == plain && slices.Equal(o.bits, p.bits)
}

func negate(c firewall.Cond) firewall.Cond {
	switch c := c.(type) {
	case firewall.Not:
		return c.Of
	case firewall.Const:
		return !c
	case firewall.State:
		all := firewall.StateInvalid | firewall.StateEstablished | firewall.StateRelated | firewall.StateNew | firewall.StateUntracked
		return firewall.State{Mask: all &^ c.Mask}
	}
	return firewall.Not{Of: c}
}
