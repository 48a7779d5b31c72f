package sudoers

import "fmt"

// A Pos is a line of a file.
type Pos struct {
	File string `json:"file"`
	Line int    `json:"line"`
}

// String gives FILE:LINE.
func (p Pos) String() string { return fmt.Sprintf("%s:%d", p.File, p.Line) }

// A Kind says what a [Problem] means.
type Kind string

// What may be wrong with a policy.
const (
	// Invalid: sudo's grammar does not have the line. From 1.9.3 on sudo leaves
	// it out and goes on; older releases refuse to work at all.
	Invalid Kind = "invalid"
	// Unread: a file could not be looked at, or is larger than the bounds of
	// this package, so that there may be more who become root.
	Unread Kind = "unread"
	// Remark: sudo accepts it, and it does not do what it seems to do.
	Remark Kind = "remark"
)

// A Problem is something wrong with one line.
type Problem struct {
	Pos
	Kind Kind   `json:"kind"`
	Text string `json:"text"`
}

// String gives FILE:LINE: TEXT.
func (p Problem) String() string { return p.Pos.String() + ": " + p.Text }

// A Member is one item of a list of users, hosts, groups or commands.
type Member struct {
	// Kind is "all", "name" (a user, host or group), "alias", "group" (%name,
	// %#gid, %:name), "netgroup", "address", "command", or "self" for an empty
	// list in parentheses.
	Kind    string `json:"kind"`
	Text    string `json:"text"`
	Negated bool   `json:"negated,omitempty"`
	// Args are a command's: nil stands for any, `""` for none.
	Args    *string  `json:"args,omitempty"`
	Digests []string `json:"digests,omitempty"` // "sha256:…"
}

// A Tag is a switch of a command: unset, on or off.
type Tag int8

// The states of a [Tag].
const (
	Unset Tag = iota
	On
	Off
)

// A Command is one command of a rule, with what holds for it: tags, options and
// the users it may run as are those of the item before where none are written.
type Command struct {
	Pos    Pos    `json:"pos"`
	Member Member `json:"member"`
	// Runas and RunasGroups are the lists in parentheses. Without parentheses
	// Default is true: root, unless Defaults runas_default says otherwise.
	Default     bool     `json:"default,omitempty"`
	Runas       []Member `json:"runas,omitempty"`
	RunasGroups []Member `json:"runas_groups,omitempty"`
	// Tags by their positive name: "PASSWD", "EXEC", "SETENV", "LOG_INPUT",
	// "LOG_OUTPUT", "MAIL", "FOLLOW", "INTERCEPT".
	Tags map[string]Tag `json:"tags,omitempty"`
	// Options by name: "CWD", "CHROOT", "TIMEOUT", "NOTBEFORE", "NOTAFTER",
	// "ROLE", "TYPE", "APPARMOR_PROFILE".
	Options map[string]string `json:"options,omitempty"`
}

// A Rule is a line that gives rights: users on hosts may run commands.
type Rule struct {
	Pos      Pos       `json:"pos"`
	Users    []Member  `json:"users"`
	Hosts    []Member  `json:"hosts"`
	Commands []Command `json:"commands"`
}

// A Default is one parameter of a Defaults line.
type Default struct {
	Pos Pos `json:"pos"`
	// Scope is "", "user", "host", "runas" or "command"; Binding is for whom.
	Scope   string   `json:"scope,omitempty"`
	Binding []Member `json:"binding,omitempty"`
	Name    string   `json:"name"`
	// Op is "on", "off", "=", "+" or "-".
	Op    string `json:"op"`
	Value string `json:"value,omitempty"`
}

// An Alias is a name for a list.
type Alias struct {
	Pos     Pos      `json:"pos"`
	Members []Member `json:"members"`
}

// A Policy is a sudoers file with all it includes.
type Policy struct {
	Files    []string  `json:"files"`
	Defaults []Default `json:"defaults"`
	// Aliases by kind ("User", "Host", "Cmnd", "Runas") and name.
	Aliases  map[string]map[string]Alias `json:"aliases"`
	Rules    []Rule                      `json:"rules"`
	Problems []Problem                   `json:"problems,omitempty"`
}
