package compile_test

import (
	"fmt"

	"sekimori/internal/compile"
	"sekimori/internal/firewall/acl"
	"sekimori/policy"
)

func ExampleCompile() {
	f, err := policy.Parse("policy.yaml", []byte("version: 1\ninbound:\n  - {allow: ssh, from: 192.0.2.0/24}\n  - {allow: https}\n"))
	if err != nil {
		fmt.Println(err)
		return
	}
	r, err := compile.Compile(f, nil, policy.Host{}, compile.NFTables, acl.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s", r.Text())
	fmt.Println(r.Proof.Families, r.Proof.Equivalent)
	// Output:
	// #!/usr/sbin/nft -f
	// # Made from a policy by sekimori compile: change the policy, not this. Loading it replaces table
	// # inet sekimori, in one transaction, and touches nothing else.
	// table inet sekimori
	// delete table inet sekimori
	// table inet sekimori {
	// 	chain input {
	// 		type filter hook input priority filter; policy drop
	// 		# replies, and what belongs to connections that were let in
	// 		ct state established,related accept
	// 		# this host may talk to itself
	// 		iifname "lo" accept
	// 		# without these ICMPv6 messages IPv6 does not work (RFC 4890)
	// 		icmpv6 type { 1-4, 130-136, 141-143, 148-149, 151-153 } accept
	// 		ct state new jump inbound
	// 		# nothing else comes in
	// 		counter drop comment "inbound"
	// 	}
	// 	chain inbound {
	// 		meta l4proto vmap { 6 : goto inbound-tcp }
	// 	}
	// 	chain inbound-tcp {
	// 		# line 4: let in https
	// 		tcp dport vmap { 22 : goto inbound-tcp-22, 443 comment "inbound[1], line 4" : accept }
	// 	}
	// 	chain inbound-tcp-22 {
	// 		# line 3: let in ssh from 192.0.2.0/24
	// 		ip saddr 192.0.2.0/24 accept comment "inbound[0], line 3"
	// 	}
	// }
	// [IPv4 IPv6] true
}
