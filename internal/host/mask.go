package host

import (
	"strings"
	"unicode"
)

// Masked stands where the value of a secret stood.
const Masked = "***"

// MaskArgs gives a command line with the values of secret-looking arguments
// replaced by [Masked]. It prefers to hide too much: the argument vector is
// there to recognise a process, not to repeat it. Masked are
//
//   - the value of an option or assignment whose name speaks of a secret:
//     --password=x, --api-key x, DB_PASSWORD=x, -Dauth.token=x, {"secret":"x"},
//     Authorization: Bearer x; and everything behind it in the same argument;
//   - the value of -p and of a few other options that programs take passwords
//     with, attached or not: -psecret, -p secret, -a secret of redis-cli;
//   - user information in URLs: postgres://user:x@host, https://token@host;
//   - what has the shape of a secret wherever it stands: crypt(3) hashes, PEM
//     blocks, JSON web tokens, the tokens of well-known services.
//
// A secret given as a bare positional argument to an unknown program cannot be
// told from any other word and stays.
func MaskArgs(argv []string) []string {
	out := make([]string, 0, len(argv))
	var hide bool
	for i, arg := range argv {
		if i == 0 {
			out = append(out, maskInside(arg))
			continue
		}
		next := takesSecret(argv[0], arg)
		switch {
		case hide:
			out = append(out, Masked)
		case takesUser(argv[i-1]):
			out = append(out, maskUser(maskArg(argv[0], arg)))
		default:
			out = append(out, maskArg(argv[0], arg))
		}
		hide = next
	}
	return out
}

// MaskText gives a text that is a command line in itself, or a value, with what
// looks like a secret replaced by [Masked], and all that follows it.
func MaskText(text string) string { return maskInside(text) }

// takesSecret reports whether the argument after arg is a secret: arg is an
// option without a value of its own that asks for one.
func takesSecret(program, arg string) bool {
	name, dashed := strings.CutPrefix(arg, "-")
	if !dashed || name == "" || strings.ContainsAny(arg, "=: ") {
		return false
	}
	if len(name) == 1 {
		return shortSecret(program, name[0])
	}
	if arg == "-pass" || arg == "-passin" || arg == "-passout" {
		return true // openssl
	}
	return secretName(strings.TrimPrefix(name, "-"))
}

// takesUser reports whether the argument after arg names a user and may carry
// the password behind a colon (curl) or a percent sign (smbclient).
func takesUser(arg string) bool {
	switch arg {
	case "-u", "-U", "--user", "--proxy-user", "--auth-user", "--userpwd":
		return true
	}
	return false
}

// maskUser hides what follows the name of the user. A home directory or a group
// of docker's --user is hidden likewise.
func maskUser(value string) string {
	if i := strings.IndexAny(value, ":%"); i >= 0 && i+1 < len(value) {
		return value[:i+1] + Masked
	}
	return value
}

// shortSecret reports whether the one-letter option takes a password. -p is
// taken to in every program: many do, and where it is a port the socket has it.
func shortSecret(program string, letter byte) bool {
	if letter == 'p' || letter == 'P' {
		return true
	}
	base := program[strings.LastIndexByte(program, '/')+1:]
	switch letter {
	case 'a':
		return strings.HasPrefix(base, "redis") || strings.HasPrefix(base, "valkey") || strings.HasPrefix(base, "keydb")
	case 'w', 'W':
		return strings.HasPrefix(base, "ldap") || strings.HasPrefix(base, "nc")
	case 'k':
		return base == "openssl" || base == "ss-server" || base == "ss-local" || base == "sslocal"
	}
	return false
}

// plainWords are options that begin with p and are no attached password.
var plainWords = [...]string{
	"path", "pid", "pidfile", "pidfd", "port", "prefix", "print", "preserve", "priority", "private", "proto", "protocol", "proxy", "profile",
	"plugin", "process", "parent", "persist", "peer", "period", "ping", "pipe", "platform", "policy", "pool", "provider", "public", "publish", "pull", "push", "python",
}

// maskArg hides what is secret in one argument that is no one's value.
func maskArg(program, arg string) string {
	if len(arg) > 2 && arg[0] == '-' && arg[1] != '-' && shortSecret(program, arg[1]) {
		if arg[1] != 'p' || !plainOption(arg[1:]) {
			return arg[:2] + Masked
		}
	}
	return maskInside(arg)
}

func plainOption(name string) bool {
	for _, w := range plainWords {
		if rest, ok := strings.CutPrefix(name, w); ok && (rest == "" || strings.IndexAny(rest[:1], "=-_s.") == 0) {
			return true
		}
	}
	return false
}

// maskInside hides assignments, URLs and shapes of secrets within a text.
func maskInside(text string) string {
	text = maskURLs(text)
	if i := valueOfSecret(text); i >= 0 {
		text = text[:i] + Masked
	}
	if i := nestedOption(text); i >= 0 {
		text = text[:i] + Masked
	}
	if name, value, ok := strings.Cut(text, "="); ok && takesUser(name) {
		text = name + "=" + maskUser(value)
	}
	return maskShapes(text)
}

// nestedOption gives the offset of the value of a -p or -u option within a
// text that is itself a command line (sh -c "mysql -psecret"), -1 for none.
func nestedOption(text string) int {
	for i := 1; i+2 < len(text); i++ {
		if text[i] != '-' || !space(text[i-1]) || !strings.ContainsRune("pPuU", rune(text[i+1])) {
			continue
		}
		word := text[i:]
		if j := strings.IndexFunc(word, unicode.IsSpace); j >= 0 {
			word = word[:j]
		}
		start, user := i+2, text[i+1] == 'u' || text[i+1] == 'U'
		switch {
		case len(word) == 2: // the value is the next word
			for start < len(text) && space(text[start]) {
				start++
			}
		case user || plainOption(word[1:]):
			continue
		}
		rest := text[start:]
		if j := strings.IndexFunc(rest, unicode.IsSpace); j >= 0 && user {
			rest = rest[:j]
		}
		if user && maskUser(rest) == rest || rest == "" || rest == Masked {
			continue
		}
		return start
	}
	return -1
}

func space(c byte) bool { return c == ' ' || c == '\t' || c == '\n' }

// valueOfSecret gives the offset behind the first "name=" or "name:" in text
// whose name speaks of a secret, -1 if there is none, or if nothing follows.
func valueOfSecret(text string) int {
	for i := range len(text) {
		if text[i] != '=' && text[i] != ':' && text[i] != ' ' {
			continue
		}
		start := i
		for start > 0 && nameByte(text[start-1]) {
			start--
		}
		name := text[start:i]
		if text[i] == ' ' && !strings.HasPrefix(name, "--") || i+1 == len(text) || strings.HasPrefix(text[i:], "://") {
			continue
		}
		if secretName(strings.Trim(name, `-"'`)) && text[i+1:] != Masked {
			return i + 1
		}
	}
	return -1
}

func nameByte(c byte) bool {
	return c == '-' || c == '_' || c == '.' || c == '"' || c == '\'' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// secretName reports whether a name speaks of a secret. Names of files that
// hold one, and switches about passwords, do not.
func secretName(name string) bool {
	var b strings.Builder
	for _, r := range name {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			b.WriteRune(unicode.ToLower(r))
		}
	}
	flat := b.String()
	for _, suffix := range [...]string{"file", "path", "dir", "stdin", "command", "cmd", "type", "method", "age", "policy", "length"} {
		if strings.HasSuffix(flat, suffix) {
			return false
		}
	}
	for _, word := range [...]string{
		"passw", "passphrase", "passwd", "pwd", "secret", "token", "apikey", "accesskey", "privatekey", "privkey", "encryptionkey", "masterkey",
		"signingkey", "authkey", "sharedkey", "presharedkey", "psk", "credential", "authorization", "bearer", "cookie", "requirepass", "masterauth", "salt",
	} {
		if strings.Contains(flat, word) {
			return true
		}
	}
	switch flat {
	case "pass", "auth", "key", "pw", "pin", "otp", "sig", "signature", "user:pass", "userpass", "basicauth", "proxyuser":
		return true
	}
	return strings.HasSuffix(flat, "pass") || strings.HasSuffix(flat, "key") && !strings.HasSuffix(flat, "hostkey") && !strings.HasSuffix(flat, "publickey")
}

// maskURLs hides the user information of each URL: all of it where it has no
// user name apart (a token), else what follows the name.
func maskURLs(text string) string {
	from := 0
	for {
		i := strings.Index(text[from:], "://")
		if i < 0 {
			return text
		}
		from += i + len("://")
		end := strings.IndexAny(text[from:], "/?# \t\n\"'<>,;")
		authority := text[from:]
		if end >= 0 {
			authority = authority[:end]
		}
		// A password may itself hold one of these characters, unescaped: then
		// the @ stands behind what looks like the end, and all before it goes.
		at := strings.LastIndexByte(authority, '@')
		if at < 0 {
			word := text[from:]
			if j := strings.IndexAny(word, " \t\n\"'<>"); j >= 0 {
				word = word[:j]
			}
			colon := strings.IndexByte(authority, ':')
			if colon < 0 || !strings.Contains(word, "@") || portOnly(authority[colon+1:]) {
				continue
			}
			at = strings.LastIndexByte(word, '@')
		}
		user, _, hasPassword := strings.Cut(text[from:from+at], ":")
		hidden := Masked
		if hasPassword && user != "" {
			hidden = user + ":" + Masked
		}
		text = text[:from] + hidden + text[from+at:]
		from += len(hidden)
	}
}

func portOnly(s string) bool {
	for _, c := range s {
		if c < '0' || c > '9' {
			return false
		}
	}
	return s != ""
}

// shapes are the beginnings of secrets that are recognised wherever they stand,
// each with the least length of the word that follows.
var shapes = [...]struct {
	prefix string
	least  int
}{
	{"$1$", 20},
	{"$2a$", 20},
	{"$2b$", 20},
	{"$2y$", 20},
	{"$5$", 20},
	{"$6$", 20},
	{"$7$", 20},
	{"$y$", 20},
	{"$gy$", 20},
	{"$apr1$", 20},
	{"$argon2", 20},
	{"$scrypt$", 20},
	{"{SSHA}", 20},
	{"-----BEGIN ", 10},
	{"AGE-SECRET-KEY-", 20},
	{"eyJ", 30},
	{"ghp_", 20},
	{"gho_", 20},
	{"ghs_", 20},
	{"ghu_", 20},
	{"github_pat_", 20},
	{"glpat-", 15},
	{"xoxb-", 15},
	{"xoxp-", 15},
	{"xapp-", 15},
	{"AKIA", 16},
	{"ASIA", 16},
	{"sk-", 20},
	{"sk_live_", 20},
	{"rk_live_", 20},
	{"tskey-", 15},
	{"hvs.", 20},
	{"npm_", 20},
	{"dop_v1_", 20},
	{"SG.", 30},
	{"AIza", 30},
}

// maskShapes hides everything from the first shape of a secret on.
func maskShapes(text string) string {
	for _, s := range shapes {
		for from := 0; ; {
			i := strings.Index(text[from:], s.prefix)
			if i < 0 {
				break
			}
			from += i
			if wordStart(text, from) && wordLength(text[from:]) >= s.least {
				return text[:from] + Masked
			}
			from += len(s.prefix)
		}
	}
	return text
}

// wordStart says whether a secret can begin at i: not in the middle of a word.
func wordStart(text string, i int) bool {
	if i == 0 {
		return true
	}
	c := text[i-1]
	return !('0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z')
}

func wordLength(s string) int {
	if i := strings.IndexAny(s, "\t\n\"',;"); i >= 0 {
		return i
	}
	return len(s)
}
