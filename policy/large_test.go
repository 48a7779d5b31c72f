package policy_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"sekimori/packet"
	"sekimori/policy"
)

// manyRules is a policy of n rules that differ.
func manyRules(n int) []byte {
	var b strings.Builder
	b.WriteString("version: 1\ninbound:\n  - {allow: ssh, from: 192.0.2.0/24}\n")
	for i := range n - 1 {
		fmt.Fprintf(&b, "  - {allow: %d/tcp, from: 10.%d.%d.0/24}  # rule %d\n", 1024+i%50000, i/256%256, i%256, i)
	}
	return []byte(b.String())
}

func TestTenThousandRules(t *testing.T) {
	f, err := policy.Parse("policy.yaml", manyRules(10_000))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(f.Policy.Inbound); n != 10_000 {
		t.Errorf("%d rules", n)
	}
	if line, _, ok := f.Position("inbound[9999].from[0]"); !ok || line != 10_002 {
		t.Errorf("the last rule is in line %d", line)
	}
}

func TestTooLarge(t *testing.T) {
	text := append(manyRules(1), make([]byte, policy.MaxSize)...)
	_, err := policy.Parse("policy.yaml", text)
	if err == nil || !strings.Contains(err.Error(), "more than 1048576") {
		t.Error(err)
	}
}

// listFile has n addresses, in no order, every other one next to another.
func listFile(n int) []byte {
	var b strings.Builder
	for i := range n {
		k := i * 7919 % n // each number once: 7919 is prime and does not divide n
		k = k/2*3 + k%2
		fmt.Fprintf(&b, "10.%d.%d.%d\n", k>>16, k>>8&255, k&255)
	}
	return []byte(b.String())
}

func TestLists(t *testing.T) {
	f, err := policy.Parse("policy.yaml", []byte(`version: 1
lists:
  a: [192.0.2.1, b, "2001:db8::/127"]
  b: [192.0.2.2-192.0.2.9, {file: extra}]
  c: ["::/0", 0.0.0.0/0, 255.255.255.255]
`))
	if err != nil {
		t.Fatal(err)
	}
	lists, err := f.Lists(func(path string) ([]byte, error) {
		if path != "extra" {
			return nil, fmt.Errorf("asked for %s", path)
		}
		return []byte("# more\n\n192.0.2.10  # joins\r\n2001:db8::2\n198.51.100.0/24\n"), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"a": "192.0.2.1-192.0.2.10 198.51.100.0-198.51.100.255 2001:db8::-2001:db8::2",
		"b": "192.0.2.2-192.0.2.10 198.51.100.0-198.51.100.255 2001:db8::2-2001:db8::2",
		"c": "0.0.0.0-255.255.255.255 ::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
	} {
		if got := ranges(lists[name]); got != want {
			t.Errorf("%s: %s, not %s", name, got, want)
		}
	}
}

func ranges(rs []packet.AddrRange) string {
	var words []string
	for _, r := range rs {
		words = append(words, r.Lo.String()+"-"+r.Hi.String())
	}
	return strings.Join(words, " ")
}

func TestListFaults(t *testing.T) {
	f, err := policy.Parse("policy.yaml", []byte("version: 1\nlists: {a: [{file: x}, {file: gone}]}\n"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Lists(func(path string) ([]byte, error) {
		if path == "gone" {
			return nil, fmt.Errorf("open %s: no such file", path)
		}
		return []byte("192.0.2.1\n 10.0.0.1/8 # ours\nexample.org\n"), nil
	})
	want := `x:2:2: prefix 10.0.0.1/8 has host bits set
  2 |  10.0.0.1/8 # ours
    |  ^^^^^^^^^^
  expected: an address, a prefix or a range
  hint: did you mean 10.0.0.0/8?
x:3:1: "example.org" is no address, and names of hosts are not looked up
  3 | example.org
    | ^^^^^^^^^^^
  expected: an address, a prefix or a range
policy.yaml:2:24: the list cannot be read: open gone: no such file
  2 | lists: {a: [{file: x}, {file: gone}]}
    |                        ^`
	if err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
}

// TestLongList reads 100,000 entries and finds each again.
func TestLongList(t *testing.T) {
	lists := longList(t, 100_000)
	a := netip.MustParseAddr("10.0.0.0")
	if len(lists["l"]) != 50_000 || lists["l"][0].Lo != a || lists["l"][0].Hi != a.Next() {
		t.Errorf("%d ranges, the first %v", len(lists["l"]), lists["l"][0])
	}
}

func longList(t testing.TB, n int) map[string][]packet.AddrRange {
	t.Helper()
	f, err := policy.Parse("policy.yaml", []byte("version: 1\nlists: {l: [{file: l}]}\n"))
	if err != nil {
		t.Fatal(err)
	}
	lists, err := f.Lists(func(string) ([]byte, error) { return listFile(n), nil })
	if err != nil {
		t.Fatal(err)
	}
	return lists
}

func BenchmarkParse10000Rules(b *testing.B) {
	text := manyRules(10_000)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := policy.Parse("policy.yaml", text); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkList100000(b *testing.B) {
	for b.Loop() {
		longList(b, 100_000)
	}
}

// TestHostile gives Parse a megabyte of what is bad for parsers, and wants an
// answer in a time in which a person still waits.
func TestHostile(t *testing.T) {
	const size = policy.MaxSize - 100
	lines := func(n int, line string) string {
		var b strings.Builder
		for i := 0; b.Len() < size && i < n; i++ {
			fmt.Fprintf(&b, line, i)
		}
		return b.String()
	}
	all := policy.MaxSize
	tests := map[string]string{
		"brackets":        strings.Repeat("[", size),
		"braces by lines": strings.Repeat("{\n", size/2),
		"dashes":          strings.Repeat("- ", size/2),
		"dashes by lines": strings.Repeat("-\n", size/2),
		"one line":        "version: 1\nlists: {a: [" + strings.Repeat("a,", size/2) + "]}",
		"long lines":      "version: 1\nlists:\n  a: [\n" + strings.Repeat(strings.Repeat("a,", 2000)+"\n", 250) + "]\n",
		"bad services":    "version: 1\ninbound:\n" + lines(all, "  - {allow: s%d}\n"),
		"unknown lists":   "version: 1\nlists:\n" + lines(all, "  l%[1]d: [x%[1]d]\n"),
		"chain of lists":  "version: 1\nlists:\n" + lines(all, "  l%[1]d: [l%[1]d0]\n"),
		"zones":           "version: 1\nzones:\n" + lines(all, "  z%[1]d: {interfaces: e%[1]d}\n"),
		"same keys":       "version: 1\n" + strings.Repeat("ssh: {}\n", size/8),
		"quotes":          strings.Repeat("'", size),
		"quoted lines":    strings.Repeat("\"\n", size/2),
		"control":         strings.Repeat("\x01\n", size/2),
		"colons":          strings.Repeat("a: ", size/3),
		"colons by lines": "version: 1\nlists:\n" + strings.Repeat("  fd00::\n", size/9),
		"comments":        strings.Repeat("#\n", size/2),
		"empty lines":     strings.Repeat("\n", size),
		"blanks":          strings.Repeat(strings.Repeat(" ", 190)+"\n", size/191),
		"deep steps":      steps(190, size),
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			_, err := policy.Parse("policy.yaml", []byte(text))
			if err == nil {
				t.Error("no error")
			} else if n := len(err.Error()); n > 1<<20 {
				t.Errorf("the error has %d bytes", n)
			}
			t.Logf("took %v", time.Since(start)) // that it ends is what is tested
		})
	}
}

// steps goes in by one blank a line up to n, and starts again.
func steps(n, size int) string {
	var b strings.Builder
	for b.Len() < size {
		for i := range n {
			fmt.Fprintf(&b, "%*sa:\n", i, "")
		}
	}
	return b.String()[:size]
}
