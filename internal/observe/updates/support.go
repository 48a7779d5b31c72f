package updates

import (
	"strings"
	"time"

	"sekimori/internal/host"
	"sekimori/internal/observe/rootfs"
)

// term is when support of a release ends: for everybody, by volunteers, for
// customers. Empty where there is none.
type term struct{ id, version, ends, long, paid string }

// terms is for hosts without distro-info-data. The dates are those of
// debian.org/releases and wiki.debian.org/LTS, ubuntu.com/about/release-cycle,
// access.redhat.com/support/policy/updates/errata, wiki.rockylinux.org,
// wiki.almalinux.org, centos.org/cl-vs-cs, alpinelinux.org/releases and
// aws.amazon.com/amazon-linux-2/faqs.
func terms() []term {
	return []term{
		{"debian", "9", "2020-07-18", "2022-06-30", "2027-06-30"},
		{"debian", "10", "2022-09-10", "2024-06-30", "2029-06-30"},
		{"debian", "11", "2024-08-14", "2026-08-31", "2031-06-30"},
		{"debian", "12", "2026-07-11", "2028-06-30", "2033-06-30"},
		{"debian", "13", "2028-08-09", "2030-06-30", "2035-06-30"},
		{"ubuntu", "16.04", "2021-04-30", "", "2026-04-30"},
		{"ubuntu", "18.04", "2023-05-31", "", "2028-04-30"},
		{"ubuntu", "20.04", "2025-05-31", "", "2030-04-30"},
		{"ubuntu", "22.04", "2027-06-01", "", "2032-04-30"},
		{"ubuntu", "24.04", "2029-05-31", "", "2034-04-25"},
		{"ubuntu", "24.10", "2025-07-10", "", ""},
		{"ubuntu", "25.04", "2026-01-15", "", ""},
		{"ubuntu", "25.10", "2026-07-09", "", ""},
		{"rhel", "7", "2024-06-30", "", "2028-06-30"},
		{"rhel", "8", "2029-05-31", "", "2032-05-31"},
		{"rhel", "9", "2032-05-31", "", "2035-05-31"},
		{"rhel", "10", "2035-05-31", "", "2038-05-31"},
		{"rocky", "8", "2029-05-31", "", ""},
		{"rocky", "9", "2032-05-31", "", ""},
		{"rocky", "10", "2035-05-31", "", ""},
		{"almalinux", "8", "2029-03-01", "", ""},
		{"almalinux", "9", "2032-05-31", "", ""},
		{"almalinux", "10", "2035-05-31", "", ""},
		{"centos", "7", "2024-06-30", "", ""},
		{"centos", "8", "2024-05-31", "", ""},
		{"centos", "9", "2027-05-31", "", ""},
		{"centos", "10", "2030-01-01", "", ""},
		{"alpine", "3.17", "2024-11-22", "", ""},
		{"alpine", "3.18", "2025-05-09", "", ""},
		{"alpine", "3.19", "2025-11-01", "", ""},
		{"alpine", "3.20", "2026-04-01", "", ""},
		{"alpine", "3.21", "2026-11-01", "", ""},
		{"alpine", "3.22", "2027-05-01", "", ""},
		{"alpine", "3.23", "2027-11-01", "", ""},
		{"amzn", "2", "2026-06-30", "", ""},
		{"amzn", "2023", "2029-06-30", "", ""},
	}
}

// readSupport says until when the host's release is supported: by what it says
// itself, by distro-info-data, or by the table here. Release is os-release(5).
func readSupport(f rootfs.FS, release map[string]string, n *rootfs.Notes) host.Support {
	id, version := release["ID"], release["VERSION_ID"]
	s := host.Support{Release: strings.TrimSpace(id + " " + version)}
	switch {
	case release["SUPPORT_END"] != "":
		if s.Ends = endOf(release["SUPPORT_END"]); !s.Ends.IsZero() {
			s.Source = "/etc/os-release"
			return s
		}
	case rolling(release):
		s.Rolling, s.Source = true, "/etc/os-release"
		return s
	}
	if id == "debian" || id == "ubuntu" {
		const dir = "usr/share/distro-info/"
		if t, ok := distroInfo(n.Text(f, dir+id+".csv"), version); ok {
			s.Ends, s.Long, s.Paid, s.Source = endOf(t.ends), endOf(t.long), endOf(t.paid), "/"+dir+id+".csv"
			return s
		}
	}
	short := version
	switch id {
	case "alpine":
		if f := strings.SplitN(version, ".", 3); len(f) > 1 {
			short = f[0] + "." + f[1]
		}
	case "debian", "rhel", "rocky", "almalinux", "centos":
		short, _, _ = strings.Cut(version, ".")
	}
	for _, t := range terms() {
		if t.id == id && t.version == short {
			s.Ends, s.Long, s.Paid, s.Source = endOf(t.ends), endOf(t.long), endOf(t.paid), "built in"
		}
	}
	return s
}

// rolling reports whether a release is one that never ends.
func rolling(release map[string]string) bool {
	switch release["ID"] {
	case "arch", "opensuse-tumbleweed", "void", "gentoo", "kali", "artix", "nixos-unstable", "cachyos":
		return true
	case "debian":
		return release["VERSION_ID"] == "" // testing and unstable
	case "alpine":
		return strings.Contains(release["VERSION_ID"], "_alpha") || strings.Contains(release["PRETTY_NAME"], "edge")
	}
	return false
}

// distroInfo finds a release in a table of distro-info-data, whose first line
// names the columns.
func distroInfo(text, version string) (term, bool) {
	var columns []string
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.TrimSpace(line), ",")
		if columns == nil {
			columns = cells
			continue
		}
		row := map[string]string{}
		for i, c := range cells[:min(len(cells), len(columns))] {
			row[columns[i]] = c
		}
		number, _, _ := strings.Cut(row["version"], " ") // "22.04 LTS"
		if number != version || version == "" || row["eol"] == "" {
			continue
		}
		t := term{version: version, ends: row["eol"], long: row["eol-lts"], paid: row["eol-elts"]}
		if t.paid == "" {
			t.paid = row["eol-esm"]
		}
		return t, true
	}
	return term{}, false
}

// endOf is the last second of a day.
func endOf(day string) time.Time {
	t, err := time.Parse(time.DateOnly, day)
	if err != nil {
		return time.Time{}
	}
	return t.Add(24*time.Hour - time.Second)
}
