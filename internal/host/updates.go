package host

import "time"

// Package is an installed package.
type Package struct {
	Name string `json:"name"`
	// Version is the full one in the manager's notation.
	Version string `json:"version"`
	Arch    string `json:"arch,omitempty"`
	// Manager is dpkg, rpm or apk.
	Manager string `json:"manager"`
	// Source is the source package where it has another name.
	Source string `json:"source,omitempty"`
	// State is dpkg's where the package is not installed as it should be:
	// half-configured, unpacked, triggers-pending, …; "" is installed.
	State string `json:"state,omitempty"`
	// Held is true where it is on hold.
	Held bool `json:"held,omitempty"`
	// Manual is true where somebody asked for it, false where it came as another's
	// dependency or that is not known.
	Manual bool `json:"manual,omitempty"`
}

// Updates is the state of a host's packages against what its lists offer.
type Updates struct {
	// Manager is apt, dnf, apk, zypper, pacman or "" where none was found.
	Manager string `json:"manager,omitempty"`
	// Known is true where Pending is complete for the lists that are there.
	Known bool `json:"known"`
	// Pending are the installed packages for which a newer one is to be had, as
	// apt-get -s dist-upgrade lists them, by name.
	Pending []PendingUpdate `json:"pending,omitempty"`
	// New and Removed are packages that the whole upgrade would add and remove.
	New     []string `json:"new,omitempty"`
	Removed []string `json:"removed,omitempty"`
	// Sources are the repositories that the host is told to use, Lists what it has
	// fetched from them.
	Sources []PackageSource `json:"sources,omitempty"`
	Lists   []PackageList   `json:"lists,omitempty"`
	// Pins are the preferences of apt_preferences(5), one line each.
	Pins []string `json:"pins,omitempty"`
	// Automatic is what installs updates by itself.
	Automatic AutomaticUpdates `json:"automatic"`
	// Support says until when the release gets updates.
	Support Support `json:"support"`
	// Kernel is the kernel that runs against those that are installed.
	Kernel Kernels `json:"kernel"`
	// RebootRequired are the packages that asked for a reboot
	// (/run/reboot-required.pkgs); RebootFlag is true where the file beside exists.
	RebootRequired []string `json:"reboot_required,omitempty"`
	RebootFlag     bool     `json:"reboot_flag,omitempty"`
	// Stale are the processes that still run what was replaced.
	Stale []StaleProcess `json:"stale,omitempty"`
	// Unsupported are installed source packages without security support, from
	// debian-security-support's lists.
	Unsupported []string `json:"unsupported,omitempty"`
}

// PendingUpdate is a newer version of an installed package.
type PendingUpdate struct {
	Name      string `json:"name"`
	Arch      string `json:"arch,omitempty"`
	Installed string `json:"installed"`
	Candidate string `json:"candidate"`
	// Origins are where the candidate is to be had, as apt prints them:
	// "Debian-Security:12/oldstable-security".
	Origins []string `json:"origins,omitempty"`
	// Security is true where the candidate, or a version between the installed one
	// and it, is in a security archive, or where the advisory says so.
	Security bool `json:"security,omitempty"`
	// SecurityVersion is the newest version in a security archive where it is newer
	// than the installed one, although the candidate is another.
	SecurityVersion string `json:"security_version,omitempty"`
	// Held is why it would not be installed although it is newer: "hold", "pin",
	// "phased", "dependencies"; "" where it would.
	Held string `json:"held,omitempty"`
}

// PackageSource is one repository that is configured.
type PackageSource struct {
	File string `json:"file"`
	Line int    `json:"line"`
	// Type is deb, deb-src, yum, apk.
	Type string `json:"type"`
	// URI is without user and password.
	URI        string   `json:"uri"`
	Suite      string   `json:"suite,omitempty"`
	Components []string `json:"components,omitempty"`
	Disabled   bool     `json:"disabled,omitempty"`
	// SignedBy are the keys that it must be signed with, where it names them.
	SignedBy string `json:"signed_by,omitempty"`
	// Unchecked is why its signature is not required: "trusted=yes",
	// "allow-insecure=yes", "gpgcheck=0"; "" where it is.
	Unchecked string `json:"unchecked,omitempty"`
}

// PackageList is what was fetched from one repository.
type PackageList struct {
	// Path is the Release or InRelease file, or repomd.xml, or the index.
	Path string `json:"path"`
	// These are its own words about itself.
	Origin     string    `json:"origin,omitempty"`
	Label      string    `json:"label,omitempty"`
	Suite      string    `json:"suite,omitempty"`
	Codename   string    `json:"codename,omitempty"`
	Version    string    `json:"version,omitempty"`
	Date       time.Time `json:"date,omitzero"`
	ValidUntil time.Time `json:"valid_until,omitzero"`
	// Fetched is when it was last changed here.
	Fetched time.Time `json:"fetched,omitzero"`
	// Security is true of an archive of security updates.
	Security bool `json:"security,omitempty"`
}

// AutomaticUpdates is what keeps the host up to date by itself.
type AutomaticUpdates struct {
	// Tool is unattended-upgrades, dnf-automatic, yum-cron, "" for none.
	Tool string `json:"tool,omitempty"`
	// Refresh and Install are true where it is told to fetch lists and to install.
	Refresh bool `json:"refresh,omitempty"`
	Install bool `json:"install,omitempty"`
	// Security is true where what it installs contains the security updates.
	Security bool `json:"security,omitempty"`
	// Timers are the units that start it, with their state: "apt-daily.timer enabled".
	Timers []string `json:"timers,omitempty"`
	// Settings are those that decide, as "APT::Periodic::Unattended-Upgrade 1".
	Settings []string `json:"settings,omitempty"`
	// Refreshed and Ran are when lists were last fetched and updates last
	// installed, by its own stamps.
	Refreshed time.Time `json:"refreshed,omitzero"`
	Ran       time.Time `json:"ran,omitzero"`
	// Failure is the last line of its log that tells of an error, where nothing
	// successful follows.
	Failure string `json:"failure,omitempty"`
	// Reboots is true where it reboots by itself when needed.
	Reboots bool `json:"reboots,omitempty"`
}

// Support says until when a release gets security updates. The times are the
// last moment of the day that is named.
type Support struct {
	// Release is what was looked up: "debian 12".
	Release string `json:"release,omitempty"`
	// Ends is the end of the support that everybody gets; Long that of long-term
	// support by the community (Debian LTS); Paid that of support for customers
	// (Ubuntu Pro, Debian ELTS, RHEL ELS). Zero where there is none, or not known.
	Ends time.Time `json:"ends,omitzero"`
	Long time.Time `json:"long,omitzero"`
	Paid time.Time `json:"paid,omitzero"`
	// Source is where that is from: a file of the host, or "built in".
	Source string `json:"source,omitempty"`
	// Rolling is true of a release that never ends.
	Rolling bool `json:"rolling,omitempty"`
}

// Kernels is the kernel that runs beside those that are installed.
type Kernels struct {
	// Running is uname -r, Version uname -v.
	Running string `json:"running,omitempty"`
	Version string `json:"version,omitempty"`
	// Installed are the images in /boot and its like, newest last.
	Installed []KernelImage `json:"installed,omitempty"`
	// Shared is true where the kernel is not the host's own (a container), so that
	// nothing can be said.
	Shared bool `json:"shared,omitempty"`
}

// KernelImage is an installed kernel.
type KernelImage struct {
	Path string `json:"path"`
	// Release and Version are as uname -r and -v would print them, from the image
	// itself; Version is "" where that could not be read.
	Release  string    `json:"release"`
	Version  string    `json:"version,omitempty"`
	Modified time.Time `json:"modified,omitzero"`
}

// StaleProcess is a process that runs code that was replaced on disk.
type StaleProcess struct {
	PID  int    `json:"pid"`
	Name string `json:"name,omitempty"`
	Exe  string `json:"exe,omitempty"`
	User string `json:"user,omitempty"`
	// Unit and UserUnit are as in [Process].
	Unit     string `json:"unit,omitempty"`
	UserUnit bool   `json:"user_unit,omitempty"`
	// Binary is true where its own binary was replaced; Files are the libraries.
	Binary bool     `json:"binary,omitempty"`
	Files  []string `json:"files,omitempty"`
}
