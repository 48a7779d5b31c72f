package host

// Account is a line of passwd(5), with what shadow(5) and the file system say
// about it.
type Account struct {
	Name string `json:"name"`
	UID  int    `json:"uid"`
	GID  int    `json:"gid"`
	// Gecos is the comment, as a rule the full name.
	Gecos string `json:"gecos,omitempty"`
	Home  string `json:"home,omitempty"`
	Shell string `json:"shell,omitempty"`
	// Line is its line in /etc/passwd, from 1.
	Line int `json:"line"`
	// Groups are the names of the groups it is in, its own first.
	Groups []string `json:"groups,omitempty"`
	GIDs   []int    `json:"gids,omitempty"`
	// LoginShell is true where the shell is a file that can be executed and is
	// none of those that refuse (nologin, false, sync and the like).
	LoginShell bool `json:"login_shell,omitempty"`
	// ShellRuns is yes, no or unknown: whether Shell can be executed at all, which
	// is what sshd asks.
	ShellRuns string `json:"shell_runs,omitempty"`
	Shadow    Shadow `json:"shadow"`
	// HomeDir is the home directory itself, links resolved; Type is "" where
	// there is none.
	HomeDir File `json:"home_dir,omitzero"`
	// Linger is true where systemd runs the account's own units without a login.
	Linger bool `json:"linger,omitempty"`
}

// Shadow is the state of an account's password: never the hash.
type Shadow struct {
	// State is, of the second field of shadow(5) (or of passwd(5) where that does
	// not refer to it):
	//
	//	password   a hash: a password opens it
	//	locked     "!" before a hash, or alone
	//	star       "*", "x" without a shadow entry, or anything else that no
	//	           password gives, without "!"
	//	empty      no password is asked for
	//	missing    passwd refers to shadow, and shadow has no such line
	//	unknown    shadow could not be read
	State string `json:"state"`
	// Scheme is the kind of hash by its prefix: "1" (MD5), "5" (SHA-256), "6"
	// (SHA-512), "y" (yescrypt), "gy", "7" (scrypt), "2b" and its like (bcrypt),
	// "sha1", "argon2id", "des" for the traditional one; "" without a hash. A
	// locked account that keeps its hash has one too.
	Scheme string `json:"scheme,omitempty"`
	// InPasswd is true where the hash stands in /etc/passwd, for all to read.
	InPasswd bool `json:"in_passwd,omitempty"`
	// The ageing of shadow(5) in days, Changed and Expires counted from
	// 1970-01-01; -1 stands for an empty field, and for all where there is none.
	Changed  int `json:"changed"`
	Min      int `json:"min"`
	Max      int `json:"max"`
	Warn     int `json:"warn"`
	Inactive int `json:"inactive"`
	Expires  int `json:"expires"`
}

// Group is a line of group(5).
type Group struct {
	Name string `json:"name"`
	GID  int    `json:"gid"`
	Line int    `json:"line"`
	// Members are those that the line names; Primary are the accounts whose own
	// group it is.
	Members []string `json:"members,omitempty"`
	Primary []string `json:"primary,omitempty"`
	// Password is true where the group has one, in group or gshadow.
	Password bool `json:"password,omitempty"`
}

// LoginRules is what decides about logins beside the accounts.
type LoginRules struct {
	// Nologin is true where /etc/nologin or /run/nologin keeps all but root out.
	Nologin bool `json:"nologin,omitempty"`
	// Shells are the lines of /etc/shells.
	Shells []string `json:"shells,omitempty"`
	// Defs is /etc/login.defs, by keyword.
	Defs map[string]string `json:"defs,omitempty"`
	// Sources are those of /etc/nsswitch.conf for passwd: where it names others
	// than files, compat and systemd there are accounts that are not in Accounts.
	Sources []string `json:"sources,omitempty"`
	// Files are passwd, group, shadow, gshadow and their backups, as stat(2) sees
	// them.
	Files []File `json:"files,omitempty"`
	// PAM are the lines of /etc/pam.d that speak of passwords or may replace them:
	// those of sshd, sudo, su, login and what these include.
	PAM []PAMLine `json:"pam,omitempty"`
}

// PAMLine is one line of a PAM service, pam.conf(5).
type PAMLine struct {
	// Service is the name of the file; Line its line in it.
	Service string `json:"service"`
	Line    int    `json:"line"`
	// Type is auth, account, password or session; Control is required, sufficient,
	// "[success=1 default=ignore]", include, …
	Type    string `json:"type"`
	Control string `json:"control"`
	// Module is the module's name as written, or the file included; Args its
	// arguments, by [MaskArgs].
	Module string   `json:"module"`
	Args   []string `json:"args,omitempty"`
}
