package winfw

import (
	"slices"
	"strings"

	"sekimori/packet"
)

// The keys of the registry in which group policies keep the firewall.
const (
	regHeader = "Windows Registry Editor Version 5.00"
	regKey    = `HKEY_LOCAL_MACHINE\SOFTWARE\Policies\Microsoft\WindowsFirewall`
)

// ParseRegistry reads the text of a .reg file that holds firewall rules, and the
// defaults of profiles if it has them ([MS-GPFAS] 2.2.2.2 to 2.2.2.19). All three
// profiles must say the same. The error, if there is one, is an [Errors].
func ParseRegistry(src []byte) (*Firewall, error) {
	r := &registry{f: &Firewall{}, profiles: map[string]map[string]bool{}}
	r.each(src, r.entry)
	r.line++
	if len(r.list) == 0 {
		r.defaults()
	}
	if len(r.list) > 0 {
		return nil, r.list
	}
	return r.f, nil
}

type registry struct {
	errs
	f     *Firewall
	begun bool
	key   string // below regKey
	// profiles has the settings of each profile.
	profiles map[string]map[string]bool
}

func (r *registry) entry(line string) {
	switch {
	case !r.begun:
		if strings.TrimPrefix(line, "\ufeff") != regHeader {
			r.fail("a file of the registry begins with %q", regHeader)
		}
		r.begun = true
	case line == "" || line[0] == ';':
	case line[0] == '[':
		key, ok := strings.CutPrefix(strings.TrimSuffix(line[1:], "]"), regKey)
		if !ok || !strings.HasSuffix(line, "]") || !slices.Contains([]string{"", `\FirewallRules`, `\DomainProfile`, `\StandardProfile`, `\PublicProfile`}, key) {
			r.fail("the key %q is not understood", short(line))
			return
		}
		r.key = strings.TrimPrefix(key, `\`)
	default:
		r.value(line)
	}
}

// value reads "NAME"="TEXT" and "NAME"=dword:00000001.
func (r *registry) value(line string) {
	name, rest, ok := quoted(line)
	if !ok || !strings.HasPrefix(rest, "=") {
		r.fail("%q is not a value of the registry", short(line))
		return
	}
	rest = rest[1:]
	switch r.key {
	case "FirewallRules":
		text, rest, ok := quoted(rest)
		if !ok || rest != "" {
			r.fail("a rule is a text")
			return
		}
		if rule, ok := r.rule(name, text); ok {
			r.f.Rules = append(r.f.Rules, rule)
		}
	case "":
		r.fail("the value %s stands in no key that is understood", short(name))
	default:
		if rest != "dword:00000000" && rest != "dword:00000001" {
			r.fail("%s is dword:00000000 or dword:00000001", short(name))
			return
		}
		if !slices.Contains([]string{"EnableFirewall", "DefaultInboundAction", "DefaultOutboundAction"}, name) {
			r.fail("the value %s is not understood", short(name))
			return
		}
		if r.profiles[r.key] == nil {
			r.profiles[r.key] = map[string]bool{}
		}
		r.profiles[r.key][name] = rest == "dword:00000001"
	}
}

// defaults takes the settings of the profiles, if all have the same.
func (r *registry) defaults() {
	if len(r.profiles) == 0 {
		return
	}
	get := func(name string) (set, value bool) {
		for i, p := range []string{"DomainProfile", "StandardProfile", "PublicProfile"} {
			v, ok := r.profiles[p][name]
			if i > 0 && (ok != set || v != value) {
				r.fail("%s is not the same in all profiles", name)
			}
			set, value = ok, v
		}
		return set, value
	}
	if on, v := get("EnableFirewall"); !on || !v {
		r.fail("the firewall is not turned on in all profiles")
	}
	def := func(name string) Default {
		switch set, v := get(name); {
		case !set:
			return Unset
		case v:
			return BlockAll
		}
		return AllowAll
	}
	r.f.Inbound, r.f.Outbound = def("DefaultInboundAction"), def("DefaultOutboundAction")
}

// quoted reads a text in double quotes, with \\ and \" in it.
func quoted(s string) (text, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		return "", s, false
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return b.String(), s[i+1:], true
		case s[i] == '\\' && i+1 < len(s) && (s[i+1] == '\\' || s[i+1] == '"'):
			i++
		case s[i] == '\\':
			return "", s, false
		}
		b.WriteByte(s[i])
	}
	return "", s, false
}

// rule reads RULE of the grammar: "v" VERSION "|" 1*(NAME "=" VALUE "|").
func (r *registry) rule(name, text string) (Rule, bool) {
	rule := Rule{Name: name, Line: r.line, Protocol: AnyProtocol, Disabled: true}
	before := len(r.list)
	version, fields, ok := strings.Cut(text, "|")
	minor, isTwo := strings.CutPrefix(version, "v2.")
	if n, isNumber := number(minor, 999); !ok || !isTwo || !isNumber || n < 10 {
		r.fail("a rule begins with its version, v2.10 or later 2.x, not %q", short(version))
		return rule, false
	}
	fields, ok = strings.CutSuffix(fields, "|")
	if !ok || fields == "" {
		r.fail("a rule ends with a |")
		return rule, false
	}
	once := map[string]bool{}
	for field := range strings.SplitSeq(fields, "|") {
		key, v, ok := strings.Cut(field, "=")
		if !ok || v == "" {
			r.fail("the field %q is not NAME=VALUE", short(field))
			return rule, false
		}
		if once[key] && slices.Contains([]string{"Action", "Dir", "Protocol", "Active", "Name", "Desc", "EmbedCtxt", "App", "Svc"}, key) {
			r.fail("%s comes twice", key)
		}
		once[key] = true
		if !r.field(&rule, key, v) {
			r.fail("the field %q is not understood", short(field))
		}
	}
	if !once["Action"] || !once["Dir"] || !once["Active"] {
		r.fail("a rule needs Action, Dir and Active")
	}
	rule.check(&r.errs)
	return rule, len(r.list) == before
}

// field reads one field; what only the host can say becomes a condition that varies.
func (r *registry) field(rule *Rule, key, v string) bool {
	ok := true
	switch key {
	case "Action":
		rule.Action = map[string]Action{"Allow": Allow, "Block": Block, "ByPass": Bypass}[v]
		return v == "Allow" || v == "Block" || v == "ByPass"
	case "Dir":
		if v == "Out" {
			rule.Direction = Out
		}
		return v == "In" || v == "Out"
	case "Active":
		rule.Disabled = v != "TRUE"
		return v == "TRUE" || v == "FALSE"
	case "Profile":
		rule.Profiles = append(rule.Profiles, v)
		return v == "Domain" || v == "Private" || v == "Public"
	case "Protocol":
		rule.Protocol, ok = number(v, 255)
		return ok
	case "LPort", "LPort2_10":
		return r.port(rule, &rule.LocalPorts, key, v)
	case "RPort", "RPort2_10":
		return r.port(rule, &rule.RemotePorts, key, v)
	case "ICMP4", "ICMP6":
		t, ok := icmp(v)
		rule.ICMP = append(rule.ICMP, t)
		return ok && strings.Contains(v, ":") && (key == "ICMP4") == (rule.Protocol == 1) && (key == "ICMP6") == (rule.Protocol == 58)
	case "LA4", "RA4", "LA6", "RA6":
		return r.address(rule, key, v)
	case "Name":
		rule.Display = v
	case "Desc":
		rule.Description = v
	case "EmbedCtxt":
	case "Edge", "Defer", "LSM":
		// of NAT traversal: who comes through a Teredo tunnel, and notices for programs
		return key != "Edge" || v == "FALSE"
	case "App", "Svc", "IF", "IFType", "Security", "Security2_9", "Security2", "RMauth", "RUAuth", "Platform", "Platform2", "SkipVer":
		rule.Varies = append(rule.Varies, key+"="+v)
	default:
		return false
	}
	return true
}

func (r *registry) port(rule *Rule, to *[]packet.Range, key, v string) bool {
	if slices.Contains([]string{"RPC", "RPC-EPMap", "Teredo", "IPTLSIn", "IPHTTPSIn", "IPTLSOut", "IPHTTPSOut"}, v) {
		rule.Varies = append(rule.Varies, key+"="+v)
		return true
	}
	p, ok := portRange(v)
	if !ok || !strings.HasSuffix(key, "2_10") && strings.Contains(v, "-") {
		return false
	}
	*to = append(*to, p)
	return true
}

func (r *registry) address(rule *Rule, key, v string) bool {
	a := &rule.Remote
	if key[0] == 'L' {
		a = &rule.Local
	}
	if slices.Contains([]string{"LocalSubnet", "DNS", "DHCP", "WINS", "DefaultGateway"}, v) && key[0] == 'R' {
		a.Keywords = append(a.Keywords, v+key[2:])
		return true
	}
	n4, n6 := len(a.V4), len(a.V6)
	if keyword(v) || !a.add(v) {
		return false
	}
	if key[2] == '4' {
		return len(a.V4) > n4
	}
	return len(a.V6) > n6
}
