package sshd

import (
	"fmt"
	"path"
	"slices"
	"time"
)

// A Node is one component of a path, as stat(2) of it says: symbolic links are
// resolved.
type Node struct {
	Path     string    `json:"path"`
	UID      int       `json:"uid"`
	GID      int       `json:"gid"`
	Mode     uint32    `json:"mode"` // the permission bits, 0o7777
	Regular  bool      `json:"regular,omitempty"`
	Modified time.Time `json:"modified,omitzero"`
}

// A Group is what Debian's sshd asks about the group of a path that its group
// may write to.
type Group struct {
	GID     int      `json:"gid"`
	Primary []int    `json:"primary,omitempty"` // uids of the accounts whose own group it is
	Members []string `json:"members,omitempty"` // those that /etc/group lists
}

// An Account is a line of passwd with what shadow and the file system say.
type Account struct {
	Name   string   `json:"name"`
	UID    int      `json:"uid"`
	GIDs   []int    `json:"gids"`
	Groups []string `json:"groups"`
	Home   string   `json:"home"`
	Shell  string   `json:"shell"`
	// ShellWorks: the shell is a regular file that may be executed.
	ShellWorks Answer `json:"shell_works"`
	Shadow     Shadow `json:"shadow"`
}

// A Shadow is what shadow(5) says of an account, never the hash itself. Days
// are counted from 1970-01-01; -1 stands for an empty field.
type Shadow struct {
	Known bool `json:"known"`
	// Locked: the field starts with "!", which sshd without PAM takes for a
	// locked account. A "*" alone does not lock keys out.
	Locked   bool `json:"locked"`
	Empty    bool `json:"empty"` // no password at all
	Password bool `json:"password"`
	Changed  int  `json:"changed"`
	Max      int  `json:"max"`
	Inactive int  `json:"inactive"`
	Expires  int  `json:"expires"`
}

// An Answer is yes, no, or not known.
type Answer string

// The answers. The zero value counts as Unknown.
const (
	Yes     Answer = "yes"
	No      Answer = "no"
	Unknown Answer = "unknown"
)

// StrictModes says why sshd would refuse a file of that account, or nothing.
// The chain is the file and every directory above it, up to /; home is the
// resolved home directory, where the walk ends. Debian lets a group write if
// nobody but the account is in it; others do not.
func StrictModes(v Version, chain []Node, a Account, home string, groups map[int]Group) string {
	for i, n := range chain {
		if i == 0 && !n.Regular {
			return fmt.Sprintf("%s is not a regular file", n.Path)
		}
		if why := insecure(v, n, a, groups); why != "" {
			return fmt.Sprintf("%s: %s", n.Path, why)
		}
		if i > 0 && path.Clean(n.Path) == path.Clean(home) {
			return ""
		}
	}
	if len(chain) == 0 || chain[len(chain)-1].Path != "/" {
		return "the directories above are not known"
	}
	return ""
}

func insecure(v Version, n Node, a Account, groups map[int]Group) string {
	switch {
	case n.UID != 0 && n.UID != a.UID:
		return fmt.Sprintf("owned by uid %d, neither root nor %s", n.UID, a.Name)
	case n.Mode&0o002 != 0:
		return fmt.Sprintf("writable by everybody (%04o)", n.Mode&0o7777)
	case n.Mode&0o020 == 0:
		return ""
	case v.orDefault().Vendor != "debian":
		return fmt.Sprintf("writable by its group (%04o)", n.Mode&0o7777)
	}
	g, ok := groups[n.GID]
	if !ok {
		return fmt.Sprintf("writable by its group %d, which does not exist or is not known", n.GID)
	}
	others := slices.ContainsFunc(g.Primary, func(uid int) bool { return uid != a.UID })
	// The member that is let pass is the owner of this very path.
	if len(g.Members) > 0 && (n.UID != a.UID || len(g.Members) > 1 || g.Members[0] != a.Name) {
		others = true
	}
	if others || len(g.Primary) == 0 && len(g.Members) == 0 {
		return fmt.Sprintf("writable by its group %d (%04o), which is not %s's alone", n.GID, n.Mode&0o7777, a.Name)
	}
	return ""
}

// readable reports whether the account itself may read a file: sshd opens
// authorized_keys with the user's rights.
func readable(chain []Node, a Account) bool {
	if a.UID == 0 {
		return true
	}
	for i, n := range chain {
		want := uint32(0o1) // search
		if i == 0 {
			want = 0o4
		}
		shift := 0
		switch {
		case n.UID == a.UID:
			shift = 6
		case slices.Contains(a.GIDs, n.GID):
			shift = 3
		}
		if n.Mode>>shift&want == 0 {
			return false
		}
	}
	return len(chain) > 0
}
