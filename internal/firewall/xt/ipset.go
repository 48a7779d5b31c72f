package xt

import "sekimori/internal/firewall"

// IPSet is an ipset, as a `set` match refers to it.
type IPSet struct {
	Name string
	// Type is the kernel's name: "hash:ip,port", "list:set".
	Type string
	// Family is IPv4 or IPv6, or 0 for types that have none.
	Family firewall.Family
	// Set holds the elements; its fields are those of the type's parts in order,
	// with two (protocol, port) for each "port". Nil for list:set.
	Set *firewall.Set
	// Members are the sets of a list:set, in order.
	Members []*IPSet
}
