package host

// Unit is something that the service manager may start.
type Unit struct {
	// Name is the unit's, with suffix: ssh.service. Services of other managers
	// have the name of their script.
	Name string `json:"name"`
	// Manager is systemd, openrc or sysv.
	Manager string `json:"manager"`
	// Aliases are other names that lead to it.
	Aliases []string `json:"aliases,omitempty"`
	// Description is the unit's own.
	Description string `json:"description,omitempty"`
	// File is the unit's file: Type is "" where nothing but drop-ins is there.
	File File `json:"file,omitzero"`
	// DropIns are the paths of its drop-in files, in the order in which they apply.
	DropIns []string `json:"drop_ins,omitempty"`
	// State is what systemctl is-enabled says: enabled, enabled-runtime, disabled,
	// static, indirect, masked, masked-runtime, linked, linked-runtime, alias,
	// generated, transient or bad. Of openrc and sysv: enabled or disabled.
	State string `json:"state"`
	// Preset is what the distribution wants: enabled, disabled or ignored.
	Preset string `json:"preset,omitempty"`
	// PulledBy are the units whose .wants and .requires directories name it; of
	// openrc the runlevels.
	PulledBy []string `json:"pulled_by,omitempty"`
	// Active and Sub are the manager's word for its state at this moment (active
	// and running, listening, exited, …), "" where the manager was not asked.
	Active string `json:"active,omitempty"`
	Sub    string `json:"sub,omitempty"`
	// Commands are its Exec lines, Run its user (User=, "" is root), DynamicUser
	// DynamicUser=.
	Commands    []UnitCommand `json:"commands,omitempty"`
	Run         string        `json:"run,omitempty"`
	DynamicUser bool          `json:"dynamic_user,omitempty"`
	// Listen are the addresses of a socket unit, Triggers the unit that a socket,
	// timer or path starts.
	Listen   []UnitListen `json:"listen,omitempty"`
	Triggers string       `json:"triggers,omitempty"`
	// Timer are the lines that say when a timer elapses: "OnCalendar=daily".
	Timer []string `json:"timer,omitempty"`
	// Settings are the unit's settings about what it may do (NoNewPrivileges,
	// ProtectSystem, PrivateTmp, CapabilityBoundingSet, …), by name, the values
	// that hold in the end; several of a list are joined by blanks.
	Settings map[string]string `json:"settings,omitempty"`
	// Preload are libraries that its environment forces into it (LD_PRELOAD,
	// LD_AUDIT).
	Preload []string `json:"preload,omitempty"`
	// User is true of a unit of users' own managers, in /etc/systemd/user and its
	// like; Owner is the account whose home it is in.
	User  bool   `json:"user,omitempty"`
	Owner string `json:"owner,omitempty"`
}

// UnitCommand is one Exec line of a unit.
type UnitCommand struct {
	// Kind is ExecStart, ExecStartPre, ExecReload, …
	Kind string `json:"kind"`
	// Prefix are the special characters before the path: -, @, :, +, !.
	Prefix string `json:"prefix,omitempty"`
	// Argv is the command line, by [MaskArgs]; variables and specifiers stand as
	// they are written.
	Argv []string `json:"argv"`
}

// UnitListen is one address that a socket unit listens on.
type UnitListen struct {
	// Kind is ListenStream, ListenDatagram, ListenSequentialPacket, ListenFIFO,
	// ListenNetlink, …
	Kind string `json:"kind"`
	// Address is as written: "22", "[::1]:22", "/run/x.sock", "vsock::22".
	Address string `json:"address"`
	// Port is the port where it is an internet socket, 0 otherwise.
	Port uint16 `json:"port,omitempty"`
}

// Startup is what starts programs on the host beside the sockets' owners.
type Startup struct {
	// Init is the first process: systemd, openrc, sysv, busybox, "" if unknown.
	Init string `json:"init,omitempty"`
	// Running is true where systemd answered about the units' states.
	Running bool `json:"running,omitempty"`
	// Target is what systemd starts at boot: multi-user.target.
	Target string `json:"target,omitempty"`
	// Inetd are the services of inetd and xinetd.
	Inetd []InetdService `json:"inetd,omitempty"`
	// Cron are the jobs of cron, anacron and at.
	Cron []CronJob `json:"cron,omitempty"`
	// Scripts are files that are run at boot or at each login: rc.local, profile,
	// profile.d, the shells' own. Of rc.local the text is there, secrets masked.
	Scripts []TextFile `json:"scripts,omitempty"`
	// Preload are the libraries that /etc/ld.so.preload forces into everything.
	Preload []string `json:"preload,omitempty"`
}

// InetdService is a service that inetd or xinetd starts.
type InetdService struct {
	File string `json:"file"`
	Line int    `json:"line"`
	// Name is the service or port; Protocol tcp, udp, tcp6, …
	Name     string `json:"name"`
	Protocol string `json:"protocol,omitempty"`
	// Port is the port as /etc/services has it, 0 if unknown.
	Port uint16   `json:"port,omitempty"`
	User string   `json:"user,omitempty"`
	Argv []string `json:"argv,omitempty"`
	// Disabled is xinetd's disable = yes.
	Disabled bool `json:"disabled,omitempty"`
}

// CronJob is something that runs at times.
type CronJob struct {
	// File is where it stands, Line its line in it (0 for a whole script).
	File File `json:"file"`
	Line int  `json:"line,omitempty"`
	// Kind is cron, anacron, at or periodic (a script in cron.daily and its like).
	Kind string `json:"kind"`
	// Schedule is as written: "*/5 * * * *", "@reboot", "daily".
	Schedule string `json:"schedule,omitempty"`
	User     string `json:"user,omitempty"`
	// Command is the line's command, secrets masked.
	Command string `json:"command,omitempty"`
}
