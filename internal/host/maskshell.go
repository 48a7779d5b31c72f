package host

import "strings"

// MaskCommand gives a line for a shell, as cron runs it, with what looks like a
// secret replaced by [Masked]: each simple command as [MaskArgs] does it. What
// comes behind a secret stays, so that an audit still sees what is run.
func MaskCommand(line string) string {
	var b strings.Builder
	var words []string
	spaced := false // there was space before what comes next
	flush := func() {
		b.WriteString(strings.Join(maskWords(words), " "))
		words = nil
	}
	for line != "" {
		n := shellWord(line)
		switch {
		case n > 0:
			if spaced && len(words) == 0 && b.Len() > 0 {
				b.WriteByte(' ')
			}
			words, spaced = append(words, line[:n]), false
		case space(line[0]):
			n, spaced = 1, true
		default: // what ends a simple command
			n = 1
			flush()
			if spaced && b.Len() > 0 {
				b.WriteByte(' ')
			}
			b.WriteByte(line[0])
			spaced = false
		}
		line = line[n:]
	}
	flush()
	return b.String()
}

// shellWord is the length of the shell's word that a line begins with, quotes
// and all; 0 where it begins with space or with the end of a command.
func shellWord(line string) int {
	quote := byte(0)
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '\\' && quote != '\'':
			i++
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '\'' || c == '"':
			quote = c
		case space(c) || strings.IndexByte("|&;()`\n", c) >= 0:
			return i
		}
	}
	return len(line)
}

// maskWords masks one simple command. A word in which nothing is hidden stays as
// it was written.
func maskWords(raw []string) []string {
	plain := make([]string, len(raw))
	for i, w := range raw {
		plain[i] = strings.NewReplacer(`'`, "", `"`, "").Replace(w)
	}
	first := 0 // behind the assignments that a command may begin with
	for first < len(plain) && strings.Contains(plain[first], "=") && !strings.HasPrefix(plain[first], "-") {
		first++
	}
	masked := make([]string, 0, len(plain))
	for _, w := range plain[:first] {
		masked = append(masked, maskInside(w))
	}
	masked = append(masked, MaskArgs(plain[first:])...)
	out := make([]string, len(raw))
	for i := range raw {
		switch {
		case i > 0 && strings.HasSuffix(plain[i-1], ":") && valueOfSecret(plain[i-1]+" x") >= 0:
			out[i] = Masked // Password: hunter2
		case masked[i] == plain[i]:
			out[i] = raw[i]
		default:
			out[i] = masked[i]
		}
	}
	return out
}
