package ipfw

import (
	"strings"
)

// word is one word of a command.
type word struct {
	s   string
	col int // from 1
}

// command is one call of ipfw: its arguments.
type command struct {
	line   int
	source string
	words  []word
	// comment is what stands behind // in a rule.
	comment string
}

// lines splits a text into commands. Shell is read as far as it is nothing but
// calls of ipfw and here-documents for them.
func (p *parser) lines(src string) {
	end := "" // the word that ends an open here-document
	begin := 0
	for i, source := range strings.Split(src, "\n") {
		if len(p.errs) >= maxErrors {
			return
		}
		c := command{line: i + 1, source: strings.TrimRight(source, "\r")}
		p.at = c
		switch {
		case end != "" && c.source == end:
			end = ""
		case strings.ContainsFunc(c.source, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }):
			p.failAt(1, 1, "", "bytes that are not text")
		case end != "":
			p.plain(c)
		default:
			if e := p.shell(c); e != "" {
				end, begin = e, i+1
			}
		}
	}
	if end != "" {
		p.at = command{line: begin}
		p.failAt(1, 1, "the file may be truncated", "a here-document that %s does not end", end)
	}
}

// plain reads a line of a file of commands: what stands behind a # is no part of it.
func (p *parser) plain(c command) {
	text := c.source
	if i := strings.IndexByte(text, '#'); i >= 0 {
		text = text[:i]
	}
	p.split(&c, text)
	if len(c.words) > 0 {
		p.command(c)
	}
}

// split makes words of a line. A // that begins a word begins the comment.
func (p *parser) split(c *command, text string) {
	for i := 0; i < len(text); {
		if text[i] == ' ' || text[i] == '\t' {
			i++
			continue
		}
		j := i
		for j < len(text) && text[j] != ' ' && text[j] != '\t' {
			j++
		}
		if strings.HasPrefix(text[i:], "//") {
			c.comment = strings.TrimSpace(text[i+2:])
			return
		}
		c.words = append(c.words, word{text[i:j], i + 1})
		i = j
	}
}

// shell reads a line outside of a here-document; it returns the word that ends
// one that begins here.
func (p *parser) shell(c command) string {
	text := strings.TrimSpace(c.source)
	switch {
	case text == "" || strings.HasPrefix(text, "#"):
		return ""
	case text == "set -e" || text == "set -eu" || text == "set -u":
		return ""
	case strings.HasPrefix(text, "fwcmd="):
		if v := unquote(strings.TrimPrefix(text, "fwcmd=")); v != "ipfw" && v != "/sbin/ipfw" && v != "ipfw -q" && v != "/sbin/ipfw -q" {
			p.failAt(1, len(c.source), "", "fwcmd is something else than ipfw, with or without -q")
		}
		return ""
	case strings.HasPrefix(text, "sysctl ") || strings.HasPrefix(text, "/sbin/sysctl "):
		p.sysctl(c, text)
		return ""
	}
	first, rest, _ := strings.Cut(text, " ")
	switch unquote(first) {
	case "ipfw", "/sbin/ipfw", "$fwcmd", "${fwcmd}":
	default:
		p.plain(c) // a file of commands, or what ipfw list prints
		return ""
	}
	offset := strings.Index(c.source, text) + len(first) + 1
	if before, after, ok := strings.Cut(rest, "<<"); ok {
		return p.heredoc(c, strings.Fields(before), strings.TrimSpace(after))
	}
	for _, tail := range []string{"|| :", "|| true", "2>/dev/null", ">/dev/null"} {
		rest = strings.TrimSuffix(strings.TrimRight(rest, " "), tail)
	}
	bare, ok := shellWords(rest)
	if !ok {
		p.failAt(offset+1, len(rest), "write the command without variables, substitutions and several commands in a line", "shell that is not understood")
		return ""
	}
	p.split(&c, strings.Repeat(" ", offset)+bare)
	for len(c.words) > 0 && (c.words[0].s == "-q" || c.words[0].s == "-f") {
		c.words = c.words[1:]
	}
	if len(c.words) > 0 {
		p.command(c)
	}
	return ""
}

// heredoc checks `ipfw -q /dev/stdin << 'WORD'` and returns WORD.
func (p *parser) heredoc(c command, args []string, end string) string {
	for len(args) > 0 && (args[0] == "-q" || args[0] == "-f") {
		args = args[1:]
	}
	if len(args) != 1 || args[0] != "/dev/stdin" {
		p.failAt(1, len(c.source), "ipfw -q /dev/stdin << 'END'", "a here-document that ipfw does not read")
	}
	quoted := strings.HasPrefix(end, "'")
	end = unquote(end)
	if !quoted || end == "" || strings.ContainsAny(end, " \t'\"$`\\") {
		p.failAt(1, len(c.source), "quote the word that ends it: << 'END'", "a here-document in which the shell replaces things")
		return ""
	}
	return end
}

// sysctl knows one setting that matters to states.
func (p *parser) sysctl(c command, text string) {
	f := strings.Fields(strings.TrimSuffix(text, ">/dev/null"))
	f = f[1:]
	for len(f) > 0 && (f[0] == "-q" || f[0] == "-n") {
		f = f[1:]
	}
	if len(f) != 1 {
		p.failAt(1, len(c.source), "", "a sysctl that is not understood")
		return
	}
	switch key, value, _ := strings.Cut(f[0], "="); key {
	case "net.inet.ip.fw.dyn_keep_states":
		p.rs.KeepsStates = value == "1"
	case "net.inet.ip.fw.enable", "net.inet6.ip6.fw.enable":
		if value != "1" {
			p.failAt(1, len(c.source), "", "the firewall is turned off")
		}
	default:
		p.failAt(1, len(c.source), "", "sysctl %s is not understood", key)
	}
}

// shellWords removes quotes and backslashes, in place so that columns stay; it
// is false where the shell would do more than that.
func shellWords(s string) (string, bool) {
	b := []byte(s)
	var quote byte
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case quote == '\'' && c != '\'':
			if c == ' ' || c == '\t' {
				return "", false // one word with blanks in it: ipfw would see it so
			}
		case c == '$' || c == '`':
			return "", false
		case quote == 0 && (c == '\'' || c == '"'):
			quote = c
			b[i] = 0
		case quote != 0 && c == quote:
			quote = 0
			b[i] = 0
		case quote == '"' && (c == ' ' || c == '\t' || c == '\\'):
			return "", false
		case quote == '"':
		case c == '\\' && i+1 < len(b) && strings.IndexByte("(){}*", b[i+1]) >= 0:
			b[i] = 0
			i++
		case c == '#' && (i == 0 || b[i-1] == ' ' || b[i-1] == '\t'):
			return strings.ReplaceAll(string(b[:i]), "\x00", ""), true
		case strings.IndexByte("|&;<>()*?[]~!\\", c) >= 0:
			return "", false
		}
	}
	return strings.ReplaceAll(string(b), "\x00", ""), quote == 0
}

// unquote removes one pair of quotes around a word.
func unquote(s string) string {
	if len(s) >= 2 && (s[0] == '"' || s[0] == '\'') && s[len(s)-1] == s[0] {
		return s[1 : len(s)-1]
	}
	return s
}
