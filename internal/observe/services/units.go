package services

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"sekimori/internal/host"
	"sekimori/internal/host/systemd"
	"sekimori/internal/observe/rootfs"
)

// Bounds of what is read.
const (
	maxUnits    = 20_000
	maxUnitFile = 1 << 20
)

// place is a directory of units, in the order in which the first one that has a
// unit wins (systemd.unit(5), "Unit File Load Path").
type place struct {
	dir string
	// What it means that a unit or a link is there.
	runtime, generated, transient, vendor bool
}

func systemPlaces() []place {
	return []place{
		{dir: "etc/systemd/system.control"},
		{dir: "run/systemd/system.control", runtime: true},
		{dir: "run/systemd/transient", transient: true, runtime: true},
		{dir: "run/systemd/generator.early", generated: true, runtime: true},
		{dir: "etc/systemd/system"},
		{dir: "etc/systemd/system.attached"},
		{dir: "run/systemd/system", runtime: true},
		{dir: "run/systemd/system.attached", runtime: true},
		{dir: "run/systemd/generator", generated: true, runtime: true},
		{dir: "usr/local/lib/systemd/system", vendor: true},
		{dir: "usr/lib/systemd/system", vendor: true},
		{dir: "lib/systemd/system", vendor: true},
		{dir: "run/systemd/generator.late", generated: true, runtime: true},
	}
}

func userPlaces() []place {
	return []place{
		{dir: "etc/systemd/user"},
		{dir: "run/systemd/user", runtime: true},
		{dir: "usr/local/lib/systemd/user", vendor: true},
		{dir: "usr/local/share/systemd/user", vendor: true},
		{dir: "usr/share/systemd/user", vendor: true},
		{dir: "usr/lib/systemd/user", vendor: true},
	}
}

// unitFile is a unit, or a link to one, in one place.
type unitFile struct {
	place  place
	path   string // below the root
	target string // of a link
	link   bool
}

// unitSet is all that the places hold: files by name, links of .wants and
// .requires directories, drop-ins.
type unitSet struct {
	files   rootfs.FS
	units   map[string][]unitFile // the first one counts
	pulls   []pull
	dropIns map[string][]string // by the unit's directory name without .d
	notes   *rootfs.Notes
}

// pull is a link in a .wants or .requires directory.
type pull struct {
	by, name, target string
	place            place
}

func scan(ctx context.Context, f rootfs.FS, places []place, n *rootfs.Notes) *unitSet {
	s := &unitSet{files: f, units: map[string][]unitFile{}, dropIns: map[string][]string{}, notes: n}
	seen := map[string]bool{}
	for _, p := range places {
		dir, err := f.Resolve(p.dir)
		if err != nil || seen[dir] || ctx.Err() != nil {
			continue // /lib is /usr/lib on most
		}
		seen[dir] = true
		p.dir = dir
		s.scanPlace(p)
	}
	return s
}

func (s *unitSet) scanPlace(p place) {
	entries, err := s.files.Names(p.dir)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			s.notes.Err(err)
		}
		return
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	for _, e := range entries {
		name := e.Name()
		at := path.Join(p.dir, name)
		base, suffix := strings.TrimSuffix(name, path.Ext(name)), path.Ext(name)
		switch {
		case suffix == ".wants" || suffix == ".requires":
			s.scanPulls(p, base, at)
		case suffix == ".d":
			s.scanDropIns(base, at)
		case !isUnit(name):
		case len(s.units) >= maxUnits:
			s.notes.Add("more than %d units, the rest was not read", maxUnits)
			return
		case e.Type()&fs.ModeSymlink != 0:
			target, err := s.files.Source.ReadLink(at)
			if err == nil {
				s.units[name] = append(s.units[name], unitFile{place: p, path: at, target: target, link: true})
			}
		case e.Type().IsRegular():
			s.units[name] = append(s.units[name], unitFile{place: p, path: at})
		}
	}
}

func isUnit(name string) bool {
	switch path.Ext(name) {
	case ".service", ".socket", ".timer", ".path", ".target", ".mount", ".automount", ".swap", ".slice":
		return !strings.HasPrefix(name, ".")
	}
	return false
}

func (s *unitSet) scanPulls(p place, by, dir string) {
	names, err := s.files.List(dir)
	s.notes.Err(err)
	for _, name := range names {
		if !isUnit(name) || len(s.pulls) >= maxUnits {
			continue
		}
		target, err := s.files.Source.ReadLink(path.Join(dir, name))
		if err == nil {
			s.pulls = append(s.pulls, pull{by: by, name: name, target: path.Base(target), place: p})
		}
	}
}

func (s *unitSet) scanDropIns(unit, dir string) {
	names, err := s.files.List(dir)
	s.notes.Err(err)
	for _, name := range names {
		if strings.HasSuffix(name, ".conf") && len(s.dropIns[unit]) < 1000 {
			s.dropIns[unit] = append(s.dropIns[unit], path.Join(dir, name))
		}
	}
}

// read builds the units from what was found.
func (s *unitSet) read(presets []systemd.Preset) []host.Unit {
	aliases := s.aliases()
	pulled := map[string][]pull{}
	for _, p := range s.pulls {
		pulled[p.name] = append(pulled[p.name], p)
		if p.target != p.name && p.target != "." {
			pulled[p.target] = append(pulled[p.target], p)
		}
	}
	var out []host.Unit
	for name, files := range s.units {
		if _, isAlias := aliases.of[name]; isAlias {
			continue
		}
		u, install := s.unit(name, files[0])
		u.Aliases = aliases.names[name]
		for _, p := range pulled[name] {
			if !slices.Contains(u.PulledBy, p.by) {
				u.PulledBy = append(u.PulledBy, p.by)
			}
		}
		slices.Sort(u.PulledBy)
		u.State = s.state(name, files[0], install, pulled[name], aliases.links[name])
		u.Preset = systemd.Wanted(presets, name)
		out = append(out, u)
	}
	slices.SortFunc(out, func(a, b host.Unit) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// aliasSet is the links from one unit's name to another's.
type aliasSet struct {
	of    map[string]string     // the real name by the alias
	names map[string][]string   // aliases by the real name
	links map[string][]unitFile // the links themselves
}

func (s *unitSet) aliases() aliasSet {
	a := aliasSet{of: map[string]string{}, names: map[string][]string{}, links: map[string][]unitFile{}}
	for name, files := range s.units {
		f := files[0]
		if !f.link || path.Clean(f.target) == "/dev/null" {
			continue
		}
		real := path.Base(f.target)
		if real == name || !isUnit(real) || len(s.units[real]) == 0 {
			continue
		}
		a.of[name] = real
		a.names[real] = append(a.names[real], name)
		a.links[real] = append(a.links[real], f)
	}
	for _, n := range a.names {
		slices.Sort(n)
	}
	return a
}

// unit reads one unit's texts.
func (s *unitSet) unit(name string, file unitFile) (host.Unit, systemd.Install) {
	texts := []systemd.Text{}
	described, err := s.files.Look(file.path)
	if err == nil && described.Type == "file" {
		data, err := s.files.Read(file.path, maxUnitFile)
		if err != nil {
			s.notes.Err(err)
		}
		texts = append(texts, systemd.Text{Path: "/" + file.path, Text: strings.ToValidUTF8(string(data), "\uFFFD")})
	}
	dropIns := s.dropInsOf(name)
	for _, d := range dropIns {
		data, err := s.files.Read(d, maxUnitFile)
		if err != nil {
			s.notes.Err(err)
			continue
		}
		texts = append(texts, systemd.Text{Path: "/" + d, Text: strings.ToValidUTF8(string(data), "\uFFFD")})
	}
	u, install := systemd.ReadUnit(name, texts)
	for _, t := range texts {
		if t.Path != "/"+file.path {
			u.DropIns = append(u.DropIns, t.Path)
		}
	}
	u.File = described
	if file.link {
		u.File.Target = file.target
	}
	u.File.Path = "/" + file.path
	return u, install
}

// dropInsOf gives the drop-ins of a unit: those of its name, of its template, of
// its name cut at dashes, and of its kind; a file name that occurs in several
// directories counts once, by the order of the places, and all are sorted by it.
func (s *unitSet) dropInsOf(name string) []string {
	dirs := []string{name}
	base, suffix := strings.TrimSuffix(name, path.Ext(name)), path.Ext(name)
	if at := strings.IndexByte(base, '@'); at >= 0 && at+1 < len(base) {
		base = base[:at+1]
		dirs = append(dirs, base+suffix)
	}
	for i := strings.LastIndexByte(base, '-'); i > 0; i = strings.LastIndexByte(base[:i], '-') {
		dirs = append(dirs, base[:i+1]+suffix)
	}
	dirs = append(dirs, strings.TrimPrefix(suffix, "."))
	byName := map[string]string{}
	for _, d := range dirs {
		for _, file := range s.dropIns[d] {
			if _, have := byName[path.Base(file)]; !have {
				byName[path.Base(file)] = file
			}
		}
	}
	out := make([]string, 0, len(byName))
	for _, file := range byName {
		out = append(out, file)
	}
	slices.SortFunc(out, func(a, b string) int {
		return cmp.Or(strings.Compare(path.Base(a), path.Base(b)), strings.Compare(a, b))
	})
	return out
}

// state is systemctl is-enabled's answer: unit_file_lookup_state and
// find_symlinks_in_scope of systemd's shared/install.c.
func (s *unitSet) state(name string, file unitFile, install systemd.Install, pulls []pull, links []unitFile) string {
	masked := file.link && path.Clean(file.target) == "/dev/null"
	if !file.link {
		if info, err := s.files.Look(file.path); err == nil && info.Size == 0 {
			masked = true // an empty file masks as well
		}
	}
	switch {
	case masked && file.place.runtime:
		return "masked-runtime"
	case masked:
		return "masked"
	case file.place.generated:
		return "generated"
	case file.place.transient:
		return "transient"
	}
	// Links that the distribution ships pull a unit in and do not count as enabling.
	// A link of another name that the unit does not list itself (an instance of a
	// template, default.target) makes it indirect.
	runtime, indirect := false, false
	note := func(p place, own bool) bool {
		runtime = runtime || p.runtime && own
		indirect = indirect || !p.vendor && !own
		return !p.runtime && !p.vendor && own
	}
	for _, p := range pulls {
		if note(p.place, p.name == name || install.DefaultInstance != "" && p.name == strings.Replace(name, "@.", "@"+install.DefaultInstance+".", 1)) {
			return "enabled"
		}
	}
	for _, l := range links {
		if note(l.place, slices.Contains(install.Alias, path.Base(l.path))) {
			return "enabled"
		}
	}
	linked := file.link && path.Base(file.target) == name
	switch {
	case runtime:
		return "enabled-runtime"
	case indirect:
		return "indirect"
	case linked && !file.place.runtime && !file.place.vendor:
		return "linked"
	case linked && file.place.runtime:
		return "linked-runtime"
	case install.Rules():
		return "disabled"
	case len(install.Also) > 0:
		return "indirect"
	}
	return "static"
}

// readPresets reads the preset files of all places in the order of their names.
func readPresets(f rootfs.FS, kind string, n *rootfs.Notes) []systemd.Preset {
	dirs := []string{"etc/systemd/" + kind, "run/systemd/" + kind, "usr/local/lib/systemd/" + kind, "usr/lib/systemd/" + kind, "lib/systemd/" + kind}
	var out []systemd.Preset
	for _, file := range byBaseName(f, dirs, ".preset", n) {
		data, err := f.Read(file, maxUnitFile)
		n.Err(err)
		out = append(out, systemd.ParsePresets(string(data))...)
	}
	return out
}

// byBaseName lists configuration files of several directories as systemd does: the
// first directory that has a name wins, names decide the order.
func byBaseName(f rootfs.FS, dirs []string, suffix string, n *rootfs.Notes) []string {
	files := map[string]string{}
	for _, dir := range dirs {
		names, err := f.List(dir)
		n.Err(err)
		for _, name := range names {
			if _, have := files[name]; !have && strings.HasSuffix(name, suffix) {
				files[name] = path.Join(dir, name)
			}
		}
	}
	out := make([]string, 0, len(files))
	for _, file := range files {
		out = append(out, file)
	}
	slices.SortFunc(out, func(a, b string) int { return strings.Compare(path.Base(a), path.Base(b)) })
	// An entry that leads to /dev/null takes the file out.
	return slices.DeleteFunc(out, func(file string) bool {
		target, err := f.Source.ReadLink(file)
		return err == nil && target == "/dev/null"
	})
}

// ownUnits reads the units that accounts keep in their homes.
func ownUnits(ctx context.Context, f rootfs.FS, accounts []host.Account, n *rootfs.Notes) []host.Unit {
	var out []host.Unit
	for _, a := range accounts {
		if a.HomeDir.Type != "dir" || a.Home == "/" || ctx.Err() != nil || len(out) > maxUnits {
			continue
		}
		dir := strings.Trim(a.Home, "/") + "/.config/systemd/user"
		if !f.Exists(dir) {
			continue
		}
		set := scan(ctx, f, []place{{dir: dir}}, n)
		for _, u := range set.read(nil) {
			u.User, u.Owner = true, a.Name
			out = append(out, u)
		}
	}
	return out
}
