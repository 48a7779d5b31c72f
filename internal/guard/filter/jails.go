package filter

import (
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
)

// A JailSetting is a jail as an installation of fail2ban has it.
type JailSetting struct {
	Name    string
	Enabled bool
	Filter  string            // as written, options in brackets
	Values  map[string]string // after substitution: maxretry, findtime, bantime, ...
	Pos     map[string]Position
	Err     error // why it cannot be read
	// Bad says what is wrong with options that are not needed to run the filter.
	Bad Errors

	texts map[string]text // Values, with the places of their pieces
}

// jailOptions are the options of a jail that mean something.
var jailOptions = [...]string{
	"enabled", "filter", "backend", "maxretry", "maxmatches", "findtime", "bantime", "bantime.increment", "bantime.factor",
	"bantime.formula", "bantime.multipliers", "bantime.maxtime", "bantime.rndtime", "bantime.overalljails", "ignorecommand",
	"ignoreself", "ignoreip", "ignorecache", "logtimezone", "logencoding", "logpath", "action", "port", "usedns", "datepattern",
	"failregex", "ignoreregex", "prefregex", "maxlines", "journalmatch", "mode",
}

// ReadJails reads jail.conf, jail.local and jail.d of a directory laid out like
// /etc/fail2ban. A jail that cannot be read is listed with its error; the error
// of the whole is for files that cannot be.
func ReadJails(fsys fs.FS) ([]JailSetting, error) {
	c, err := readConfig(fsys, "jail")
	if c == nil {
		return nil, err
	}
	var out []JailSetting
	for _, name := range c.order {
		if name == "INCLUDES" || strings.HasPrefix(name, "KNOWN/") {
			continue
		}
		out = append(out, c.jail(fsys, name))
	}
	return out, err
}

func (c *config) jail(fsys fs.FS, name string) JailSetting {
	j := JailSetting{Name: name, Values: map[string]string{}, Pos: map[string]Position{}, texts: map[string]text{}}
	vars := map[string]string{"fail2ban_version": "1.0.2", "fail2ban_confpath": "/etc/fail2ban"}
	filter, _, err := c.get(name, "filter", vars)
	if j.Filter = filter.s; err != nil {
		j.Err = err
	}
	switch v, ok, err := c.get(name, "enabled", vars); {
	case err != nil:
		j.Err = err
	case ok && v.s != "":
		if j.Enabled, ok = truth(v.s); !ok {
			at, _ := c.lookup(name, "enabled", nil)
			j.Err = &Error{at.pos, fmt.Sprintf("enabled = %s: neither true nor false", clip(v.s))}
		}
	}
	// What the filter says is known/... to the jail.
	if of, options, err := ParseUse(j.Filter); err == nil {
		if fc, err := readConfig(fsys, "filter.d/"+of); err == nil {
			if values, err := fc.combine(options, nil); err == nil {
				for k, v := range values {
					vars["known/"+k] = v.s
				}
			}
		}
	}
	for _, o := range jailOptions {
		v, ok, err := c.get(name, o, vars)
		if err != nil {
			switch {
			case o == "action": // what it does is not taken over anyway
				j.Bad = append(j.Bad, asErrors(err, Position{File: "[" + name + "] action"}).(Errors)...)
			case j.Err == nil:
				j.Err = err
			}
			continue
		}
		if ok {
			j.Values[o] = v.s
			j.texts[o] = v
			if at, ok := c.lookup(name, o, nil); ok {
				j.Pos[o] = at.pos
			}
		}
	}
	return j
}

// truth reads what Python's configparser takes for true or false.
func truth(s string) (value, ok bool) {
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "1", "on", "true", "yes":
		return true, true
	case "0", "off", "false", "no":
		return false, true
	}
	return false, false
}

// LoadJail compiles the filter of a jail with what the jail changes of it.
func LoadJail(fsys fs.FS, j JailSetting) (*Filter, error) {
	name, options, err := ParseUse(j.Filter)
	if err != nil {
		return nil, err
	}
	if _, ok := options["logtype"]; !ok && strings.HasPrefix(j.Values["backend"], "systemd") {
		options = maps.Clone(options)
		options["logtype"] = "journal"
	}
	d, err := load(fsys, name, options, nil)
	if err != nil {
		return nil, err
	}
	for _, o := range slices.Sorted(maps.Keys(j.Values)) {
		lines := nonEmptyLines(j.Values[o])
		switch o {
		case "failregex":
			d.Failregex = lines
		case "ignoreregex":
			d.Ignoreregex = lines
		case "prefregex":
			d.Prefregex = j.Values[o]
		case "datepattern":
			d.DatePatterns = lines
		case "journalmatch":
			d.JournalMatch = lines
		default:
			continue
		}
		d.Pos[o], d.lines[o] = j.Pos[o], j.texts[o].lines()
		if o == "prefregex" {
			d.lines[o] = []text{j.texts[o]}
		}
	}
	f, err := Compile(d)
	if err != nil {
		return nil, fmt.Errorf("[%s] %w", j.Name, err)
	}
	return f, nil
}
