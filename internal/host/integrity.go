package host

// Integrity is whether the files of packages are what their packages brought,
// and which files give rights. It is complete only where it was asked for.
type Integrity struct {
	// Checked is true where the content of packages' files was compared.
	Checked bool `json:"checked,omitempty"`
	// Files counts those that were compared, Bytes what was read.
	Files int   `json:"files,omitempty"`
	Bytes int64 `json:"bytes,omitempty"`
	// Changed are the files that are not what the package brought.
	Changed []ChangedFile `json:"changed,omitempty"`
	// Unverifiable are packages that have no sums to compare with.
	Unverifiable []string `json:"unverifiable,omitempty"`
	// SetID are the files with set-user-id or set-group-id, in the directories of
	// programs, or everywhere where Walked is true.
	SetID  []SetIDFile `json:"set_id,omitempty"`
	Walked bool        `json:"walked,omitempty"`
	// Writable are files and directories of programs, units, cron and their like
	// that anybody may write to.
	Writable []File `json:"writable,omitempty"`
	// Odd are files at places where none belong: executables and devices in /tmp,
	// /var/tmp, /dev/shm, /dev.
	Odd []File `json:"odd,omitempty"`
}

// ChangedFile is a file of a package that is not what the package brought.
type ChangedFile struct {
	Path    string `json:"path"`
	Package string `json:"package"`
	// Manager is dpkg, rpm or apk.
	Manager string `json:"manager"`
	// What is content, missing, mode, owner, type, or unreadable (Err says why).
	What string `json:"what"`
	Err  string `json:"err,omitempty"`
	// Config is true of a file that administrators are meant to change.
	Config bool `json:"config,omitempty"`
	// File is what is there now.
	File File `json:"file,omitzero"`
}

// SetIDFile is a file that runs with its owner's or group's rights.
type SetIDFile struct {
	File
	// Package is the one that it belongs to, "" for none; Manager is dpkg, rpm or apk.
	Package string `json:"package,omitempty"`
	Manager string `json:"manager,omitempty"`
}
