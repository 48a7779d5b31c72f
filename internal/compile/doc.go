// Package compile turns a policy into the languages of packet filters, and proves
// each text before it hands it out.
//
//	result, err := compile.Compile(file, lists, host, compile.NFTables, acl.Options{Lang: "en"})
//
// # What is proven
//
// The policy is put into an access list ([Lower]), a back-end writes that in its
// filter's language, and the text that comes out is read by that back-end's
// reader, which shares nothing with its writer. What the text means is then
// compared with what the policy itself says it means (package policy), for all
// packets of both families, to this host, from it and through it: as sets, not by
// samples. Rate limits are compared by their parameters, and by which packets they
// are asked about. Where anything differs there is no text but an error with an
// example of a packet ([Difference]).
//
// The same policy, lists and host give the same bytes on every machine. Whether a
// kernel or a tool takes them is for who loads them.
//
// # Adding a back-end
//
// A back-end is one entry of the table in backend.go: a function that writes a
// list, and one that reads text into a [Reading]. Readers that produce a
// firewall.Ruleset need nothing more ([Ruleset]); others say themselves what
// their text means.
package compile
