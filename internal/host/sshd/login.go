package sshd

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A KeyFile is one authorized_keys file with all that decides whether sshd
// reads it.
type KeyFile struct {
	Missing bool    `json:"missing,omitempty"`
	Chain   []Node  `json:"chain,omitempty"`
	Entries []Entry `json:"entries,omitempty"`
}

// A Machine is what a login depends on beside sshd's own settings.
type Machine struct {
	Version  Version
	Nologin  Answer // /etc/nologin exists
	Now      time.Time
	Location *time.Location     // of the host; nil is UTC
	KeyFiles map[string]KeyFile // by path, those of [Effective.KeyFiles]; a path that is not here was not looked at
	Groups   map[int]Group
	// ResolvedHome is the home directory without symbolic links; empty if it is
	// the same as the account's Home.
	ResolvedHome string
}

// A Reason is one thing that stands against a login.
type Reason struct {
	ID   string `json:"id"`
	Text string `json:"text"`
	From []Pos  `json:"from,omitempty"` // the settings behind it
}

// A Login says whether an account gets in.
type Login struct {
	Blocked []Reason `json:"blocked,omitempty"` // any of them keeps the account out
	Unsure  []Reason `json:"unsure,omitempty"`  // what could not be decided
}

// Works reports whether nothing is known to stand in the way, and nothing had
// to be left open.
func (l Login) Works() bool { return len(l.Blocked) == 0 && len(l.Unsure) == 0 }

// The ids of reasons.
const (
	ReasonRefused       = "refused-config"
	ReasonPubkeyOff     = "pubkey-off"
	ReasonMethods       = "more-methods"
	ReasonRoot          = "root-login"
	ReasonRSASize       = "rsa-size"
	ReasonAlgorithm     = "key-algorithm"
	ReasonUnreadable    = "keys-unreadable"
	ReasonModes         = "strict-modes"
	ReasonNoEntry       = "key-not-listed"
	ReasonKeyOptions    = "key-options"
	ReasonLocked        = "account-locked"
	ReasonPasswordAge   = "password-expired"
	ReasonExpired       = "account-expired"
	ReasonTries         = "max-auth-tries"
	ReasonNotAllowed    = "not-allowed"
	ReasonNologin       = "nologin"
	ReasonShell         = "shell"
	ReasonRefusedSource = "refuse-connection"
)

// KeyFiles gives the paths at which sshd looks for the keys of an account:
// AuthorizedKeysFile with its tokens filled in.
func (e *Effective) KeyFiles(a Account) []string {
	var out []string
	for _, f := range e.Values("authorizedkeysfile") {
		if strings.EqualFold(f, "none") {
			continue
		}
		f = strings.NewReplacer("%%", "%", "%h", a.Home, "%u", a.Name, "%U", strconv.Itoa(a.UID)).Replace(f)
		if !strings.HasPrefix(f, "/") {
			f = a.Home + "/" + f
		}
		out = append(out, f)
	}
	return out
}

// KeyLogin judges a login with a key. Earlier is how many other keys the client
// offers first, as an agent does.
func (e *Effective) KeyLogin(c Connection, a Account, k Key, earlier int, m Machine) Login {
	j := &judge{e: e, c: &c, a: a, m: m}
	j.connection()
	j.account()
	j.method()
	j.key(k, earlier)
	j.files(k)
	return j.out
}

// A judge collects the reasons of one login.
type judge struct {
	e   *Effective
	c   *Connection
	a   Account
	m   Machine
	out Login
}

func (j *judge) block(id, setting, format string, args ...any) {
	r := Reason{ID: id, Text: fmt.Sprintf(format, args...)}
	if setting != "" {
		r.From = j.e.Setting(setting).From
	}
	j.out.Blocked = append(j.out.Blocked, r)
}

func (j *judge) unsure(id, format string, args ...any) {
	j.out.Unsure = append(j.out.Unsure, Reason{ID: id, Text: fmt.Sprintf(format, args...)})
}

func (j *judge) connection() {
	for _, p := range j.e.Problems {
		j.out.Blocked = append(j.out.Blocked, Reason{ReasonRefused, "sshd drops this connection: " + p.Text, []Pos{p.Pos}})
	}
	if j.e.Bool("refuseconnection") {
		j.block(ReasonRefusedSource, "refuseconnection", "RefuseConnection is yes for this connection")
	}
	if why, setting := j.e.allowed(j.c); why != "" {
		j.block(ReasonNotAllowed, setting, "%s", why)
	}
}

// allowed goes through DenyUsers, AllowUsers, DenyGroups, AllowGroups in the
// order of allowed_user.
func (e *Effective) allowed(c *Connection) (why, setting string) {
	matches := func(name string) (hit, some bool) {
		list := e.Values(name)
		for _, p := range list {
			if strings.HasSuffix(name, "users") {
				hit = hit || userPattern(c, p) == matched
			} else {
				hit = hit || slices.ContainsFunc(c.Groups, func(g string) bool { return wildcard(g, p) })
			}
		}
		return hit, len(list) > 0
	}
	for _, l := range []struct {
		name, text string
		deny       bool
	}{
		{"denyusers", "is listed in DenyUsers", true},
		{"allowusers", "is not listed in AllowUsers", false},
		{"denygroups", "has a group that is listed in DenyGroups", true},
		{"allowgroups", "has no group that is listed in AllowGroups", false},
	} {
		if hit, some := matches(l.name); some && hit == l.deny {
			return c.User + " " + l.text, l.name
		}
	}
	return "", ""
}

func (j *judge) account() {
	a, pam := j.a, j.e.Bool("usepam")
	if a.UID != 0 {
		switch j.m.Nologin {
		case Yes:
			j.block(ReasonNologin, "", "/etc/nologin exists: only root gets in")
		case No:
		default:
			j.unsure(ReasonNologin, "whether /etc/nologin exists is not known")
		}
	}
	if strings.EqualFold(j.e.Value("chrootdirectory"), "none") {
		switch a.ShellWorks {
		case No:
			j.block(ReasonShell, "", "the shell %s does not exist or cannot be executed", a.Shell)
		case Yes:
		default:
			j.unsure(ReasonShell, "whether the shell %s can be executed is not known", a.Shell)
		}
	}
	if !a.Shadow.Known {
		j.unsure(ReasonLocked, "the shadow entry of %s is not known", a.Name)
		return
	}
	if !pam && a.Shadow.Locked {
		j.block(ReasonLocked, "usepam", "the password of %s is locked (!), which without UsePAM locks the account", a.Name)
	}
	j.ageing(pam)
}

// ageing is what pam_unix and, for the account alone, sshd without PAM do with
// the dates of shadow.
func (j *judge) ageing(pam bool) {
	s, today := j.a.Shadow, int(j.m.Now.Unix()/86400)
	if s.Expires >= 0 && (today > s.Expires || pam && today == s.Expires) {
		j.block(ReasonExpired, "", "the account %s expired on %s", j.a.Name, day(s.Expires))
	}
	switch {
	case !pam: // sshd itself asks for the password's age at password logins alone
	case s.Changed == 0:
		j.block(ReasonPasswordAge, "usepam", "the password of %s is to be changed at the next login, which a session without terminal cannot do", j.a.Name)
	case s.Max >= 0 && s.Changed > 0 && today > s.Changed+s.Max:
		j.block(ReasonPasswordAge, "usepam", "the password of %s is too old since %s; that stops logins by key as well", j.a.Name, day(s.Changed+s.Max))
	}
}

func day(n int) string { return time.Unix(int64(n)*86400, 0).UTC().Format(time.DateOnly) }

func (j *judge) method() {
	if !j.e.Bool("pubkeyauthentication") {
		j.block(ReasonPubkeyOff, "pubkeyauthentication", "PubkeyAuthentication is no")
	}
	if lists := j.e.Values("authenticationmethods"); len(lists) > 0 && lists[0] != "any" && !slices.ContainsFunc(lists, onlyPublicKey) {
		j.block(ReasonMethods, "authenticationmethods", "AuthenticationMethods %s asks for more than a key", strings.Join(lists, " "))
	}
	if j.a.UID != 0 {
		return
	}
	switch j.e.Value("permitrootlogin") {
	case "no":
		j.block(ReasonRoot, "permitrootlogin", "PermitRootLogin is no")
	case "forced-commands-only":
		j.unsure(ReasonRoot, "PermitRootLogin lets root in for a forced command only")
	}
}

// onlyPublicKey reports whether one key satisfies the list.
func onlyPublicKey(list string) bool { return list == "publickey" }

func (j *judge) key(k Key, earlier int) {
	if k.Type == "" {
		j.unsure(ReasonNoEntry, "the key is not known")
		return
	}
	if need := j.e.Int("requiredrsasize"); plainType(k.Type) == "ssh-rsa" && k.Bits < need {
		j.block(ReasonRSASize, "requiredrsasize", "the key has %d bits, RequiredRSASize asks for %d", k.Bits, need)
	}
	accepted := j.e.Values("pubkeyacceptedalgorithms")
	if !slices.ContainsFunc(signatures(k.Type), func(s string) bool { return slices.Contains(accepted, s) }) {
		j.block(ReasonAlgorithm, "pubkeyacceptedalgorithms", "no signature of a %s key is in PubkeyAcceptedAlgorithms", k.Type)
	}
	if most := j.e.Int("maxauthtries"); earlier >= most {
		j.block(ReasonTries, "maxauthtries", "%d other keys are offered first, and MaxAuthTries is %d", earlier, most)
	}
}

// files looks for the key where sshd does.
func (j *judge) files(k Key) {
	paths := j.e.KeyFiles(j.a)
	var reasons []Reason
	for _, p := range paths {
		f, looked := j.m.KeyFiles[p]
		switch {
		case !looked:
			j.unsure(ReasonNoEntry, "%s was not looked at", p)
			return
		case f.Missing:
			continue
		}
		r, good := j.file(p, f, k)
		if good {
			return
		}
		if r.ID != "" {
			reasons = append(reasons, r)
		}
	}
	if command := j.e.Value("authorizedkeyscommand"); !strings.EqualFold(command, "none") {
		j.unsure(ReasonNoEntry, "AuthorizedKeysCommand %s may know the key", command)
		return
	}
	if k.Cert != nil || !strings.EqualFold(j.e.Value("trustedusercakeys"), "none") && k.Cert != nil {
		j.unsure(ReasonNoEntry, "whether a certificate is accepted is not decided here")
		return
	}
	if reasons == nil {
		j.block(ReasonNoEntry, "authorizedkeysfile", "the key is in none of %s", strings.Join(paths, ", "))
	}
	j.out.Blocked = append(j.out.Blocked, reasons...)
}

// file says whether one file lets the key in, and if it holds the key but does
// not, why.
func (j *judge) file(p string, f KeyFile, k Key) (why Reason, good bool) {
	if !readable(f.Chain, j.a) {
		return Reason{ID: ReasonUnreadable, Text: p + " cannot be read by " + j.a.Name}, false
	}
	home := j.m.ResolvedHome
	if home == "" {
		home = j.a.Home
	}
	if j.e.Bool("strictmodes") {
		if bad := StrictModes(j.m.Version, f.Chain, j.a, home, j.m.Groups); bad != "" {
			return Reason{ID: ReasonModes, Text: bad, From: j.e.Setting("strictmodes").From}, false
		}
	}
	for _, entry := range f.Entries {
		if entry.Err != "" || !entry.Key.Same(k) || entry.Options.CertAuthority {
			continue
		}
		if bad := j.entry(&entry); bad != "" {
			why = Reason{ID: ReasonKeyOptions, Text: fmt.Sprintf("%s:%d: %s", p, entry.Line, bad)}
			continue
		}
		return Reason{}, true
	}
	return why, false
}

func (j *judge) entry(e *Entry) string {
	loc := j.m.Location
	if loc == nil {
		loc = time.UTC
	}
	if t, ok := e.Options.Expires(loc); ok && !j.m.Now.Before(t) {
		return "the entry expired at " + t.Format(time.DateTime)
	}
	if !e.Options.Allows(j.c) {
		return fmt.Sprintf("from=%q does not let %s in", *e.Options.From, j.c.Addr)
	}
	return ""
}

// PasswordDoors gives the methods by which a password opens a session of that
// account: "password", and "keyboard-interactive" where PAM asks for one.
func (e *Effective) PasswordDoors(c Connection, root bool) []string {
	if why, _ := e.allowed(&c); why != "" || e.Bool("refuseconnection") {
		return nil
	}
	if root && e.Value("permitrootlogin") != "yes" {
		return nil
	}
	var doors []string
	if e.Bool("passwordauthentication") && e.enough("password") {
		doors = append(doors, "password")
	}
	if e.Bool("kbdinteractiveauthentication") && e.Bool("usepam") && e.enough("keyboard-interactive") {
		doors = append(doors, "keyboard-interactive")
	}
	return doors
}

// enough reports whether some list of AuthenticationMethods asks for nothing
// but passwords and starts with that method.
func (e *Effective) enough(method string) bool {
	lists := e.Values("authenticationmethods")
	if len(lists) == 0 || lists[0] == "any" {
		return true
	}
	return slices.ContainsFunc(lists, func(list string) bool {
		all := true
		for m := range strings.SplitSeq(list, ",") {
			name, _, _ := strings.Cut(m, ":")
			all = all && (name == "password" || name == "keyboard-interactive")
		}
		first, _, _ := strings.Cut(list, ",")
		first, _, _ = strings.Cut(first, ":")
		return all && first == method && e.enabledMethods(list)
	})
}
