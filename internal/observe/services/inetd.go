package services

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"sekimori/internal/host"
	"sekimori/internal/observe/rootfs"
)

// portNames is /etc/services: ports by "name/protocol".
type portNames map[string]uint16

func readPortNames(f rootfs.FS) portNames {
	data, err := f.Read("etc/services", 4<<20)
	if err != nil {
		return nil
	}
	out := portNames{}
	for line := range strings.Lines(string(data)) {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		number, protocol, ok := strings.Cut(words[1], "/")
		port, err := strconv.ParseUint(number, 10, 16)
		if !ok || err != nil {
			continue
		}
		for i, name := range words {
			if i != 1 {
				out[name+"/"+protocol] = uint16(port)
			}
		}
	}
	return out
}

func (p portNames) port(name, protocol string) uint16 {
	if n, err := strconv.ParseUint(name, 10, 16); err == nil {
		return uint16(n)
	}
	return p[name+"/"+strings.TrimRight(protocol, "46")]
}

// readInetd reads the services of inetd and xinetd.
func readInetd(f rootfs.FS, n *rootfs.Notes) []host.InetdService {
	ports := readPortNames(f)
	var out []host.InetdService
	files := []string{"etc/inetd.conf"}
	for _, name := range list(f, "etc/inetd.d", n) {
		files = append(files, "etc/inetd.d/"+name)
	}
	for _, name := range files {
		out = append(out, parseInetd("/"+name, n.Text(f, name), ports)...)
	}
	files = []string{"etc/xinetd.conf"}
	for _, name := range list(f, "etc/xinetd.d", n) {
		// xinetd's includedir passes over names with a dot or a tilde at the end.
		if !strings.Contains(name, ".") && !strings.HasSuffix(name, "~") {
			files = append(files, "etc/xinetd.d/"+name)
		}
	}
	for _, name := range files {
		out = append(out, parseXinetd("/"+name, n.Text(f, name), ports)...)
	}
	return out
}

// maxServices bounds the services of one file.
const maxServices = 2000

// parseInetd reads inetd.conf(5): name type protocol wait user program arguments.
func parseInetd(file, text string, ports portNames) []host.InetdService {
	var out []host.InetdService
	number := 0
	for line := range strings.Lines(text) {
		number++
		w := strings.Fields(line)
		if len(w) < 6 || strings.HasPrefix(w[0], "#") || len(out) == maxServices {
			continue
		}
		name := w[0]
		if i := strings.LastIndexByte(name, ':'); i >= 0 {
			name = name[i+1:] // an address before it
		}
		user, _, _ := strings.Cut(strings.ReplaceAll(w[4], ":", "."), ".")
		s := host.InetdService{File: file, Line: number, Name: name, Protocol: w[2], User: user, Port: ports.port(name, w[2]), Argv: []string{w[5]}}
		if len(w) > 7 {
			s.Argv = append(s.Argv, host.MaskArgs(w[6:])[1:]...) // w[6] is argv[0]
		}
		out = append(out, s)
	}
	return out
}

// parseXinetd reads xinetd.conf(5): blocks of "service NAME { key = value }". What
// the defaults block disables or enables by name is applied to this file alone.
func parseXinetd(file, text string, ports portNames) []host.InetdService {
	var out []host.InetdService
	var values map[string]string
	name, start, number := "", 0, 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(line)
		words := strings.Fields(line)
		switch {
		case line == "" || line[0] == '#':
		case words[0] == "service" && len(words) > 1:
			name, start = strings.TrimSuffix(words[1], "{"), number
			values = nil
			if strings.HasSuffix(line, "{") {
				values = map[string]string{}
			}
		case line == "{" && name != "":
			values = map[string]string{}
		case strings.HasPrefix(line, "}"):
			if name != "" && values != nil && len(out) < maxServices {
				out = append(out, xinetdService(file, start, name, values, ports))
			}
			name, values = "", nil
		case values != nil:
			if key, value, ok := strings.Cut(line, "="); ok {
				values[strings.TrimSpace(strings.TrimRight(key, "+- \t"))] = strings.TrimSpace(value)
			}
		}
	}
	return out
}

func xinetdService(file string, line int, name string, values map[string]string, ports portNames) host.InetdService {
	s := host.InetdService{File: file, Line: line, Name: name, Protocol: values["protocol"], User: values["user"], Disabled: values["disable"] == "yes"}
	if s.Protocol == "" {
		s.Protocol = "tcp"
		if values["socket_type"] == "dgram" {
			s.Protocol = "udp"
		}
	}
	if s.Port = ports.port(name, s.Protocol); values["port"] != "" {
		s.Port = ports.port(values["port"], s.Protocol)
	}
	if server := values["server"]; server != "" {
		s.Argv = host.MaskArgs(append([]string{server}, strings.Fields(values["server_args"])...))
	}
	return s
}

// readOpenRC reads the services of OpenRC: scripts, and links to them in runlevels.
func readOpenRC(f rootfs.FS, n *rootfs.Notes) []host.Unit {
	levels := map[string][]string{}
	for _, level := range list(f, "etc/runlevels", n) {
		for _, name := range list(f, path.Join("etc/runlevels", level), n) {
			levels[name] = append(levels[name], level)
		}
	}
	return initScripts(f, "openrc", levels, n)
}

// readSysV reads the scripts of System V's init, and the links of the runlevels
// in which hosts run.
func readSysV(f rootfs.FS, n *rootfs.Notes) []host.Unit {
	levels := map[string][]string{}
	for _, level := range []string{"S", "2", "3", "4", "5"} {
		for _, name := range list(f, "etc/rc"+level+".d", n) {
			if len(name) > 3 && name[0] == 'S' && !slices.Contains(levels[name[3:]], level) {
				levels[name[3:]] = append(levels[name[3:]], level)
			}
		}
	}
	return initScripts(f, "sysv", levels, n)
}

func initScripts(f rootfs.FS, manager string, levels map[string][]string, n *rootfs.Notes) []host.Unit {
	var out []host.Unit
	for _, name := range list(f, "etc/init.d", n) {
		file, err := f.Look("etc/init.d/" + name)
		if err != nil || file.Type != "file" || file.Mode&0o111 == 0 || len(out) == maxUnits {
			continue
		}
		u := host.Unit{Name: name, Manager: manager, File: file, State: "disabled", PulledBy: levels[name]}
		if len(u.PulledBy) > 0 {
			u.State = "enabled"
		}
		out = append(out, u)
	}
	return out
}
