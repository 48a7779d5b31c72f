// Package policy reads the policy file of sekimori: what an operator wants to
// be reachable on a host, how people log in, and what is done against attackers.
package policy
