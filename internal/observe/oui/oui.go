// Package oui names the vendor of a network card by the first three bytes of
// its address, from IEEE's registry of MA-L assignments.
//
// The table is made by the program in gen from the data of
// github.com/gopacket/gopacket/macs (BSD-3-Clause) and embedded in a form that is
// searched where it lies: nothing is unpacked or built at start. It holds
// records of six bytes, sorted: the prefix, and the offset of the name behind
// the records, both big-endian; names end in a NUL byte.
//
//	oui.Vendor(net.HardwareAddr{0x00, 0x00, 0x0c, 1, 2, 3}) // "Cisco Systems, Inc"
package oui

import (
	_ "embed"
	"sort"
	"strings"
)

//go:generate sh -c "cd gen && go run . > ../oui.bin"

// table starts with the number of records, three bytes.
//
//go:embed oui.bin
var table string

const (
	headSize   = 3
	recordSize = 6
)

// Vendor gives the registered owner of a hardware address, "" where there is
// none: an unassigned prefix, or an address that was made up locally.
func Vendor(mac []byte) string {
	const local = 0x02 // the U/L bit, IEEE 802
	if len(mac) < 3 || mac[0]&local != 0 {
		return ""
	}
	n := number(0)
	want := int(mac[0])<<16 | int(mac[1])<<8 | int(mac[2])
	i := sort.Search(n, func(i int) bool { return number(headSize+i*recordSize) >= want })
	if i == n || number(headSize+i*recordSize) != want {
		return ""
	}
	at := headSize + n*recordSize + number(headSize+i*recordSize+3)
	name, _, _ := strings.Cut(table[at:], "\x00")
	return name
}

// number reads three bytes of the table.
func number(at int) int {
	return int(table[at])<<16 | int(table[at+1])<<8 | int(table[at+2])
}
