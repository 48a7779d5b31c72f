package systemd

import (
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"sekimori/internal/host"
)

// Install is what a unit's [Install] section says.
type Install struct {
	WantedBy   []string
	RequiredBy []string
	UpheldBy   []string
	Alias      []string
	Also       []string
	// DefaultInstance is what a template is enabled as.
	DefaultInstance string
}

// Rules reports whether enabling the unit would make any link.
func (i Install) Rules() bool {
	return len(i.WantedBy)+len(i.RequiredBy)+len(i.UpheldBy)+len(i.Alias) > 0
}

// restrictions are the settings of a service about what it may do, systemd.exec(5).
func restrictions() []string {
	return []string{
		"NoNewPrivileges", "ProtectSystem", "ProtectHome", "PrivateTmp", "PrivateDevices", "PrivateNetwork", "PrivateUsers", "ProtectKernelTunables",
		"ProtectKernelModules", "ProtectKernelLogs", "ProtectControlGroups", "ProtectClock", "ProtectHostname", "ProtectProc", "RestrictNamespaces",
		"RestrictAddressFamilies", "RestrictSUIDSGID", "RestrictRealtime", "LockPersonality", "MemoryDenyWriteExecute", "SystemCallFilter",
		"SystemCallArchitectures", "CapabilityBoundingSet", "AmbientCapabilities", "RootDirectory", "RootImage", "IPAddressDeny", "IPAddressAllow",
		"ReadOnlyPaths", "ReadWritePaths", "InaccessiblePaths", "BindIPv6Only", "Accept", "FreeBind", "BindToDevice",
	}
}

// sectionOf is the section that holds what a kind of unit does.
func sectionOf(name string) string {
	switch path.Ext(name) {
	case ".service":
		return "Service"
	case ".socket":
		return "Socket"
	case ".timer":
		return "Timer"
	case ".path":
		return "Path"
	case ".mount":
		return "Mount"
	case ".swap":
		return "Swap"
	}
	return ""
}

// ReadUnit reads a unit from its file and its drop-ins, in the order in which
// they apply. Names, states and places are the caller's to fill in.
func ReadUnit(name string, texts []Text) (host.Unit, Install) {
	var list []Setting
	for _, t := range texts {
		list = append(list, Parse(t)...)
	}
	section := sectionOf(name)
	u := host.Unit{Name: name, Manager: "systemd"}
	if s, ok := Last(list, "Unit", "Description"); ok {
		u.Description = s.Value
	}
	if s, ok := Last(list, section, "User"); ok {
		u.Run = s.Value
	}
	if s, ok := Last(list, section, "DynamicUser"); ok {
		u.DynamicUser, _ = Bool(s.Value)
	}
	readCommands(&u, section, list)
	readTriggers(&u, section, list)
	for _, key := range restrictions() {
		if values := All(list, section, key); len(values) > 0 {
			if u.Settings == nil {
				u.Settings = map[string]string{}
			}
			u.Settings[key] = strings.Join(values, " ")
			if _, isBool := Bool(values[len(values)-1]); isBool {
				u.Settings[key] = values[len(values)-1] // the last one counts
			}
		}
	}
	for _, line := range All(list, section, "Environment") {
		u.Preload = append(u.Preload, preloads(line)...)
	}
	return u, Install{
		WantedBy: names(list, "WantedBy"), RequiredBy: names(list, "RequiredBy"), UpheldBy: names(list, "UpheldBy"),
		Alias: names(list, "Alias"), Also: names(list, "Also"), DefaultInstance: last(list, "Install", "DefaultInstance"),
	}
}

func last(list []Setting, section, key string) string {
	s, _ := Last(list, section, key)
	return s.Value
}

func names(list []Setting, key string) []string {
	var out []string
	for _, v := range All(list, "Install", key) {
		out = append(out, strings.Fields(v)...)
	}
	return out
}

// preloads gives the libraries that one Environment= line forces into a service.
func preloads(line string) []string {
	var out []string
	for _, w := range Words(line) {
		for _, name := range [...]string{"LD_PRELOAD=", "LD_AUDIT="} {
			if value, ok := strings.CutPrefix(w, name); ok {
				out = append(out, strings.FieldsFunc(value, func(c rune) bool { return c == ' ' || c == ':' })...)
			}
		}
	}
	return out
}

// maxCommands bounds the commands of one unit.
const maxCommands = 1000

// readCommands reads the Exec lines. An empty one takes back those of its kind
// before it.
func readCommands(u *host.Unit, section string, list []Setting) {
	for _, s := range list {
		if s.Section != section || !strings.HasPrefix(s.Key, "Exec") || s.Key == "ExecSearchPath" || s.Key == "ExecPaths" {
			continue
		}
		if s.Value == "" {
			u.Commands = slices.DeleteFunc(u.Commands, func(c host.UnitCommand) bool { return c.Kind == s.Key })
			continue
		}
		// Several commands of one line are separated by a lone semicolon.
		words := Words(s.Value)
		for len(words) > 0 {
			end := slices.Index(words, ";")
			if end < 0 {
				end = len(words)
			}
			if end > 0 && len(u.Commands) < maxCommands {
				u.Commands = append(u.Commands, command(s.Key, words[:end]))
			}
			words = words[min(end+1, len(words)):]
		}
	}
}

func command(kind string, words []string) host.UnitCommand {
	c := host.UnitCommand{Kind: kind, Argv: host.MaskArgs(words)}
	rest := strings.TrimLeft(c.Argv[0], "-@:+!|")
	c.Prefix, c.Argv[0] = c.Argv[0][:len(c.Argv[0])-len(rest)], rest
	if strings.Contains(c.Prefix, "@") && len(c.Argv) > 1 {
		c.Argv = slices.Delete(c.Argv, 1, 2) // what the process is to be called
	}
	return c
}

// readTriggers reads what sockets, timers and paths wait for, and what they start.
func readTriggers(u *host.Unit, section string, list []Setting) {
	key := map[string]string{"Socket": "Service", "Timer": "Unit", "Path": "Unit"}[section]
	if key == "" {
		return
	}
	base := strings.TrimSuffix(u.Name, path.Ext(u.Name))
	u.Triggers = base + ".service"
	if section == "Socket" && strings.EqualFold(last(list, section, "Accept"), "yes") {
		u.Triggers = base + "@.service"
	}
	if v := last(list, section, key); v != "" {
		u.Triggers = v
	}
	for _, s := range list {
		if s.Section != section {
			continue
		}
		switch {
		case section == "Socket" && strings.HasPrefix(s.Key, "Listen"):
			if s.Value == "" {
				u.Listen = nil // an empty one of any kind takes all back
				continue
			}
			u.Listen = append(u.Listen, host.UnitListen{Kind: s.Key, Address: s.Value, Port: listenPort(s.Value)})
		case section == "Timer" && strings.HasPrefix(s.Key, "On") || section == "Path" && strings.HasPrefix(s.Key, "Path"):
			if s.Value == "" {
				u.Timer = nil
				continue
			}
			u.Timer = append(u.Timer, s.Key+"="+s.Value)
		}
	}
}

// listenPort gives the port of an internet socket: a number alone, or ADDRESS:PORT.
func listenPort(address string) uint16 {
	if n, err := strconv.ParseUint(address, 10, 16); err == nil {
		return uint16(n)
	}
	if a, err := netip.ParseAddrPort(address); err == nil {
		return a.Port()
	}
	// An address may name its interface behind the port: [fe80::1]:22%eth0.
	if before, _, ok := strings.Cut(address, "%"); ok {
		if a, err := netip.ParseAddrPort(before); err == nil {
			return a.Port()
		}
	}
	return 0
}
