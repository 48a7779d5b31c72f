package host

// SSH is what decides who logs in by SSH, as texts: host/sshd reads them.
type SSH struct {
	// Binary is the path of the installed sshd, "" where there is none. Version is
	// what it says of itself ("OpenSSH_9.2p1 Debian-2+deb12u10"), "" if unknown;
	// Package and PackageVersion are those of the package that it belongs to.
	Binary         string `json:"binary,omitempty"`
	Version        string `json:"version,omitempty"`
	Package        string `json:"package,omitempty"`
	PackageVersion string `json:"package_version,omitempty"`
	// Config are /etc/ssh/sshd_config and all files that Include lines bring in,
	// in the order of their first use, with the directories that Include patterns
	// look into. What could not be read is there with its Err. Values of SetEnv are
	// masked.
	Config Texts `json:"config,omitempty"`
	// HostKeys are the keys that the host could show.
	HostKeys []HostKey `json:"host_keys,omitempty"`
	// KeyFiles are the authorized_keys files of all accounts, missing ones
	// included, by path: for each account whose shell runs those that the
	// configuration names for it, and the usual two.
	KeyFiles []KeyFile `json:"key_files,omitempty"`
	// ModuliBits says how many groups for Diffie-Hellman /etc/ssh/moduli has, by
	// size in bits (the file's number plus one).
	ModuliBits map[int]int `json:"moduli_bits,omitempty"`
	// Second is what the installed sshd says of its own configuration, by sshd -T;
	// none where it could not be asked.
	Second []SSHDump `json:"second,omitempty"`
	// Running is the pid of the listening sshd, 0 where there is none.
	Running int `json:"running,omitempty"`
	// RunningArgs are arguments of it that change the configuration: -f FILE, -o
	// SETTING, -p PORT, as they stand.
	RunningArgs []string `json:"running_args,omitempty"`
}

// HostKey is a key pair of the host: its public half.
type HostKey struct {
	// Path is that of the private half, which was not read; Private is what stat(2)
	// says about it.
	Path    string `json:"path"`
	Private File   `json:"private,omitzero"`
	// Public is the line of the .pub file, "" where there is none.
	Public string `json:"public,omitempty"`
	// Certificate is the line of the -cert.pub file.
	Certificate string `json:"certificate,omitempty"`
}

// KeyFile is an authorized_keys file.
type KeyFile struct {
	TextFile
	// Accounts are the names of those for whom sshd reads it.
	Accounts []string `json:"accounts"`
	// Missing is true where it does not exist.
	Missing bool `json:"missing,omitempty"`
	// Chain is the file and each directory above it up to /, links resolved, as
	// StrictModes looks at them.
	Chain []File `json:"chain,omitempty"`
	// Home is the account's home directory with links resolved, where sshd's walk
	// ends.
	Home string `json:"home,omitempty"`
}

// SSHDump is what sshd -T printed.
type SSHDump struct {
	// User, Addr, LocalAddr and LocalPort are the connection that was asked about;
	// all empty for the settings outside all Match blocks.
	User      string `json:"user,omitempty"`
	Addr      string `json:"addr,omitempty"`
	LocalAddr string `json:"local_addr,omitempty"`
	LocalPort int    `json:"local_port,omitempty"`
	// Text is its output, "" where Err says why there is none.
	Text string `json:"text,omitempty"`
	Err  string `json:"err,omitempty"`
}

// Sudo is what decides who may become another user, as texts: host/sudoers reads
// them.
type Sudo struct {
	// Binary is the path of sudo, sudo-rs or doas, "" where none is installed.
	Binary File `json:"binary,omitzero"`
	// Package and PackageVersion are those of the package that it belongs to.
	Package        string `json:"package,omitempty"`
	PackageVersion string `json:"package_version,omitempty"`
	// Files are /etc/sudoers and all that it includes, in the order of their first
	// use, with the directories that it includes. Secrets in arguments of commands
	// are replaced by the word MASKED.
	Files Texts `json:"files,omitempty"`
	// Commands are the paths that its rules name, each with what stands above it:
	// who can write there runs what he likes with the rule's rights.
	Commands []PathChain `json:"commands,omitempty"`
	// Doas are the lines of doas.conf, without comments.
	Doas []string `json:"doas,omitempty"`
}
