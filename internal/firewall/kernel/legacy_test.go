package kernel

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sekimori/internal/firewall"
)

// legacyTables are tables that a kernel had, with one rule for every extension.
func legacyTables(tb testing.TB) []LegacyTable {
	tb.Helper()
	var out []LegacyTable
	for _, name := range []string{"ip4", "ip6"} {
		b, err := os.ReadFile("../iptables/testdata/legacy." + name + ".json.gz")
		if err != nil {
			tb.Fatal(err)
		}
		z, err := gzip.NewReader(bytes.NewReader(b))
		if err != nil {
			tb.Fatal(err)
		}
		if b, err = io.ReadAll(z); err != nil {
			tb.Fatal(err)
		}
		var r struct {
			Dump Dump `json:"dump"`
		}
		if err := json.Unmarshal(b, &r); err != nil {
			tb.Fatal(err)
		}
		out = append(out, r.Dump.Tables...)
	}
	if len(out) < 8 {
		tb.Fatalf("%d recorded tables", len(out))
	}
	return out
}

// blob makes tables of iptables-legacy.
type blob struct{ b []byte }

// entry appends an entry with a standard target: a verdict, or an offset.
func (b *blob) entry(verdict int32) uint32 {
	return b.target("", binary.LittleEndian.AppendUint32(nil, uint32(verdict)), nil)
}

func (b *blob) target(name string, data []byte, edit func(e []byte)) uint32 {
	at := uint32(len(b.b))
	for len(data)%8 != 0 {
		data = append(data, 0)
	}
	e := make([]byte, 112+32+len(data))
	binary.LittleEndian.PutUint16(e[88:], 112)
	binary.LittleEndian.PutUint16(e[90:], uint16(len(e)))
	binary.LittleEndian.PutUint16(e[112:], uint16(32+len(data)))
	copy(e[114:], name)
	copy(e[144:], data)
	if edit != nil {
		edit(e)
	}
	b.b = append(b.b, e...)
	return at
}

func (b *blob) chain(name string) uint32 {
	b.target("ERROR", append([]byte(name), make([]byte, 32-len(name))...), nil)
	return uint32(len(b.b))
}

// filterTable is a filter table whose three chains have nothing but a policy, of
// which that of INPUT stands behind rules, and what follows behind.
func filterTable(rules func(b *blob), after func(b *blob)) LegacyTable {
	b := &blob{}
	t := LegacyTable{Family: 2, Name: "filter", ValidHooks: 1<<1 | 1<<2 | 1<<3}
	rules(b)
	t.Underflow[1] = b.entry(verdictDrop)
	for n := 2; n <= 3; n++ {
		t.HookEntry[n] = b.entry(verdictAccept)
		t.Underflow[n] = t.HookEntry[n]
	}
	if after != nil {
		after(b)
	}
	b.chain("ERROR")
	t.Entries = b.b
	return t
}

func decodeOne(t LegacyTable) *firewall.Ruleset {
	rs := &firewall.Ruleset{}
	decodeLegacy([]LegacyTable{t}, nil, decodeIPSets(nil), rs)
	return rs
}

func TestLegacyJumps(t *testing.T) {
	const entrySize = 112 + 40
	// INPUT: jump, goto, no target, return, accept; then its policy, two more, and
	// the chain behind its name.
	user := int32(8*entrySize + 112 + 64)
	table := filterTable(func(b *blob) {
		b.entry(user)
		b.target("", binary.LittleEndian.AppendUint32(nil, uint32(user)), func(e []byte) { e[82] = ip4Goto })
		b.entry(int32(len(b.b) + entrySize)) // the next
		b.entry(verdictReturn)
		b.entry(verdictAccept)
	}, func(b *blob) {
		b.chain("USER")
		b.entry(verdictQueue)
		b.entry(verdictReturn)
	})
	rs := decodeOne(table)
	if len(rs.Obstacles) > 0 {
		t.Fatal(rs.Obstacles)
	}
	want := map[string][]string{
		"INPUT":   {"-A INPUT -j USER", "-A INPUT -g USER", "-A INPUT", "-A INPUT -j RETURN", "-A INPUT -j ACCEPT"},
		"FORWARD": nil,
		"OUTPUT":  nil,
		"USER":    {"-A USER -j QUEUE"},
	}
	got := map[string][]string{}
	for _, c := range rs.Tables[0].Chains {
		got[c.Name] = nil
		for i, r := range c.Rules {
			if r.Number != i+1 || r.Chain != c {
				t.Errorf("%s: number %d", r.Text, r.Number)
			}
			got[c.Name] = append(got[c.Name], r.Text)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]firewall.Step{firewall.Verdict{Kind: firewall.Goto, Chain: "USER"}}, rs.Tables[0].Chain("INPUT").Rules[1].Steps); diff != "" {
		t.Error(diff)
	}
	if b := rs.Tables[0].Chain("INPUT").Base; b.Policy != firewall.Drop || b.Hook != firewall.Input || b.Priority != 0 {
		t.Errorf("%+v", b)
	}
	if p := rs.Tables[0].Place(); p != "ip (legacy) filter" {
		t.Error(p)
	}
}

func TestLegacyPriorities(t *testing.T) {
	got := map[string]int32{}
	for _, table := range legacyTables(t) {
		for _, c := range decodeOne(table).Tables[0].Chains {
			if c.Base != nil {
				got[table.Name+" "+c.Name] = c.Base.Priority
			}
		}
	}
	want := map[string]int32{
		"raw PREROUTING": -300, "raw OUTPUT": -300,
		"mangle PREROUTING": -150, "mangle INPUT": -150, "mangle FORWARD": -150, "mangle OUTPUT": -150, "mangle POSTROUTING": -150,
		"nat PREROUTING": -100, "nat OUTPUT": -100, "nat INPUT": 100, "nat POSTROUTING": 100,
		"filter INPUT": 0, "filter FORWARD": 0, "filter OUTPUT": 0,
		"security INPUT": 50, "security FORWARD": 50, "security OUTPUT": 50,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestLegacyBroken: what cannot be read is an obstacle with a reason, and what can
// be read but not understood is undecoded.
func TestLegacyBroken(t *testing.T) {
	good := func() LegacyTable { return filterTable(func(b *blob) { b.entry(verdictAccept) }, nil) }
	for _, c := range []struct {
		name string
		edit func(t *LegacyTable)
		want string
	}{
		{"empty", func(t *LegacyTable) { t.Entries = nil }, "chain INPUT from 0 to 152"},
		{"short", func(t *LegacyTable) { t.Entries = t.Entries[:len(t.Entries)-8] }, "entry at 608: target at 112, end at 176, of 168 bytes"},
		{"stray", func(t *LegacyTable) { t.Entries = append(t.Entries, 1, 2, 3) }, "3 stray bytes at 784"},
		{"no end", func(t *LegacyTable) { t.Entries = t.Entries[:608] }, "the blob has no end"},
		{"hook", func(t *LegacyTable) { t.HookEntry[1] = 8 }, "chain INPUT from 8 to 152"},
		{"underflow", func(t *LegacyTable) { t.Underflow[2] = 0 }, "chain FORWARD from 304 to 0"},
		{"policy", func(t *LegacyTable) { t.Entries[152+144] = 0x80 }, "policy of INPUT: verdict -128"},
		{"policy with a condition", func(t *LegacyTable) { t.Entries[152] = 1 }, "policy of INPUT: entry at 152 is not a policy"},
		{"wild jump", func(t *LegacyTable) { copy(t.Entries[144:], []byte{8, 0, 0, 0}) }, "chain INPUT rule 1: a jump to 8, where no chain begins"},
		{"strange verdict", func(t *LegacyTable) { copy(t.Entries[144:], []byte{0xf0, 0xff, 0xff, 0xff}) }, "chain INPUT rule 1: verdict -16 is not known"},
		{"target size", func(t *LegacyTable) { t.Entries[112] = 8 }, "entry at 0: target: size 8 in 40 bytes"},
		{"user chain without end", func(t *LegacyTable) {
			*t = filterTable(func(b *blob) { b.entry(verdictAccept) }, func(b *blob) { b.chain("U"); b.entry(verdictDrop) })
		}, "chain U does not end with a return"},
	} {
		table := good()
		c.edit(&table)
		rs := decodeOne(table)
		if len(rs.Obstacles) != 1 || len(rs.Tables) != 0 {
			t.Errorf("%s: %d tables, obstacles %v", c.name, len(rs.Tables), rs.Obstacles)
			continue
		}
		if got := strings.TrimPrefix(rs.Obstacles[0].Why, "could not be read: "); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestLegacyUndecoded(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(e []byte)
		want string
	}{
		{"flags", func(e []byte) { e[82] = 0x80 }, "-A INPUT [undecoded: flags 0x80, inverted 0x0] -j DROP"},
		{"inversion of TOS", func(e []byte) { e[83] = 0x04 }, "-A INPUT [undecoded: flags 0x0, inverted 0x4] -j DROP"},
		{"holes in an interface mask", func(e []byte) { e[49] = 0xff }, "-A INPUT [undecoded: interface mask 00ff0000000000000000000000000000] -j DROP"},
	} {
		rs := decodeOne(filterTable(func(b *blob) {
			b.target("", binary.LittleEndian.AppendUint32(nil, 0xffffffff), c.edit)
		}, nil))
		if len(rs.Tables) != 1 {
			t.Errorf("%s: %v", c.name, rs.Obstacles)
			continue
		}
		r := rs.Tables[0].Chain("INPUT").Rules[0]
		if r.Text != c.want {
			t.Errorf("%s: %s", c.name, r.Text)
		}
		if _, ok := r.Steps[0].(firewall.Match).Cond.(firewall.Undecoded); !ok {
			t.Errorf("%s: %#v", c.name, r.Steps)
		}
	}
}

func TestLowerTables(t *testing.T) {
	bridges := []firewall.HostInterface{{Name: "eth0"}, {Name: "br0", Bridge: true}, {Name: "br1", Bridge: true}}
	ebt := func(policy int32, rules uint32) []byte {
		b := make([]byte, 48)
		copy(b[4:], "INPUT")
		binary.LittleEndian.PutUint32(b[40:], uint32(policy))
		binary.LittleEndian.PutUint32(b[44:], rules)
		return b
	}
	arp := func(verdict int32) LegacyTable {
		b := make([]byte, 192+40)
		binary.LittleEndian.PutUint32(b[192+32:], uint32(verdict))
		return LegacyTable{Family: 3, Name: "filter", ValidHooks: 1, Entries: b}
	}
	for _, c := range []struct {
		name  string
		table LegacyTable
		want  []string // interfaces of the obstacles
	}{
		{"empty ebtables", LegacyTable{Family: 7, Entries: slices.Concat(ebt(-1, 0), ebt(-1, 0))}, nil},
		{"ebtables that drops", LegacyTable{Family: 7, Entries: slices.Concat(ebt(-1, 0), ebt(-2, 0))}, []string{"br0", "br1"}},
		{"ebtables with a rule", LegacyTable{Family: 7, Entries: append(ebt(-1, 1), make([]byte, 100)...)}, []string{"br0", "br1"}},
		{"ebtables unread", LegacyTable{Family: 7}, []string{"br0", "br1"}},
		{"empty arptables", arp(verdictAccept), nil},
		{"arptables that drops", arp(verdictDrop), []string{""}},
		{"arptables unread", LegacyTable{Family: 3, ValidHooks: 1}, []string{""}},
		{"another family", LegacyTable{Family: 99}, []string{""}},
	} {
		rs := &firewall.Ruleset{}
		decodeLegacy([]LegacyTable{c.table}, bridges, nil, rs)
		var got []string
		for _, o := range rs.Obstacles {
			got = append(got, o.Interface)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}

// FuzzLegacy: any blob is a table, or an obstacle.
func FuzzLegacy(f *testing.F) {
	for _, t := range legacyTables(f) {
		var offsets []byte
		for n := range 5 {
			offsets = binary.LittleEndian.AppendUint32(offsets, t.HookEntry[n])
			offsets = binary.LittleEndian.AppendUint32(offsets, t.Underflow[n])
		}
		if len(t.Entries) < 20000 {
			f.Add(t.Entries, offsets, t.ValidHooks, t.Family, t.Name)
		}
	}
	small := filterTable(func(b *blob) { b.entry(verdictAccept) }, func(b *blob) { b.chain("U"); b.entry(verdictReturn) })
	f.Add(small.Entries, make([]byte, 40), small.ValidHooks, small.Family, small.Name)
	f.Fuzz(func(t *testing.T, entries, offsets []byte, hooks uint32, family uint8, name string) {
		table := LegacyTable{Family: family, Name: name, ValidHooks: hooks, Entries: entries}
		for n := 0; n < 5 && len(offsets) >= 8; n++ {
			table.HookEntry[n] = binary.LittleEndian.Uint32(offsets)
			table.Underflow[n] = binary.LittleEndian.Uint32(offsets[4:])
			offsets = offsets[8:]
		}
		rs := decodeOne(table)
		lower := firewall.Family(family) == firewall.ARP || firewall.Family(family) == firewall.Bridge
		if len(rs.Tables)+len(rs.Obstacles) != 1 && !lower {
			t.Errorf("%d tables, %d obstacles", len(rs.Tables), len(rs.Obstacles))
		}
		for _, table := range rs.Tables {
			for _, c := range table.Chains {
				for _, r := range c.Rules {
					if !strings.HasPrefix(r.Text, "-A ") {
						t.Errorf("rule %q", r.Text)
					}
				}
			}
		}
	})
}
