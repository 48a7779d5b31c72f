package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"sekimori/internal/exposure"
	"sekimori/internal/firewall"
	"sekimori/internal/host"
	"sekimori/internal/report"
)

func newReach(io streams) *cobra.Command {
	l := look{streams: io}
	var from string
	cmd := &cobra.Command{
		Use:   "reach PORT/PROTO",
		Short: "Who may reach one port, and by which rule",
		Long: `reach answers for one port, also where nothing listens: who could reach it then.
It is about packets that are sent to this port: to the addresses that something
listens on there, and what port forwarding makes of the port.`,
		Example: `  sekimori reach 3306/tcp
  sekimori reach 22/tcp --from 198.51.100.7
  sekimori reach 53/udp --ruleset rules.save
  sekimori reach 443/tcp --format json`,
		GroupID: groupSee,
		Args:    exactly("a port such as 22/tcp"),
		RunE: func(cmd *cobra.Command, args []string) error {
			proto, number, err := parsePort(args[0])
			if err != nil {
				return err
			}
			var source netip.Addr
			if cmd.Flags().Changed("from") {
				if source, err = netip.ParseAddr(from); err != nil {
					return usage("for example: --from 198.51.100.7", "--from %q is not an IP address", from)
				}
				source = source.WithZone("").Unmap()
			}
			v, err := l.open(cmd.Context())
			if err != nil {
				return err
			}
			if err := v.canCome(source); err != nil {
				return err
			}
			var h *exposure.Host
			var p report.Port
			err = l.while("evaluating the rules", func() (err error) {
				h = exposure.Evaluate(v.host, v.rules, 0, v.families...)
				p, err = report.NewPort(h, v.host, proto, number, source, report.Silent(strings.Join(l.rulesets, " and "), v.families))
				return err
			})
			switch {
			case err != nil:
				return err
			case l.format == "json":
				return report.JSON(l.out, p)
			}
			return p.Text(l.out, l.style(), from, h.Interfaces())
		},
	}
	l.flags(cmd, true)
	cmd.Flags().StringVar(&from, "from", "", "ask about one source `ADDRESS` only")
	return cmd
}

// canCome refuses a source about which the answer would be of no worth: this
// host itself, no host at all, or a family that the rules are not about.
func (v view) canCome(a netip.Addr) error {
	if !a.IsValid() {
		return nil
	}
	family := firewall.IPv4
	if a.Is6() {
		family = firewall.IPv6
	}
	own := a.IsLoopback()
	for _, i := range v.host.Interfaces {
		own = own || slices.ContainsFunc(i.Addresses, func(x host.Address) bool { return x.Prefix.Addr() == a })
	}
	switch {
	case own:
		return usage("", "%s is this host itself; reach is about others", a)
	case a.IsMulticast() || a.IsUnspecified():
		return usage("for example: --from 198.51.100.7", "%s is nobody's address", a)
	case !slices.Contains(v.families, family):
		return usage("add the other file with a second --ruleset", "%s: these rules are not about that family", a)
	}
	return nil
}

// protocols are those with ports.
var protocols = []string{"tcp", "udp", "sctp", "udplite", "dccp"}

// portless are protocols that people ask about and that have no ports.
var portless = []string{"icmp", "icmpv6", "igmp", "gre", "esp", "ah"}

// parsePort reads "22/tcp".
func parsePort(text string) (proto string, number uint16, err error) {
	left, right, ok := strings.Cut(text, "/")
	if !ok {
		hint := "for example: 22/tcp"
		if _, err := strconv.ParseUint(text, 10, 16); err == nil {
			hint = "did you mean: " + text + "/tcp"
		} else if slices.Contains(portless, strings.ToLower(text)) {
			return "", 0, usage("sekimori trace '"+strings.ToLower(text)+" 198.51.100.7 -> 203.0.113.5 in eth0' follows such a packet", "%s has no ports", text)
		}
		return "", 0, usage(hint, "port %q has no protocol", text)
	}
	right = strings.ToLower(right)
	if slices.Contains(protocols, strings.ToLower(left)) {
		return "", 0, usage("did you mean: "+right+"/"+strings.ToLower(left), "%q is the wrong way round", text)
	}
	n, err := strconv.ParseUint(left, 10, 16)
	if err != nil || n == 0 {
		return "", 0, usage("for example: 22/tcp", "%q is not a port: want a number from 1 to 65535", left)
	}
	for _, p := range protocols {
		if p == right {
			return p, uint16(n), nil
		}
	}
	hint := "one of " + strings.Join(protocols, ", ")
	if near := nearest(right, protocols); near != "" {
		hint = fmt.Sprintf("did you mean: %d/%s", n, near)
	}
	return "", 0, usage(hint, "unknown protocol %q", right)
}
