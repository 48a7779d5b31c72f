package plan

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Text writes the policy, each line with the reason why it is there.
func (d Draft) Text() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# What may reach this host%s, written by sekimori init from what it did then.", of(d.Hostname))
	line("# Nothing here is in force before it is applied. What it would change: sekimori plan")
	for _, n := range d.Notes {
		line("# %s", n)
	}
	line("version: 1")
	if len(d.Zones) > 0 {
		line("zones:")
		for _, z := range d.Zones {
			line("  %s: {interfaces: [%s]}  # %s", z.Name, strings.Join(quoteAll(z.Interfaces), ", "), z.Why)
		}
	}
	if len(d.Admins) > 0 && !d.Anywhere {
		line("lists:")
		line("  admins:")
		for _, n := range d.Admins {
			line("    - %s  # %s", quote(n.Prefix.String()), n.Why)
		}
	}
	line("inbound:  # to this host: the first rule that matches decides, what none allows is dropped")
	d.sshRule(line)
	line("  - {allow: ping, rate: 5/s per source}  # helps to find faults; to refuse it, remove this line")
	for _, o := range d.Offers {
		mark := "  - "
		if !o.Keep {
			mark = "  # - "
		}
		line("%s%s  # %s", mark, o.rule(), o.Why)
	}
	d.sections(line)
	return b.String()
}

func of(hostname string) string {
	if hostname == "" {
		return ""
	}
	return " (" + hostname + ")"
}

// sshRule writes who may log in.
func (d Draft) sshRule(line func(string, ...any)) {
	var services []string
	for _, p := range d.SSHPorts {
		if p == 22 {
			services = append(services, "ssh")
		} else {
			services = append(services, fmt.Sprintf("%d/tcp", p))
		}
	}
	if d.Anywhere {
		line("  - {allow: %s, rate: 6/min per source}  # %s", words(services), orElse(d.SSHWhy, "from anywhere, slowly"))
		return
	}
	line("  - {allow: %s, from: admins}  # new logins; the list above says from where", words(services))
}

func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

// sections writes what stands behind the rules.
func (d Draft) sections(line func(string, ...any)) {
	if len(d.DHCP) > 0 {
		line("# Addresses of %s come by DHCP: its replies are let in without a rule.", strings.Join(d.DHCP, ", "))
	}
	if len(d.Router) > 0 {
		line("router:")
		line("  forward:  # this host is a router; nothing else passes through it")
		for _, f := range d.Router {
			hide := ""
			if f.Masquerade {
				hide = ", masquerade: true"
			}
			line("    - {from: %s, to: %s%s}  # it forwards between them now", f.From, f.To, hide)
		}
	}
	if len(d.Containers) > 0 {
		line("containers: enforce  # on %s: a published port needs a rule above, like any other", strings.Join(d.Containers, ", "))
	}
	if !slices.Equal(d.SSHPorts, []uint16{22}) {
		ports := make([]string, len(d.SSHPorts))
		for i, p := range d.SSHPorts {
			ports[i] = fmt.Sprint(p)
		}
		line("ssh: {ports: [%s]}  # where sshd is reached now", strings.Join(ports, ", "))
	}
	line("apply: {confirm-within: 60s}  # without a fresh login in that time, a change is undone")
}

// rule writes an offer as the policy has it.
func (o Offer) rule() string {
	text := "{allow: " + words(o.Services)
	if len(o.From) > 0 {
		text += ", from: " + words(quoteAll(o.From))
	}
	if len(o.To) > 0 {
		text += ", to: " + words(quoteAll(o.To))
	}
	return text + "}"
}

// String is the rule of the offer.
func (o Offer) String() string { return o.rule() }

func words(ws []string) string {
	if len(ws) == 1 {
		return ws[0]
	}
	return "[" + strings.Join(ws, ", ") + "]"
}

func quoteAll(ws []string) []string {
	out := make([]string, len(ws))
	for i, w := range ws {
		out[i] = quote(w)
	}
	return out
}

var plain = regexp.MustCompile(`^[a-z][a-z]+[0-9]*$`)

// quote writes a word so that YAML takes it for a text.
func quote(w string) string {
	if !strings.Contains(w, ":") && strings.Trim(w, "0123456789./") == "" && strings.Contains(w, ".") {
		return w // of IPv4
	}
	if plain.MatchString(w) && !slices.Contains([]string{"null", "true", "false", "yes", "no", "on", "off"}, w) {
		return w
	}
	return `"` + w + `"`
}

// plainName tells whether a policy can have the name of an interface.
func plainName(name string) bool {
	return len(name) > 0 && len(name) < 16 && name != "." && name != ".." && strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz0123456789_.-") == ""
}

// plainText makes a comment of other people's words: letters that change no line
// and no terminal, and not many.
func plainText(s string, most int) string {
	var b strings.Builder
	for _, r := range s {
		if b.Len() >= most {
			b.WriteString("...")
			break
		}
		if r < ' ' || r > '~' || r == '#' {
			r = '?'
		}
		b.WriteRune(r)
	}
	return strings.TrimSpace(b.String())
}
