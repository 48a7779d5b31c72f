package host

import "time"

// Logging is how the host keeps its logs.
type Logging struct {
	Journal Journal `json:"journal"`
	// Daemons are the syslog daemons that are installed: rsyslog, syslog-ng, …
	Daemons []LogDaemon `json:"daemons,omitempty"`
	// Files are log files that matter: those of logins (auth.log, secure), syslog,
	// wtmp, btmp, lastlog, with their age and size.
	Files []File `json:"files,omitempty"`
	// Audit is auditd.
	Audit AuditDaemon `json:"audit"`
	// Rotation are the blocks of logrotate(8) that bear on Files.
	Rotation []Rotation `json:"rotation,omitempty"`
}

// Journal is systemd-journald.
type Journal struct {
	// Present is true where it is installed.
	Present bool `json:"present,omitempty"`
	// Storage is the setting that holds (auto, persistent, volatile, none); From is
	// where it stands, "" for the default.
	Storage string `json:"storage,omitempty"`
	From    string `json:"from,omitempty"`
	// Persistent is true where what it writes now outlives a reboot.
	Persistent bool `json:"persistent,omitempty"`
	// Files, Size and Oldest are of the persistent journal: number of files, their
	// bytes, the first entry's time.
	Files  int       `json:"files,omitempty"`
	Size   int64     `json:"size,omitempty"`
	Oldest time.Time `json:"oldest,omitzero"`
	// Newest is when one of them was last written to.
	Newest time.Time `json:"newest,omitzero"`
	// Settings are those of journald.conf that were set: SystemMaxUse,
	// MaxRetentionSec, ForwardToSyslog, Seal, …
	Settings map[string]string `json:"settings,omitempty"`
	// Upload is the URL that systemd-journal-upload sends to.
	Upload string `json:"upload,omitempty"`
}

// LogDaemon is a syslog daemon.
type LogDaemon struct {
	Name string `json:"name"`
	// Running is true where a process of it was seen.
	Running bool `json:"running,omitempty"`
	// Remote are the places that it sends to: "udp logs.example.org:514".
	Remote []string `json:"remote,omitempty"`
	// Listens are the sockets that it is told to take messages from others on.
	Listens []string `json:"listens,omitempty"`
	// Auth are the files that it writes messages about logins to.
	Auth []string `json:"auth,omitempty"`
}

// AuditDaemon is auditd(8).
type AuditDaemon struct {
	Present bool `json:"present,omitempty"`
	Running bool `json:"running,omitempty"`
	// Rules counts the rules in /etc/audit; Exec is true where one of them is about
	// execve.
	Rules int  `json:"rules,omitempty"`
	Exec  bool `json:"exec,omitempty"`
}

// Rotation is one block of a logrotate configuration.
type Rotation struct {
	File string `json:"file"`
	Line int    `json:"line"`
	// Paths are the patterns that it is about.
	Paths []string `json:"paths"`
	// Keep is how many old logs are kept (rotate), -1 if not said; Period is
	// hourly, daily, weekly, monthly, yearly or "".
	Keep   int    `json:"keep"`
	Period string `json:"period,omitempty"`
	// MaxAge is in days, 0 for none.
	MaxAge int `json:"max_age,omitempty"`
}

// Clock is how the host keeps its time.
type Clock struct {
	// Synchronized is yes, no or unknown: the kernel's word (adjtimex(2)).
	Synchronized string `json:"synchronized"`
	// MaxError is the kernel's bound of the error.
	MaxError time.Duration `json:"max_error,omitempty"`
	// Daemons are those that could set it: chrony, ntpd, systemd-timesyncd, openntpd.
	Daemons []TimeDaemon `json:"daemons,omitempty"`
	// Zone is the name of the time zone, where /etc/localtime tells; UTCOffset is
	// what it is now, in seconds east.
	Zone      string `json:"zone,omitempty"`
	UTCOffset int    `json:"utc_offset,omitempty"`
}

// TimeDaemon is a program that sets the clock.
type TimeDaemon struct {
	Name    string   `json:"name"`
	Running bool     `json:"running,omitempty"`
	Enabled bool     `json:"enabled,omitempty"`
	Servers []string `json:"servers,omitempty"`
}
