// Command gen writes the table of package oui to standard output. It is a module
// of its own, so that its dependency is none of sekimori's.
package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/gopacket/gopacket/macs"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run() error {
	var prefixes [][3]byte
	for p := range macs.ValidMACPrefixMap {
		prefixes = append(prefixes, p)
	}
	slices.SortFunc(prefixes, func(a, b [3]byte) int { return bytes.Compare(a[:], b[:]) })
	var records, names bytes.Buffer
	put := func(w *bytes.Buffer, n int) error {
		if n >= 1<<24 {
			return fmt.Errorf("%d does not fit three bytes", n)
		}
		w.Write([]byte{byte(n >> 16), byte(n >> 8), byte(n)})
		return nil
	}
	offsets := map[string]int{}
	if err := put(&records, len(prefixes)); err != nil {
		return err
	}
	for _, p := range prefixes {
		name := strings.Join(strings.Fields(strings.ToValidUTF8(macs.ValidMACPrefixMap[p], "")), " ")
		at, ok := offsets[name]
		if !ok {
			at = names.Len()
			offsets[name] = at
			names.WriteString(name + "\x00")
		}
		records.Write(p[:])
		if err := put(&records, at); err != nil {
			return err
		}
	}
	w := bufio.NewWriter(os.Stdout)
	w.Write(records.Bytes())
	w.Write(names.Bytes())
	return w.Flush()
}
