package systemd

import (
	"path"
	"strings"
)

// A Preset says of one pattern of unit names whether the distribution wants it
// enabled, systemd.preset(5).
type Preset struct {
	// Word is enable, disable or ignore.
	Word    string
	Pattern string
}

// ParsePresets reads one preset file.
func ParsePresets(text string) []Preset {
	var out []Preset
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		switch f[0] {
		case "enable", "disable", "ignore":
			out = append(out, Preset{f[0], f[1]})
		}
	}
	return out
}

// Wanted gives what the presets say of a unit: enabled, disabled or ignored. The
// first that matches counts; a unit that none speaks of is enabled.
func Wanted(list []Preset, unit string) string {
	for _, p := range list {
		if ok, err := path.Match(p.Pattern, unit); err == nil && ok {
			return map[string]string{"enable": "enabled", "disable": "disabled", "ignore": "ignored"}[p.Word]
		}
	}
	return "enabled"
}
