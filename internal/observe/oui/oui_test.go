package oui_test

import (
	"fmt"
	"testing"
	"unicode/utf8"

	"sekimori/internal/observe/oui"
)

func ExampleVendor() {
	fmt.Println(oui.Vendor([]byte{0x00, 0x00, 0x0c, 1, 2, 3}))
	// Output: Cisco Systems, Inc
}

func TestVendor(t *testing.T) {
	for mac, want := range map[[6]byte]string{
		{0, 0, 0}:                      "XEROX CORPORATION", // the first record
		{0x00, 0x50, 0x56, 9}:          "VMware, Inc.",
		{0x00, 0x16, 0x3e}:             "Xensource, Inc.",
		{0xb8, 0x27, 0xeb, 0xff, 1, 1}: "Raspberry Pi Foundation",
		{0x02, 0x42, 0xac, 0x11}:       "", // docker makes these up
		{0xff, 0xff, 0xff}:             "",
		{0xfc, 0xff, 0xff}:             "", // behind the last record
	} {
		if got := oui.Vendor(mac[:]); got != want {
			t.Errorf("%x: %q, want %q", mac, got, want)
		}
	}
	for _, short := range [][]byte{nil, {0}, {0, 0}} {
		if got := oui.Vendor(short); got != "" {
			t.Errorf("%x: %q", short, got)
		}
	}
}

// TestEveryPrefix: the search stays within the table for each of them.
func TestEveryPrefix(t *testing.T) {
	found := 0
	for p := range 1 << 24 {
		name := oui.Vendor([]byte{byte(p >> 16), byte(p >> 8), byte(p)})
		if name == "" {
			continue
		}
		if found++; !utf8.ValidString(name) || len(name) > 200 {
			t.Fatalf("%06x: %q", p, name)
		}
	}
	if found < 35_000 {
		t.Errorf("%d prefixes have a vendor", found)
	}
}

func BenchmarkVendor(b *testing.B) {
	for range b.N {
		oui.Vendor([]byte{0xb8, 0x27, 0xeb})
	}
}
