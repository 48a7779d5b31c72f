package sshd

import (
	"fmt"
	"strconv"
	"strings"
)

// A Version says which sshd reads the configuration: its release and what it
// was built with. The zero Version is that of Debian 12, [Debian12].
type Version struct {
	Major, Minor int
	// Without lists what the build lacks: "pam", "gssapi", "kerberos". Keywords
	// of those are then ignored, as sshd does.
	Without []string
	// Vendor is "debian" (and Ubuntu), "redhat" (and its relatives) or empty:
	// some keywords exist in one vendor's build only.
	Vendor string
}

// Debian12 is the OpenSSH of Debian 12, against which this package is tested.
func Debian12() Version { return Version{Major: 9, Minor: 2, Vendor: "debian"} }

// ParseVersion reads what sshd -V says, or the banner it sends, or what a
// package database has: "OpenSSH_9.2p1 Debian-2+deb12u10", "1:9.2p1-2+deb12u10".
func ParseVersion(s string) (Version, error) {
	text := s
	if _, after, ok := strings.Cut(text, "OpenSSH_"); ok {
		text = after
	} else if _, after, ok := strings.Cut(text, ":"); ok {
		text = after // the epoch of a package
	}
	number := text
	if i := strings.IndexFunc(text, func(r rune) bool { return r != '.' && (r < '0' || r > '9') }); i >= 0 {
		number = text[:i]
	}
	major, minor, dot := strings.Cut(number, ".")
	minor, _, _ = strings.Cut(minor, ".")
	v := Version{}
	var err1, err2 error
	v.Major, err1 = strconv.Atoi(major)
	v.Minor, err2 = strconv.Atoi(minor)
	if !dot || err1 != nil || err2 != nil || v.Major > 1000 || v.Minor > 99 {
		return Version{}, fmt.Errorf("no version of OpenSSH in %q", s)
	}
	lower := asciiLower(s)
	switch {
	case strings.Contains(lower, "debian"), strings.Contains(lower, "ubuntu"), strings.Contains(lower, "+deb"):
		v.Vendor = "debian"
	case strings.Contains(lower, ".el"), strings.Contains(lower, ".fc"), strings.Contains(lower, "redhat"):
		v.Vendor = "redhat"
	}
	return v, nil
}

// String gives the release: "9.2".
func (v Version) String() string { return fmt.Sprintf("%d.%d", v.Major, v.Minor) }

// release is the number that the tables compare: 902 for 9.2.
func (v Version) release() int { return v.Major*100 + v.Minor }

func (v Version) orDefault() Version {
	if v.Major == 0 {
		return Debian12()
	}
	return v
}
