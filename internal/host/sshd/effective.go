package sshd

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// A Setting is the value of a keyword and where it comes from.
type Setting struct {
	Values []string `json:"values"`
	// From says for each value which line it stands on; empty where it is the
	// default.
	From []Pos `json:"from,omitempty"`
}

// Effective is what holds for one connection: sshd -T -C.
type Effective struct {
	settings map[string]*Setting
	// Problems are lines that make sshd drop this very connection, although it
	// starts with them.
	Problems []Problem
}

// Effective gives what holds for a connection.
func (c *Config) Effective(conn Connection) *Effective {
	p := newPass(c.Version, &conn)
	p.file(c.root, place{matchOnly: true})
	e := c.global.effective(p.set)
	e.Problems = p.problems
	return e
}

// Global gives what holds outside all Match blocks.
func (c *Config) Global() *Effective { return c.global.effective(nil) }

// effective completes the settings of the first pass with those of the second
// and with the defaults.
func (p *pass) effective(over map[string]*Setting) *Effective {
	both := newPass(p.v, nil)
	maps.Copy(both.set, p.set)
	table := newTable(p.v)
	for name, s := range over {
		base, _, _ := strings.Cut(name, " ")
		k := table[base]
		switch {
		case name == "rekeylimit.time", name == "permituserenvironment.names", k != nil && !k.global:
			both.set[name] = s
		}
	}
	return both.complete(table)
}

func (p *pass) complete(table table) *Effective {
	e := &Effective{settings: map[string]*Setting{}}
	for name, k := range table {
		if name != k.name || k.retired || name == "match" || name == "include" || name == "rdomain" {
			continue
		}
		s := p.set[name]
		if s == nil && k.def != "" && (k.vendor == "" || k.vendor == p.v.Vendor) {
			s = &Setting{Values: strings.Fields(k.def)}
		}
		if s != nil {
			e.settings[name] = s
		}
	}
	for _, k := range algorithmKeywords() {
		value, from := "", []Pos(nil)
		if s := p.set[k]; s != nil {
			value, from = s.Values[0], s.From
		}
		if list, err := assemble(k, value, p.v); err == nil {
			e.settings[k] = &Setting{Values: strings.Split(list, ","), From: from}
		}
	}
	p.composed(e)
	return e
}

// composed fills in what several settings make up.
func (p *pass) composed(e *Effective) {
	if s := p.set["hostkey"]; s == nil {
		e.settings["hostkey"] = &Setting{Values: []string{"/etc/ssh/ssh_host_rsa_key", "/etc/ssh/ssh_host_ecdsa_key", "/etc/ssh/ssh_host_ed25519_key"}}
	}
	e.settings["maxstartups"] = p.startups()
	e.settings["listenaddress"] = p.listen(e)
	if p.v.release() >= 1000 && p.set["ipqos"] == nil {
		e.settings["ipqos"] = &Setting{Values: []string{"ef", "cs1"}}
	}
	for name, since := range map[string]int{"sshd-session": 908, "sshd-auth": 1000} {
		key := strings.ReplaceAll(name, "-", "") + "path"
		if dir := "/usr/libexec/"; p.v.release() >= since && p.set[key] == nil {
			if p.v.Vendor == "debian" {
				dir = "/usr/lib/openssh/"
			}
			e.settings[key] = &Setting{Values: []string{dir + name}}
		}
	}
	if p.v.release() >= 908 {
		e.settings["persourcepenalties"] = p.penaltyText()
	}
	rekey := &Setting{Values: []string{"0", "0"}}
	for i, name := range []string{"rekeylimit", "rekeylimit.time"} {
		if s := p.set[name]; s != nil {
			rekey.Values[i] = s.Values[0]
			rekey.From = append(rekey.From, s.From...)
		}
	}
	e.settings["rekeylimit"] = rekey
	if s := p.set["permituserenvironment.names"]; s != nil {
		e.settings["permituserenvironment"] = s
	}
	subsystems := &Setting{}
	for _, name := range slices.Sorted(maps.Keys(p.set)) {
		if strings.HasPrefix(name, "subsystem ") {
			subsystems.Values = append(subsystems.Values, p.set[name].Values...)
			subsystems.From = append(subsystems.From, p.set[name].From...)
		}
	}
	if subsystems.Values != nil {
		e.settings["subsystem"] = subsystems
	}
}

// Names gives the keywords that have a value, in lower case and sorted.
func (e *Effective) Names() []string { return slices.Sorted(maps.Keys(e.settings)) }

// Setting gives the value of a keyword and where it comes from. The name is as
// sshd -T prints it, in lower case.
func (e *Effective) Setting(name string) Setting {
	if s := e.settings[name]; s != nil {
		return *s
	}
	return Setting{}
}

// Values gives the items of a keyword; a list of algorithms has one for each.
func (e *Effective) Values(name string) []string { return e.Setting(name).Values }

// Value gives the items of a keyword separated by blanks.
func (e *Effective) Value(name string) string { return strings.Join(e.Values(name), " ") }

// Bool reports whether a keyword's value is yes.
func (e *Effective) Bool(name string) bool { return e.Value(name) == "yes" }

// Int gives the number of a keyword whose value is one; 0 otherwise.
func (e *Effective) Int(name string) int {
	n, _ := strconv.Atoi(e.Value(name))
	return n
}

// enabledMethods reports whether all methods of one list of
// AuthenticationMethods are enabled.
func (e *Effective) enabledMethods(list string) bool {
	for m := range strings.SplitSeq(list, ",") {
		name, _, _ := strings.Cut(m, ":")
		if !e.methodOn(name) {
			return false
		}
	}
	return true
}

func (e *Effective) methodOn(name string) bool {
	switch name {
	case "none":
		return true
	case "publickey":
		return e.Bool("pubkeyauthentication")
	case "password":
		return e.Bool("passwordauthentication")
	case "keyboard-interactive":
		return e.Bool("kbdinteractiveauthentication")
	case "hostbased":
		return e.Bool("hostbasedauthentication")
	case "gssapi-with-mic":
		return e.Bool("gssapiauthentication")
	case "gssapi-keyex":
		return e.Bool("gssapikeyexchange")
	}
	return false
}
