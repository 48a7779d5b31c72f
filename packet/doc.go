// Package packet is an algebra of exact, symbolic sets of packets.
package packet
