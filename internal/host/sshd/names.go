package sshd

import (
	"fmt"
	"path"
	"strconv"
	"strings"
)

// names are the things that a configuration may call by name: services and the
// home directories of users.
type names struct {
	src      Source
	services map[string]int
	homes    map[string]string
}

// port is a2port: a number, or the name of a TCP service in /etc/services.
func (n *names) port(s string) (int, error) {
	p, err := strtonum(s, 65535)
	if err == nil {
		return p, nil
	}
	if n.services == nil {
		n.services = map[string]int{"ssh": 22}
		if text, err := n.src.ReadFile("/etc/services"); err == nil {
			readServices(n.services, string(text))
		}
	}
	if p, ok := n.services[s]; ok {
		return p, nil
	}
	return 0, fmt.Errorf("bad port %q", s)
}

func readServices(into map[string]int, text string) {
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		number, ok := strings.CutSuffix(fields[1], "/tcp")
		p, err := strconv.ParseUint(number, 10, 16)
		if !ok || err != nil {
			continue
		}
		for _, name := range append(fields[2:], fields[0]) {
			if _, ok := into[name]; !ok {
				into[name] = int(p)
			}
		}
	}
}

// tilde is tilde_expand_filename for a daemon that runs as root.
func (n *names) tilde(name string) (string, error) {
	rest, ok := strings.CutPrefix(name, "~")
	if !ok {
		return name, nil
	}
	user, below, _ := strings.Cut(rest, "/")
	home, err := n.home(user)
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(home, "/") + "/" + strings.TrimLeft(below, "/"), nil
}

func (n *names) home(user string) (string, error) {
	if n.homes == nil {
		n.homes = map[string]string{"": "/root", "root": "/root"}
		if text, err := n.src.ReadFile("/etc/passwd"); err == nil {
			readHomes(n.homes, string(text))
		}
	}
	home, ok := n.homes[user]
	if !ok {
		return "", fmt.Errorf("no such user %q", user)
	}
	return home, nil
}

func readHomes(into map[string]string, text string) {
	for line := range strings.Lines(text) {
		f := strings.Split(strings.TrimRight(line, "\n"), ":")
		if len(f) < 7 {
			continue
		}
		into[f[0]] = f[5]
		if f[2] == "0" && f[0] == "root" {
			into[""] = f[5]
		}
	}
}

// absolute is derelativise_path. What a relative path means depends on where
// sshd was started; a service manager starts it in the root directory.
func (in *input) absolute(name string) (string, error) {
	if strings.EqualFold(name, "none") {
		return "none", nil
	}
	full, err := in.host.tilde(name)
	if err != nil {
		return "", err
	}
	if !strings.HasPrefix(full, "/") {
		in.note(fmt.Sprintf("%q is relative to the directory that sshd is started in, taken to be /", name))
		full = path.Join("/", full)
	}
	return full, nil
}
