package updates

import (
	"context"
	"slices"
	"strings"

	"sekimori/internal/host"
	"sekimori/internal/observe/pkgdb"
	"sekimori/internal/observe/rootfs"
)

// Result is what [Read] gives.
type Result struct {
	Packages []host.Package
	Updates  host.Updates
	Unseen   []host.Unseen
}

// Read reads the packages of a host and what is to be had for them. Release is its
// os-release(5).
func Read(ctx context.Context, f rootfs.FS, release map[string]string) Result {
	var r Result
	n := &rootfs.Notes{Section: host.SectionUpdates}
	if list := readStatus(f, n); len(list) > 0 {
		r.Packages = describe(list)
		r.Updates = readApt(ctx, f, list, n)
		r.Updates.Unsupported = unsupported(f, r.Packages, release, n)
	} else {
		r.Packages, r.Updates = readOthers(ctx, f, n)
	}
	r.Updates.Support = readSupport(f, release, n)
	r.Updates.Kernel = readKernels(f, n)
	readReboot(f, n, &r.Updates)
	r.Unseen = n.List
	return r
}

// readOthers reads hosts without dpkg: the packages, and what installs updates by
// itself. What their repositories offer is not worked out, and said to be unseen.
func readOthers(ctx context.Context, f rootfs.FS, n *rootfs.Notes) ([]host.Package, host.Updates) {
	var u host.Updates
	list, err := pkgdb.List(ctx, f)
	n.Err(err)
	out := make([]host.Package, 0, len(list))
	for _, p := range list {
		out = append(out, host.Package{Name: p.Name, Version: p.Version, Arch: p.Arch, Manager: p.Manager, Source: p.Source})
	}
	slices.SortFunc(out, comparePackages)
	if len(out) == 0 {
		n.Add("no package database that is known here was found")
		return nil, u
	}
	switch out[0].Manager {
	case "apk":
		u.Manager = "apk"
		readApkUpdates(f, out, &u, n)
	case "rpm":
		u.Manager = "dnf"
		if f.Exists("etc/zypp") {
			u.Manager = "zypper"
		}
		u.Sources = yumSources(f, n)
		u.Automatic = dnfAutomatic(f, n)
		n.Add("what the repositories of %s offer is not worked out here (%s check-update tells)", u.Manager, u.Manager)
	}
	return out, u
}

// unsupported gives the installed source packages that Debian's security team does
// not support, from the lists of debian-security-support.
func unsupported(f rootfs.FS, packages []host.Package, release map[string]string, n *rootfs.Notes) []string {
	const dir = "usr/share/debian-security-support/"
	listed := map[string]bool{}
	for _, name := range []string{"security-support-limited", "security-support-limited.deb" + release["VERSION_ID"], "security-support-ended.deb" + release["VERSION_ID"]} {
		if release["VERSION_ID"] == "" && name != "security-support-limited" {
			continue
		}
		for line := range strings.Lines(n.Text(f, dir+name)) {
			if w := strings.Fields(line); len(w) > 0 && w[0][0] != '#' {
				listed[w[0]] = true
			}
		}
	}
	var out []string
	for _, p := range packages {
		source := p.Source
		if source == "" {
			source = p.Name
		}
		if listed[source] && !slices.Contains(out, source) {
			out = append(out, source)
		}
	}
	slices.Sort(out)
	return out
}
