package policy

import (
	_ "embed"
	"fmt"
	"reflect"
	"strings"
)

//go:embed example.yaml
var example string

// Example returns a policy that uses every section.
func Example() []byte { return []byte(example) }

// Reference returns the language on one page, in Markdown: the example, every
// key, every word, every service. It is made from the types that Parse fills.
func Reference() string {
	var b strings.Builder
	b.WriteString(intro)
	b.WriteString("\n```yaml\n" + example + "```\n")
	b.WriteString(rules)
	b.WriteString("\n## Keys\n\nA key in bold must be there. Where \"or a list\" is said, one value may stand without brackets.\n")
	sections(&b, reflect.TypeFor[Policy](), "")
	b.WriteString("\n## Services\n\nA service is one of these names, `PORT/tcp`, `PORT-PORT/tcp` (also udp, sctp, dccp, udplite), `icmp/TYPE` for both families\n")
	b.WriteString("(echo-request, echo-reply, destination-unreachable, time-exceeded, parameter-problem), `icmpv4/N` or `icmpv6/N` for one,\n")
	b.WriteString("a protocol by itself (tcp, udp, sctp, dccp, udplite, igmp, ipip, sit, gre, esp, ah, ospf, vrrp), or `any`.\n\n")
	b.WriteString("| name | stands for | what it is |\n|---|---|---|\n")
	for n := range Names() {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", n[0], n[1], n[2])
	}
	return b.String()
}

const intro = `# The policy file

<!-- Made from the types of package policy; go test ./policy -update writes it. -->

One YAML file says everything that sekimori is responsible for. By default it is /etc/sekimori/policy.yaml.
`

const rules = `
- A section left out is left alone. ` + "`inbound: []`" + ` is not left out: it refuses everything, and is itself refused, because nobody could log in.
- Within a section the first rule that matches decides. Rules are about new connections; replies and what belongs to them come back.
- What exceeds a rate is dropped and never falls through to a later rule. A burst is as large as the count unless said.
- A rate is about new connections. A source is an IPv4 address, or an IPv6 network of 64 bits. Sources are kept in a table; where it is
  full, a new source passes.
- What an outbound default allows is everything that no rule is about. A packet that no process has sent belongs to no user.
- One line is about IPv4 and IPv6, always.
- A router passes what forward rules allow, what it translates, replies, and nothing else. A port forward is about packets for an address
  of this host; with hairpin, hosts of every other zone may use that address, too, and their sources are hidden where the answer would
  take another way. Masquerade needs Linux 5.7 or later.
- containers: enforce is about packets to a container from anywhere but a container: a published port is asked about as the sender wrote
  it, and what was sent to a container's own address is dropped. observe counts what enforce would drop. Interfaces of containers are
  docker0, docker_gwbridge, br-\*, podman\*, cni\*, virbr\*, lxcbr\*, lxdbr\*, incusbr\* and veth\*, but those that a zone names.
- Implicit, and nothing else: loopback; established and related; ICMPv6 as RFC 4890 asks; DHCP replies to this host where it is a DHCP client.
- Lists may name other lists, and files with one address, prefix or range a line: ` + "`{file: PATH}`" + `.
- IPv6 addresses are quoted: YAML has a use of its own for colons. The file is at most 1 MB; anchors, tags and texts of several lines are not used.
`

// sections writes a table for the keys of t, and then those below.
func sections(b *strings.Builder, t reflect.Type, path string) {
	title := path
	if path == "" {
		title = "top level"
	}
	fmt.Fprintf(b, "\n### %s\n\n| key | value | |\n|---|---|---|\n", title)
	var below []func()
	for _, f := range fieldsOf(t) {
		ft := t.Field(f.index).Type
		key := f.key
		switch {
		case f.scalar:
			key = "(a word)"
		case f.required:
			key = "**" + key + "**"
		}
		fmt.Fprintf(b, "| %s | %s | %s |\n", key, cell(ft, f), f.doc)
		if inner, steps := innermost(ft); inner.Kind() == reflect.Struct {
			below = append(below, func() { sections(b, inner, strings.TrimPrefix(path+"."+f.key, ".")+steps) })
		}
	}
	for _, f := range below {
		f()
	}
}

// innermost returns what pointers, lists and maps lead to, and the way there.
func innermost(t reflect.Type) (inner reflect.Type, steps string) {
	switch t.Kind() {
	case reflect.Pointer:
		return innermost(t.Elem())
	case reflect.Slice:
		inner, steps = innermost(t.Elem())
		return inner, "[]" + steps
	case reflect.Map:
		inner, steps = innermost(t.Elem())
		return inner, ".NAME" + steps
	}
	return t, ""
}

// cell says what a value looks like, for a table.
func cell(t reflect.Type, f field) string {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if _, ok := reflect.Zero(t).Interface().(word); ok {
		return syntaxOf(t, f)
	}
	switch t.Kind() {
	case reflect.Struct:
		return "keys, below"
	case reflect.Map:
		return "names, each with " + strings.Replace(cell(t.Elem(), field{}), "keys, below", "keys as below", 1)
	case reflect.Slice:
		if f.one {
			return cell(t.Elem(), field{port: f.port}) + "; or a list"
		}
		return "a list of " + strings.Replace(cell(t.Elem(), field{}), "keys, below", "keys as below", 1)
	}
	return syntaxOf(t, f)
}
