// Package winfw reads and writes rules of the Windows Defender Firewall, and says
// what they mean. It is pure. What [Write] has written is proven only by what the
// readers and [Firewall.Judge] make of its text, which share nothing with it. It
// was proven so, and never run on Windows by us.
//
// # Text
//
// [ParseScript] reads the part of PowerShell that [Write] uses, and nothing else:
// calls of New-NetFirewallRule and Set-NetFirewallProfile with constant arguments,
// and the few other statements of such a script. [ParseRegistry] reads rules as the
// registry and group policies have them, by the grammar that is published in
// [MS-GPFAS] 2.2.2.19, in the text of a .reg file. Both are strict: an unknown
// parameter or field is an error with its line, because a rule without one of its
// conditions admits more.
//
// # Meaning
//
// Rules have no order. In each direction an allow-bypass rule that matches wins,
// then a block rule, then an allow rule, then the default of the profile
// ([MS-FASP] 2.2.34). Within a rule all conditions must hold; of several values for
// one condition one suffices. Answers in a flow that was allowed pass, so packets
// with [packet.Established] are accepted; what runs over loopback is not filtered.
// Errors of ICMP are judged as any packet is: that Windows would know to which
// flow they belong is not relied on.
//
// Whether a condition on IPv4 addresses alone lets IPv6 pass is not documented.
// Such a rule, as someone else may have made it, is undecided; Write always gives
// both.
//
// [MS-GPFAS]: https://learn.microsoft.com/openspecs/windows_protocols/ms-gpfas
// [MS-FASP]: https://learn.microsoft.com/openspecs/windows_protocols/ms-fasp
package winfw
