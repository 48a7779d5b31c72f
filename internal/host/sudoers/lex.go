package sudoers

import (
	"regexp"
	"strconv"
	"strings"
)

// A kind of token, as sudoers' own grammar names them.
type kind int

const (
	tokEOF kind = iota
	tokNewline
	tokError // no token starts here; the text is the complaint
	tokPunct // one of , = : ! ( ) and, within Defaults, + and - for += and -=
	tokWord
	tokAlias
	tokAll
	tokGroup    // %group, %:group
	tokNetgroup // +netgroup
	tokAddr
	tokCommand
	tokTag     // NOPASSWD and its like
	tokOption  // CWD, TIMEOUT and their like, before an equals sign
	tokDigest  // sha256 and its like
	tokHash    // the digest itself
	tokInclude // @include, #include
	tokIncludeDir
	tokDefaults  // Defaults; the text is what it is bound to: one of : @ > ! or nothing
	tokAliasDef  // User_Alias and its like
	tokParameter // the name of a Defaults parameter
)

// A token is one of them; args are those of a command, nil for any.
type token struct {
	kind kind
	text string
	args *string
	line int
}

// state is what the lexer has seen of the line: sudoers cannot be cut into
// tokens without.
type state int

const (
	initial      state = iota
	gotDefs            // behind Defaults, up to its parameters
	startDefs          // where a parameter's name must stand
	inDefs             // behind it
	gotCommand         // in the arguments of a command
	gotRegex           // in arguments that are a regular expression
	wantDigest         // behind sha256:
	wantPath           // behind CWD=
	gotInclude         // behind @include
	gotString          // in quotes
	anyInclusive       // in tables alone: initial, gotDefs, wantDigest, wantPath
)

// A lexer cuts one file into tokens.
type lexer struct {
	text  string
	pos   int
	line  int
	state state
	prev  state
	rules *rules
	// continued: the line before ended in a backslash.
	continued bool
	str       *string // a quoted string under way
	command   *token  // a command whose arguments are being read
	sawSpace  bool
	digest    string
}

// rules are the expressions of the tokens that start in an ordinary place, in
// the order in which they win over others of the same length.
type rules struct {
	list    []rule
	envVar  *regexp.Regexp
	defVar  *regexp.Regexp
	include *regexp.Regexp
	path    *regexp.Regexp
	word    *regexp.Regexp
	comment *regexp.Regexp
}

type rule struct {
	name string
	in   state // anyInclusive, or the only state in which it holds
	bol  bool  // at the start of a line only
	re   *regexp.Regexp
}

func newRules() *rules {
	const (
		octet  = `(?:1?[0-9]{1,2}|2[0-4][0-9]|25[0-5])`
		ipv4   = octet + `(?:\.` + octet + `){3}`
		hex    = `[0-9A-Fa-f]{1,4}`
		ipv6   = `(?:(?:(?:` + hex + `)?:){2,7}(?:` + hex + `)?|(?:(?:` + hex + `)?:){2,6}:` + ipv4 + `)`
		word   = `(?:[^#>!=:,() \t\r\n\\"]|\\[^\t\n])+`
		id     = `#-?[0-9]+`
		path   = `/(?:\\[,:= \t#]|[^,:=\\ \t\r\n#])+`
		regex  = `\^(?:[^#\r\n$]|\\[#$])*\$`
		blank  = `[ \t]*`
		remark = `#(?:-[^\r\n0-9].*|[^\r\n0-9-].*)?(?:\r\n|\n)?`
	)
	c := func(expr string) *regexp.Regexp {
		re := regexp.MustCompile(`^(?:` + expr + `)`)
		re.Longest()
		return re
	}
	r := &rules{
		envVar: c(`(?:[^#!=, \t\r\n\\"]|\\[^\r\n])(?:[^#=, \t\r\n\\"]|\\[^\r\n])*`), defVar: c(`[a-z_]+`),
		include: c(`[^" \t\r\n\v\f](?:[^ \t\r\n\v\f]|\\[ \t])*`), path: c(path), word: c(word), comment: c(remark),
	}
	r.list = []rule{
		{"defscomma", gotDefs, false, c(blank + `,` + blank)},
		{"defsblank", gotDefs, false, c(`[ \t]+`)},
		{"hexdigest", wantDigest, false, c(`[[:xdigit:]]+`)},
		{"b64digest", wantDigest, false, c(`[A-Za-z0-9+/=]+`)},
		{"include", initial, false, c(`@include`)},
		{"includedir", initial, false, c(`@includedir`)},
		{"#include", initial, true, c(`#include[ \t]+.*(?:\r\n|\n)?`)},
		{"#includedir", initial, true, c(`#includedir[ \t]+.*(?:\r\n|\n)?`)},
		{"defaults", initial, true, c(blank + `Defaults(?:[:@>!]` + blank + `!*"?(?:` + id + `|` + word + `))?`)},
		{"aliasdef", initial, true, c(blank + `(?:Host|Cmnd|Cmd|User|Runas)_Alias`)},
		{"tag", anyInclusive, false, c(`(?:(?:NO)?(?:PASSWD|EXEC|INTERCEPT|SETENV|LOG_OUTPUT|LOG_INPUT|MAIL|FOLLOW))[ \t]*:`)},
		{"empty", initial, false, c(`\+|%|%:`)},
		{"empty", gotDefs, false, c(`\+|%|%:`)},
		{"netgroup", anyInclusive, false, c(`\+` + word)},
		{"group", anyInclusive, false, c(`%:?(?:` + word + `|` + id + `)`)},
		{"addr4", anyInclusive, false, c(ipv4 + `(?:/` + ipv4 + `)?|` + ipv4 + `/(?:[12]?[0-9]|3[0-2])`)},
		{"addr6", anyInclusive, false, c(ipv6 + `(?:/` + ipv6 + `)?|` + ipv6 + `/(?:[0-9]|[1-9][0-9]|1[01][0-9]|12[0-8])`)},
		{"all", anyInclusive, false, c(`ALL`)},
		{"option", initial, false, c(`TIMEOUT|NOTBEFORE|NOTAFTER|CWD|CHROOT|ROLE|TYPE|APPARMOR_PROFILE`)},
		{"alias", anyInclusive, false, c(`[A-Z][A-Z0-9_]*`)},
		{"defscommand", gotDefs, false, c(path + `|` + regex + `|sudoedit`)},
		{"digest", anyInclusive, false, c(`sha(?:224|256|384|512)`)},
		{"sudoedit", anyInclusive, false, c(`sudoedit`)},
		{"expectpath", wantPath, false, c(path + `|` + word)},
		{"path", anyInclusive, false, c(path)},
		{"regex", anyInclusive, false, c(regex)},
		{"quote", initial, false, c(`"`)},
		{"quote", gotDefs, false, c(`"`)},
		{"word", initial, false, c(id + `|` + word)},
		{"word", gotDefs, false, c(id + `|` + word)},
		{"punct", anyInclusive, false, c(`[(),=:]`)},
		{"comment", initial, false, r.comment},
	}
	return r
}

func newLexer(text string, r *rules) *lexer {
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return &lexer{text: text, line: 1, rules: r}
}

// next gives the next token.
func (l *lexer) next() token {
	for {
		t, ok := l.step()
		if ok {
			return t
		}
	}
}

func (l *lexer) rest() string { return l.text[l.pos:] }

func (l *lexer) bol() bool { return l.pos == 0 || l.text[l.pos-1] == '\n' }

func (l *lexer) token(k kind, text string) (token, bool) {
	return token{kind: k, text: text, line: l.line}, true
}

// fail gives an error token and goes on behind the byte that fits nowhere.
func (l *lexer) fail(why string) (token, bool) {
	if l.state == gotCommand || l.state == gotRegex || l.state == gotString {
		l.state = initial // what was being read is given up
	}
	l.command, l.str = nil, nil
	return l.token(tokError, why)
}

// step takes one thing off the text; ok is false for what gives no token.
func (l *lexer) step() (token, bool) {
	if l.pos >= len(l.text) {
		return l.token(tokEOF, "")
	}
	switch l.state {
	case gotString:
		return l.inString()
	case gotCommand:
		return l.inCommand()
	case gotRegex:
		return l.inRegex()
	case startDefs, inDefs:
		return l.inDefaults()
	case gotInclude:
		return l.inInclude()
	}
	return l.ordinary()
}

// common is what holds in each state: blanks, newlines, continued lines,
// exclamation marks.
func (l *lexer) common() (t token, ok, taken bool) {
	s := l.rest()
	switch c := s[0]; {
	case c == ' ' || c == '\t':
		l.pos += len(s) - len(strings.TrimLeft(s, " \t"))
		l.sawSpace = true
		return token{}, false, true
	case c == '\n' || strings.HasPrefix(s, "\r\n"):
		t, ok = l.token(tokNewline, "")
		l.pos += 1 + strings.IndexByte(s, '\n')
		l.line++
		l.state, l.continued = initial, false
		return t, ok, true
	case c == '\\':
		if n := continuation(s); n > 0 {
			l.pos += n
			l.line++
			l.sawSpace, l.continued = true, true
			return token{}, false, true
		}
	case c == '!':
		n := len(s) - len(strings.TrimLeft(s, "!"))
		l.pos += n
		if n%2 == 1 {
			t, ok = l.token(tokPunct, "!")
		}
		return t, ok, true
	}
	return token{}, false, false
}

// continuation gives the length of a backslash, blanks and a newline; 0 is none.
func continuation(s string) int {
	rest := strings.TrimLeft(s[1:], " \t")
	switch {
	case strings.HasPrefix(rest, "\r\n"):
		return len(s) - len(rest) + 2
	case strings.HasPrefix(rest, "\n"):
		return len(s) - len(rest) + 1
	}
	return 0
}

func (l *lexer) ordinary() (token, bool) {
	best, name := "", ""
	for _, r := range l.rules.list {
		if r.in != l.state && r.in != anyInclusive || r.bol && !l.bol() {
			continue
		}
		if m := r.re.FindString(l.rest()); len(m) > len(best) {
			best, name = m, r.name
		}
	}
	if c := l.rest()[0]; best == "" || name != "defsblank" && name != "defscomma" && name != "defaults" && name != "aliasdef" && (c == ' ' || c == '\t') {
		if t, ok, taken := l.common(); taken {
			return t, ok
		}
	}
	if best == "" {
		l.pos++
		return l.fail("syntax error")
	}
	start := l.line
	t, ok := l.accept(name, best)
	t.line = start
	return t, ok
}

// accept takes the text of a rule.
func (l *lexer) accept(name, text string) (token, bool) {
	if l.continued {
		switch name {
		case "include", "includedir", "#include", "#includedir", "defaults", "aliasdef":
			l.pos += len(text)
			return l.fail("invalid line continuation")
		}
	}
	switch name {
	case "#include", "#includedir":
		l.pos += len(name)
		l.state = gotInclude
		return l.token(includeKind(name[1:]), "")
	case "defaults":
		return l.defaults(text)
	case "hexdigest", "b64digest":
		return l.hash(name, text)
	}
	l.pos += len(text)
	switch name {
	case "defscomma":
		return l.token(tokPunct, ",")
	case "defsblank":
		l.state = startDefs
		return token{}, false
	case "include", "includedir":
		l.state = gotInclude
		return l.token(includeKind(name), "")
	case "aliasdef":
		return l.token(tokAliasDef, strings.TrimLeft(text, " \t"))
	case "tag":
		return l.token(tokTag, strings.TrimRight(text, ": \t"))
	case "empty":
		return l.fail(map[bool]string{true: "empty netgroup", false: "empty group"}[text == "+"])
	case "netgroup":
		return l.token(tokNetgroup, unescape(text))
	case "group":
		return l.token(tokGroup, unescape(text))
	case "addr4", "addr6":
		return l.address(text)
	case "all":
		return l.token(tokAll, text)
	case "option":
		if text == "CWD" || text == "CHROOT" {
			l.prev, l.state = l.state, wantPath
		}
		return l.token(tokOption, text)
	case "alias":
		return l.token(tokAlias, text)
	case "digest":
		l.digest, l.state = text, wantDigest
		return l.token(tokDigest, text)
	case "quote":
		l.prev, l.state, l.str = l.state, gotString, nil
		return token{}, false
	case "expectpath":
		l.state = l.prev
		return l.token(tokWord, unescape(text))
	case "word":
		return l.token(tokWord, unescape(text))
	case "punct":
		return l.token(tokPunct, text)
	case "comment":
		return l.comment(text)
	}
	return l.startCommand(name, text)
}

func includeKind(name string) kind {
	if name == "includedir" {
		return tokIncludeDir
	}
	return tokInclude
}

func (l *lexer) comment(text string) (token, bool) {
	t, ok := l.token(tokNewline, "")
	if strings.HasSuffix(text, "\n") {
		l.state, l.continued = initial, false
		l.line++
		return t, ok
	}
	return l.fail("syntax error")
}

func (l *lexer) defaults(text string) (token, bool) {
	trimmed := strings.TrimLeft(text, " \t")
	n := len(text) - len(trimmed) + len("Defaults")
	bound := ""
	if n < len(text) {
		bound = text[n : n+1]
		n++
		n += len(text[n:]) - len(strings.TrimLeft(text[n:], " \t"))
	}
	l.pos += n
	l.state = gotDefs
	return l.token(tokDefaults, bound)
}

func (l *lexer) address(text string) (token, bool) {
	if strings.Contains(text, ":") && strings.Count(text, "::") > strings.Count(text, "/")+1 {
		return l.fail("invalid IPv6 address")
	}
	return l.token(tokAddr, text)
}

// hash takes a digest of the right length; otherwise the text is looked at anew.
func (l *lexer) hash(name, text string) (token, bool) {
	l.state = initial
	bits, _ := strconv.Atoi(strings.TrimPrefix(l.digest, "sha"))
	n := bits / 8
	want := 2 * n
	if name == "b64digest" {
		want = (4*n + 2) / 3
		if strings.HasSuffix(text, "=") {
			want = 4 * ((n + 2) / 3)
		}
	}
	if len(text) != want {
		l.pos += len(text) // flex has consumed it
		return token{}, false
	}
	l.pos += len(text)
	return l.token(tokHash, text)
}

// startCommand takes the path of a command; its arguments follow, but for a
// directory and within Defaults.
func (l *lexer) startCommand(name, text string) (token, bool) {
	cmd := text
	if !strings.HasPrefix(text, "^") {
		cmd = commandText(text)
	}
	t, ok := l.token(tokCommand, cmd)
	if name == "defscommand" || name == "path" && strings.HasSuffix(text, "/") {
		return t, ok
	}
	l.command, l.state, l.sawSpace = &t, gotCommand, false
	return token{}, false
}

// commandText takes the backslash off the characters that sudoers gives a
// meaning.
func commandText(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) && strings.IndexByte(`,:= `+"\t#", s[i+1]) >= 0 {
			i++
		}
		b.WriteByte(s[i])
	}
	out := b.String()
	if strings.HasSuffix(out, "/sudoedit") {
		return "sudoedit"
	}
	return out
}

// unescape takes the backslashes off a word; \xHH is a byte.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		if s[i+1] == 'x' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+2:i+4], 16, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		i++
		b.WriteByte(s[i])
	}
	return b.String()
}

func (l *lexer) appendTo(text string) {
	if l.str == nil {
		l.str = new(string)
	}
	*l.str += text
}

// inString reads what stands in quotes.
func (l *lexer) inString() (token, bool) {
	s := l.rest()
	if s[0] == '\\' {
		if n := continuation(s); n > 0 {
			l.pos += n + len(s[n:]) - len(strings.TrimLeft(s[n:], " \t"))
			l.line++
			l.continued = true
			return token{}, false
		}
	}
	switch {
	case s[0] == '"':
		l.pos++
		return l.endString()
	case s[0] == '\n' || strings.HasPrefix(s, "\r\n"):
		l.state = initial
		return l.fail("unexpected line break in string")
	case s[0] == '\r':
		l.pos++
		return l.fail("syntax error")
	}
	end := 0
	for end < len(s) && s[end] != '"' && s[end] != '\r' && s[end] != '\n' && s[end] != '\\' || strings.HasPrefix(s[end:], `\"`) {
		if s[end] == '\\' {
			end++
		}
		end++
	}
	if end == 0 { // a backslash by itself
		end = 1
		l.appendTo(`\`)
	} else {
		l.appendTo(unescape(s[:end]))
	}
	l.pos += end
	return token{}, false
}

func (l *lexer) endString() (token, bool) {
	l.state = l.prev
	if l.str == nil {
		return l.fail("empty string")
	}
	s := *l.str
	l.str = nil
	if l.prev == initial || l.prev == gotDefs {
		switch {
		case s == "%" || s == "%:":
			return l.fail("empty group")
		case s == "+":
			return l.fail("empty netgroup")
		case s[0] == '%':
			return l.token(tokGroup, s)
		case s[0] == '+':
			return l.token(tokNetgroup, s)
		}
	}
	return l.token(tokWord, s)
}

func (l *lexer) argument(text string, space bool) {
	if l.command.args == nil {
		l.command.args = new(string)
		space = false
	}
	if space {
		*l.command.args += " "
	}
	*l.command.args += text
}

// inCommand reads the arguments of a command.
func (l *lexer) inCommand() (token, bool) {
	s := l.rest()
	if s[0] == '\\' && len(s) > 1 && strings.IndexByte(`*?[]!^`, s[1]) >= 0 {
		l.argument(s[:2], l.sawSpace)
		l.sawSpace = false
		l.pos += 2
		return token{}, false
	}
	if s[0] == '\\' && len(s) > 1 && continuation(s) == 0 && strings.IndexByte(`:\,= `+"\t#", s[1]) >= 0 {
		l.argument(s[1:2], l.sawSpace)
		l.sawSpace = false
		l.pos += 2
		return token{}, false
	}
	n := strings.IndexAny(s, "#\\:, \t\r\n")
	if n > 0 && s[:n] != "=" {
		if l.command.args == nil && s[0] == '^' {
			l.state = gotRegex
			return token{}, false
		}
		l.argument(s[:n], l.sawSpace)
		l.sawSpace = false
		l.pos += n
		return token{}, false
	}
	// At the end of a line as DOS has it sudo's lexer loses the command.
	if strings.IndexByte("#:,=\r\n", s[0]) >= 0 && !strings.HasPrefix(s, "\r\n") {
		l.state = initial
		return l.finishCommand()
	}
	if t, ok, taken := l.common(); taken {
		return t, ok
	}
	l.pos++
	return l.fail("syntax error")
}

func (l *lexer) finishCommand() (token, bool) {
	t := *l.command
	l.command = nil
	return t, true
}

func (l *lexer) inRegex() (token, bool) {
	s := l.rest()
	switch {
	case s[0] == '\\' && continuation(s) > 0:
		n := continuation(s)
		l.pos += n + len(s[n:]) - len(strings.TrimLeft(s[n:], " \t"))
		l.line++
		return token{}, false
	case s[0] == '\\' && len(s) > 1 && s[1] != '\r' && s[1] != '\n':
		l.argument(s[:2], false)
		l.pos += 2
		return token{}, false
	case s[0] == '$':
		l.argument("$", false)
		l.pos++
		l.state = initial
		return l.finishCommand()
	case s[0] == '#' || s[0] == '\r' || s[0] == '\n':
		l.state = initial
		return l.fail("unterminated regular expression")
	}
	n := strings.IndexAny(s, "#\\\r\n$")
	if n <= 0 {
		l.pos++
		return l.fail("syntax error")
	}
	l.argument(s[:n], false)
	l.pos += n
	return token{}, false
}

// inDefaults reads the parameters of a Defaults line.
func (l *lexer) inDefaults() (token, bool) {
	s := l.rest()
	if m := l.rules.comment.FindString(s); m != "" {
		l.pos += len(m)
		return l.comment(m)
	}
	if l.state == startDefs {
		if m := l.rules.defVar.FindString(s); m != "" {
			l.pos += len(m)
			l.state = inDefs
			return l.token(tokParameter, m)
		}
	} else if t, ok, taken := l.parameter(s); taken {
		return t, ok
	}
	if t, ok, taken := l.common(); taken {
		return t, ok
	}
	l.pos++
	return l.fail("syntax error")
}

func (l *lexer) parameter(s string) (t token, ok, taken bool) {
	for text, name := range map[string]string{"+=": "+", "-=": "-"} {
		if strings.HasPrefix(s, text) && len(l.rules.envVar.FindString(s)) <= 2 {
			l.pos += 2
			t, ok = l.token(tokPunct, name)
			return t, ok, true
		}
	}
	switch s[0] {
	case ',':
		l.pos++
		l.state = startDefs
		t, ok = l.token(tokPunct, ",")
		return t, ok, true
	case '=':
		l.pos++
		t, ok = l.token(tokPunct, "=")
		return t, ok, true
	case '"':
		l.pos++
		l.prev, l.state, l.str = l.state, gotString, nil
		return token{}, false, true
	}
	if s[0] == '\\' && continuation(s) > 0 {
		return token{}, false, false
	}
	if m := l.rules.envVar.FindString(s); m != "" {
		l.pos += len(m)
		t, ok = l.token(tokWord, unescape(m))
		return t, ok, true
	}
	return token{}, false, false
}

func (l *lexer) inInclude() (token, bool) {
	s := l.rest()
	if s[0] == '"' {
		l.pos++
		l.prev, l.state, l.str = initial, gotString, nil
		return token{}, false
	}
	if m := l.rules.include.FindString(s); m != "" && s[0] != '!' && (s[0] != '\\' || continuation(s) == 0) {
		l.pos += len(m)
		l.state = initial
		return l.token(tokWord, unescape(m))
	}
	if t, ok, taken := l.common(); taken {
		return t, ok
	}
	l.pos++
	return l.fail("syntax error")
}
