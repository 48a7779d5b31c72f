package kernel

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// Attributes of rules (enum nft_rule_attributes). Without meaning for packets are
// the compat attribute (5: what the matches were checked against when the rule
// was loaded), position (6), pad (8), id (9), position id (10) and chain id (11).
const (
	ruleAttrTable       = 1
	ruleAttrChain       = 2
	ruleAttrHandle      = 3
	ruleAttrExpressions = 4
	ruleAttrUserdata    = 7
)

func (n *nftables) rule(m Message) error {
	var a attrs
	broken := a.parse(m.Data, types(ruleAttrTable, ruleAttrChain, ruleAttrHandle, ruleAttrExpressions, 5, 6, ruleAttrUserdata, 8, 9, 10, 11))
	r := &reader{attrs: a}
	tn, cn := r.text(ruleAttrTable), r.text(ruleAttrChain)
	if r.err != nil {
		if broken != nil {
			return broken
		}
		return r.err
	}
	t, err := n.find(m, tn)
	if err != nil {
		return fmt.Errorf("rule of chain %q: %w", cn, err)
	}
	c := t.chains[cn]
	if c == nil {
		return fmt.Errorf("its chain %s %q is not there", t.Place(), cn)
	}
	raw := rawRule{broken: broken, comment: userComment(a[ruleAttrUserdata])}
	if h, err := a.u64(ruleAttrHandle); err == nil {
		raw.handle = h
	} else if raw.broken == nil {
		raw.broken = err
	}
	var cut error
	raw.exprs, cut = expressions(a[ruleAttrExpressions])
	if raw.broken == nil {
		raw.broken = cut
	}
	c.rules = append(c.rules, raw)
	return nil
}

// expressions cuts a list of expressions apart (enum nft_expr_attributes). On an
// error the expressions before it are returned.
func expressions(b []byte) ([]expr, error) {
	out := make([]expr, 0, 8)
	for e, err := range list(b, 1) { // NFTA_LIST_ELEM
		if err != nil {
			return out, err
		}
		x, err := oneExpression(e)
		if err != nil {
			return out, err
		}
		out = append(out, x)
	}
	return out, nil
}

func oneExpression(b []byte) (expr, error) {
	var x expr
	for len(b) > 0 {
		a, rest, err := next(b)
		if err != nil {
			return x, err
		}
		switch {
		case a.typ == 1 && x.name == "": // NFTA_EXPR_NAME
			x.name = expressionName(bytes.TrimSuffix(a.data, []byte{0}))
		case a.typ == 2 && x.data == nil: // NFTA_EXPR_DATA
			x.data = a.data
		default:
			return x, fmt.Errorf("attribute %d of an expression is not known", a.typ)
		}
		b = rest
	}
	if x.name == "" {
		return x, errors.New("an expression without a name")
	}
	return x, nil
}

// expressionName returns a name, without a copy of it for the frequent ones.
func expressionName(b []byte) string {
	for _, s := range [...]string{"meta", "cmp", "payload", "immediate", "counter", "bitwise", "ct", "lookup", "match", "target"} {
		if string(b) == s {
			return s
		}
	}
	return string(b)
}

// userComment reads the comment in the user data of a rule, which are
// type-length-value triples of nft's and iptables-nft's own (both: type 0 is the
// comment; libnftnl udata.h). Anything else in there is for those programs alone.
func userComment(b []byte) string {
	for len(b) >= 2 {
		typ, n := b[0], int(b[1])
		if 2+n > len(b) {
			return ""
		}
		if typ == 0 {
			return strings.TrimRight(string(b[2:2+n]), "\x00")
		}
		b = b[2+n:]
	}
	return ""
}
