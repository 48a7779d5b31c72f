package observe

import (
	"maps"
	"testing"
	"testing/fstest"

	"sekimori/internal/observe/rootfs"
)

// TestMayHaveModule: asking for a part of the kernel that is not loaded would
// load it; one that is built in, or that nothing is known of, is asked for.
func TestMayHaveModule(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	base := fstest.MapFS{
		"proc/modules":                      file("nf_tables 356352 1234 nft_ct, Live 0x0\nip_set 57344 0 - Live 0x0\n"),
		"proc/sys/kernel/osrelease":         file("6.1.0\n"),
		"lib/modules/6.1.0/modules.builtin": file("kernel/net/bridge/br.ko\nkernel/net/bridge/netfilter/ebtable_nat.ko\n"),
		"sys/module/ipv6/parameters/x":      file(""),
	}
	without := func(names ...string) fstest.MapFS {
		out := fstest.MapFS{}
		maps.Copy(out, base)
		for _, n := range names {
			delete(out, n)
		}
		return out
	}
	for _, test := range []struct {
		name   string
		files  fstest.MapFS
		module string
		want   bool
	}{
		{"loaded", base, "nf_tables", true},
		{"loaded, last line", base, "ip_set", true},
		{"a prefix of a loaded one", base, "nf_table", false},
		{"absent", base, "ebtable_filter", false},
		{"built in", base, "ebtable_nat", true},
		{"built in with parameters", base, "ipv6", true},
		{"no list of the built in", without("lib/modules/6.1.0/modules.builtin"), "ebtable_filter", true},
		{"a kernel without modules", without("proc/modules"), "ebtable_filter", true},
	} {
		if got := mayHaveModule(rootfs.FS{Source: test.files}, test.module); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}
