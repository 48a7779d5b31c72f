package pyre

import (
	"fmt"
	"slices"
)

// A Regexp is a compiled pattern. It is not changed by use: any number of
// Machines may run it at the same time.
type Regexp struct {
	src      string
	flags    Flags
	prog     []inst
	start    int32
	names    []string
	groups   int
	anchored bool // can only match at the start of the text
	lines    bool // can only match at the start of a line
	first    [4]uint64
	prefix   []byte // every match begins with it; nil if not known
	loops    int
	memos    int
	looks    bool
	refs     bool
	asks     bool
	conds    []int32
}

// Compile parses and compiles a pattern. The error is a *SyntaxError where
// Python's re.compile would raise re.error too.
func Compile(pattern string, flags Flags) (*Regexp, error) {
	tree, p, err := parse(pattern, flags)
	if err != nil {
		return nil, err
	}
	return assemble(&compiler{}, pattern, flags, tree, p)
}

// assemble compiles what was parsed.
func assemble(c *compiler, pattern string, flags Flags, tree *node, p *parser) (*Regexp, error) {
	start := c.begin(tree)
	if c.sawErr != "" {
		return nil, &SyntaxError{Pattern: pattern, Msg: c.sawErr}
	}
	re := &Regexp{
		src: pattern, flags: flags, prog: slices.Clip(slices.Clone(c.prog)), start: start, names: p.namedGroups(), groups: len(p.groups),
		anchored: leads(tree, aBegin), loops: int(c.loops), memos: int(c.memos), looks: c.looks, refs: c.refs, asks: c.asks,
	}
	re.lines = !re.anchored && leads(tree, aBeginLine)
	for _, g := range c.conds {
		if !slices.Contains(re.conds, g) {
			re.conds = append(re.conds, g)
		}
	}
	f := firsts(re.prog)
	re.first = f[start]
	if c.plain {
		for i := range re.prog {
			re.prog[i].sure, re.prog[i].second, re.prog[i].simple = false, false, false
		}
	}
	re.prefix = re.leading()
	return re, nil
}

// MustCompile is Compile for patterns that are part of the program.
func MustCompile(pattern string, flags Flags) *Regexp {
	re, err := Compile(pattern, flags)
	if err != nil {
		panic(fmt.Sprintf("pyre: %q: %v", pattern, err))
	}
	return re
}

// parsed returns the tree of re. It is not kept: most programs never ask for it,
// and it is as large as the program itself.
func (re *Regexp) parsed() *node {
	tree, _, err := parse(re.src, re.flags)
	if err != nil {
		return &node{kind: nEmpty} // it was read once: there is none
	}
	return tree
}

// String returns the pattern as it was given to Compile.
func (re *Regexp) String() string { return re.src }

// Size is the number of instructions that re became. An attempt takes at most so
// many steps for each byte of the text, but with back-references.
func (re *Regexp) Size() int { return len(re.prog) }

// Groups returns the number of groups, the whole match not counted.
func (re *Regexp) Groups() int { return re.groups - 1 }

// Names returns the names of the groups by number; "" for one without a name.
// The first is that of the whole match.
func (re *Regexp) Names() []string { return slices.Clone(re.names) }

// Group returns the number of the group with that name, or 0.
func (re *Regexp) Group(name string) int {
	if name == "" {
		return 0
	}
	return max(0, slices.Index(re.names, name))
}

// Anchored reports whether a match can only begin at the start of the text.
func (re *Regexp) Anchored() bool { return re.anchored }

// First returns the bytes with which a match can begin, as a bitmap. It says
// nothing about the match of an empty text.
func (re *Regexp) First() [4]uint64 { return re.first }

// A Way says how a pattern is matched.
type Way string

// The ways, from the cheapest.
const (
	Literal Way = "literal" // fixed text
	Linear  Way = "linear"  // regular: RE2 could say it
	Around  Way = "around"  // lookaround or conditionals; linear all the same
	Bounded Way = "bounded" // back-references: the budget is what bounds it
)

// Way returns how re is matched.
func (re *Regexp) Way() Way {
	switch {
	case re.refs || !re.memoable():
		return Bounded
	case re.looks || re.asks:
		return Around
	}
	for i := range re.prog {
		switch re.prog[i].op {
		case opMatch, opChar, opStr, opSave, opAssert:
		default:
			return Linear
		}
	}
	return Literal
}

// maxStateBits bounds how many on-off facts besides the position a state may have.
const maxStateBits = 4

func (re *Regexp) memoable() bool { return !re.refs && len(re.conds)+re.loops <= maxStateBits }

// leads reports whether every match begins with the assertion a.
func leads(n *node, a assertKind) bool {
	switch n.kind {
	case nAssert:
		return n.assert == a
	case nCat:
		for _, s := range n.subs {
			if leads(s, a) {
				return true
			}
			if lo, hi := width(s); lo != 0 || hi != 0 {
				return false
			}
		}
		return false
	case nAlt:
		for _, s := range n.subs {
			if !leads(s, a) {
				return false
			}
		}
		return true
	case nGroup, nAtomic:
		return leads(n.subs[0], a)
	case nRepeat:
		return n.min > 0 && leads(n.subs[0], a)
	}
	return false
}

// leading returns the literal that every match begins with.
func (re *Regexp) leading() []byte {
	for pc := re.start; ; {
		switch in := &re.prog[pc]; in.op {
		case opSave:
			pc = in.next
		case opAssert:
			if assertKind(in.arg) != aBegin {
				return nil
			}
			pc = in.next
		case opChar:
			return []byte{in.b}
		case opStr:
			return []byte(in.str)
		default:
			return nil
		}
	}
}
