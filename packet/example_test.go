package packet_test

import (
	"fmt"
	"net/netip"

	"sekimori/packet"
)

func Example() {
	sp := packet.NewSpace(packet.Config{Family: packet.V4, Interfaces: []string{"lo", "eth0", "wg0"}})
	err := sp.Do(func() error {
		tcp := sp.Values(packet.Protocol, packet.Range{Lo: 6, Hi: 6})
		ssh := tcp.And(sp.Values(packet.DstPort, packet.Range{Lo: 22, Hi: 22}))
		lan := sp.Prefixes(packet.Src, netip.MustParsePrefix("10.0.0.0/8"))
		eth0 := sp.Interfaces(packet.InInterface, func(name string) bool { return name == "eth0" })

		// accept ssh from the lan, over eth0 only while a rate limit allows it
		accepted := ssh.And(lan).And(eth0.Not().Or(sp.Unknown("limit 5/minute")))
		boxes, _ := accepted.Boxes(10)
		for _, b := range boxes {
			fmt.Println(b)
		}
		fmt.Println("certain:", accepted.Must().InterfaceNames(packet.InInterface))
		fmt.Println("possible:", accepted.May().InterfaceNames(packet.InInterface))
		sample, _ := accepted.Must().Sample()
		fmt.Println(sample)
		return nil
	})
	if err != nil {
		fmt.Println("undecided:", err)
	}
	// Output:
	// tcp dport 22 from 10.0.0.0/8 in except eth0
	// tcp dport 22 from 10.0.0.0/8 in eth0 if limit 5/minute
	// certain: [lo wg0]
	// possible: [lo eth0 wg0]
	// tcp 10.0.0.1:40000 -> 203.0.113.5:22 in lo
}

func ExampleParsePacket() {
	p, err := packet.ParsePacket("tcp 198.51.100.7:4242 -> 203.0.113.5:22 in eth0 new")
	fmt.Println(p, err)
	_, err = packet.ParsePacket("tcp 198.51.100.7:4242 -> 203.0.113.5:22 in eth0 establshed")
	fmt.Println(err)
	// Output:
	// tcp 198.51.100.7:4242 -> 203.0.113.5:22 in eth0 new <nil>
	// column 49: unexpected "establshed"; did you mean "established"?
}
