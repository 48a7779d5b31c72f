package kernel

import (
	"bytes"
	"encoding/json"
	"testing"

	"sekimori/internal/firewall"
)

// FuzzDecode decodes any dump. Nothing may panic or take for ever; each message of
// a rule is a rule or an obstacle; decoding twice gives the same.
func FuzzDecode(f *testing.F) {
	for _, file := range recorded(f, "*/*.json") {
		d := readDump(f, file)
		for _, one := range alone(d) {
			f.Add(pack(one))
		}
		f.Add(pack(d))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d := unpack(b)
		if len(d.Messages) > 200 {
			return // larger than it needs to be
		}
		rs := Decode(d, hostInterfaces())
		n := 0
		for _, m := range d.Messages {
			if m.Type == msgNewRule {
				n++
			}
		}
		if got := rules(rs) + len(rs.Obstacles); got < n {
			t.Errorf("%d rules and obstacles from %d rules", got, n)
		}
		for _, tb := range rs.Tables {
			for _, c := range tb.Chains {
				checkChain(t, c)
			}
		}
		if again := show(Decode(d, hostInterfaces())); again != show(rs) {
			t.Errorf("decoded twice:\n%s\nand\n%s", show(rs), again)
		}
	})
}

// checkChain says what holds for every chain that is decoded.
func checkChain(t *testing.T, c *firewall.Chain) {
	t.Helper()
	for i, r := range c.Rules {
		if r.Number != i+1 || r.Chain != c {
			t.Errorf("%s: rule %d says it is %d", c.Place(), i+1, r.Number)
		}
		for _, s := range r.Steps {
			if m, ok := s.(firewall.Match); ok {
				checkCond(t, m.Cond)
			}
		}
	}
}

func checkCond(t *testing.T, c firewall.Cond) {
	t.Helper()
	switch c := c.(type) {
	case firewall.Not:
		checkCond(t, c.Of)
	case firewall.And:
		for _, p := range c {
			checkCond(t, p)
		}
	case firewall.Or:
		for _, p := range c {
			checkCond(t, p)
		}
	case firewall.Compare:
		for _, iv := range c.In {
			checkInterval(t, len(c.Value), iv)
		}
	case firewall.Lookup:
		if len(c.Key) != len(c.Set.Fields) && c.Set.Opaque == "" {
			t.Errorf("a key of %d parts for set %s of %d", len(c.Key), c.Set.Name, len(c.Set.Fields))
		}
		for _, e := range c.Set.Elems {
			for i, iv := range e.Key {
				checkInterval(t, len(c.Key[i]), iv)
			}
		}
	case nil:
		t.Error("a condition that is nil")
	}
}

func checkInterval(t *testing.T, bits int, iv firewall.Interval) {
	t.Helper()
	if n := (bits + 7) / 8; len(iv.Lo) != n || len(iv.Hi) != n || bytes.Compare(iv.Lo, iv.Hi) > 0 {
		t.Errorf("interval %s for %d bits", showInterval(iv), bits)
	}
}

// pack and unpack put a dump into bytes that damage can be done to: type, family
// and length before the data of each message.
func pack(d *Dump) []byte {
	var b []byte
	for _, m := range d.Messages {
		b = append(b, m.Type, m.Family, byte(len(m.Data)), byte(len(m.Data)>>8))
		b = append(b, m.Data...)
	}
	return b
}

func unpack(b []byte) *Dump {
	d := &Dump{}
	for len(b) >= 4 {
		n := min(int(b[2])|int(b[3])<<8, len(b)-4)
		d.Messages = append(d.Messages, Message{Type: b[0], Family: b[1], Data: b[4 : 4+n]})
		b = b[4+n:]
	}
	return d
}

func TestPack(t *testing.T) {
	for _, file := range recorded(t, "nft/*.json") {
		d := readDump(t, file)
		d.Generation = 0
		a, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := json.Marshal(unpack(pack(d))); err != nil || !bytes.Equal(a, b) {
			t.Errorf("%s: %v", file, err)
		}
	}
}
