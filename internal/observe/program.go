package observe

import (
	"bytes"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"sekimori/internal/host"
)

// Fields of /proc/PID/stat behind the name, proc(5), counted from 0, and the flag
// of the kernel's own threads (PF_KTHREAD, linux/sched.h).
const (
	statFlags   = 6
	statStarted = 19
	kernelFlag  = 0x00200000

	// userHZ is the unit of times in /proc, 100 on every architecture.
	userHZ = 100
)

// maxEnviron bounds what is searched of one process's environment.
const maxEnviron = 1 << 20

// bootTime gives when the host was booted, by /proc/stat.
func bootTime(text string) time.Time {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, "btime "); ok {
			if n, err := strconv.ParseInt(strings.TrimSpace(rest), 10, 64); err == nil && n > 0 {
				return time.Unix(n, 0).UTC()
			}
		}
	}
	return time.Time{}
}

// parseStat reads flags and start time, in ticks since boot, of /proc/PID/stat. The
// name before them may hold anything.
func parseStat(text string) (flags, started uint64, ok bool) {
	i := strings.LastIndexByte(text, ')')
	if i < 0 {
		return 0, 0, false
	}
	f := strings.Fields(text[i+1:])
	if len(f) <= statStarted {
		return 0, 0, false
	}
	flags, err1 := strconv.ParseUint(f[statFlags], 10, 64)
	started, err2 := strconv.ParseUint(f[statStarted], 10, 64)
	return flags, started, err1 == nil && err2 == nil
}

// more fills in what an audit asks of a process, false where it is a thread of
// the kernel or gone.
func (r *processReader) more(p *host.Process) bool {
	dir := "proc/" + strconv.Itoa(p.PID)
	if flags, started, ok := parseStat(r.files.Line(dir + "/stat")); ok {
		if flags&kernelFlag != 0 {
			return false
		}
		if !r.booted.IsZero() {
			p.Started = r.booted.Add(time.Duration(started) * time.Second / userHZ)
		}
	}
	status, err := r.files.Proc(dir + "/status")
	if err != nil {
		return false
	}
	statusMore(string(status), p)
	p.Memory = strings.HasPrefix(p.Exe, "/memfd:")
	if cwd, err := r.files.Source.ReadLink(dir + "/cwd"); err == nil {
		p.Dir, p.DirGone = strings.CutSuffix(cwd, " (deleted)")
	}
	p.Preload = preloads(r.environ(dir))
	p.Interpreter = interpreterName(p.Exe)
	if p.Interpreter != "" {
		line, _ := r.files.Proc(dir + "/cmdline")
		r.script(p, line)
	}
	return true
}

func (r *processReader) environ(dir string) []byte {
	data, _ := r.files.Head(dir+"/environ", maxEnviron) // of others' processes it is closed
	return data
}

// preloads gives the libraries that an environment forces into a program.
func preloads(environ []byte) []string {
	if !bytes.Contains(environ, []byte("LD_")) {
		return nil
	}
	var out []string
	for entry := range bytes.SplitSeq(environ, []byte{0}) {
		for _, name := range [...]string{"LD_PRELOAD=", "LD_AUDIT="} {
			value, ok := bytes.CutPrefix(entry, []byte(name))
			if !ok {
				continue
			}
			for lib := range strings.FieldsFuncSeq(string(value), func(c rune) bool { return c == ' ' || c == ':' || c == '\t' }) {
				if len(out) < 16 && len(lib) < 4096 {
					out = append(out, strings.ToValidUTF8(lib, "\uFFFD"))
				}
			}
		}
	}
	return out
}

// statusMore reads the further fields of /proc/PID/status.
func statusMore(text string, p *host.Process) {
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch key {
		case "PPid":
			p.PPID, _ = strconv.Atoi(value)
		case "Uid":
			f := strings.Fields(value)
			if len(f) < 2 {
				continue
			}
			if real, err := strconv.ParseUint(f[0], 10, 32); err == nil && uint32(real) != p.UID {
				id := uint32(real)
				p.RealUID = &id
			}
		case "CapEff":
			p.Capabilities, _ = strconv.ParseUint(value, 16, 64)
		case "NoNewPrivs":
			p.NoNewPrivs = value == "1"
		case "Seccomp":
			p.Seccomp = value == "2"
		}
	}
}

// interpreterName names the language of an interpreter by its file's name
// without version: /usr/bin/python3.11 is python. A file in a place of the
// host's own is named likewise, wherever that is.
func interpreterName(exe string) string {
	base := strings.TrimRight(path.Base(exe), "0123456789.-")
	switch base {
	case "python", "perl", "ruby", "php", "php-cgi", "php-fpm", "lua", "luajit", "tclsh", "expect", "pypy":
		return strings.TrimSuffix(strings.TrimSuffix(base, "-cgi"), "-fpm")
	case "node", "nodejs", "bun", "deno":
		return "node"
	case "sh", "bash", "dash", "ash", "zsh", "ksh", "mksh", "fish", "busybox", "csh", "tcsh":
		return "sh"
	case "gawk", "mawk", "awk":
		return "awk"
	case "java", "mono", "dotnet":
		return base
	}
	return ""
}

// withValue are the one-letter options of each interpreter that take the next
// argument; inline those whose argument is the program.
func withValue(interpreter string) (options, inline string) {
	switch interpreter {
	case "python", "pypy":
		return "WXQ", "cm"
	case "perl":
		return "I", "eE"
	case "ruby":
		return "IrCE", "e"
	case "php":
		return "cdzS", "rBRE"
	case "lua", "luajit":
		return "l", "e"
	case "node":
		return "r", "ep"
	case "sh":
		return "oO", "c"
	}
	return "", ""
}

// script finds the program that an interpreter was given. The command line may
// have been written over by the process itself; then this is what it wants to be
// taken for.
func (r *processReader) script(p *host.Process, cmdline []byte) {
	argv := strings.Split(strings.TrimRight(string(cmdline[:min(len(cmdline), 64<<10)]), "\x00"), "\x00")
	name, inline := scriptOf(p.Interpreter, argv)
	p.Inline = inline
	if name == "" {
		return
	}
	if !strings.HasPrefix(name, "/") {
		if p.Dir == "" {
			return
		}
		name = path.Join(p.Dir, name)
	}
	p.Script = strings.ToValidUTF8(path.Clean(name)[:min(len(path.Clean(name)), maxArgSize)], "\uFFFD")
	if hostPath(*p) {
		p.ScriptGone = p.DirGone || !r.files.Exists(strings.TrimPrefix(p.Script, "/"))
	}
}

// scriptOf reads a command line: the script's name, or whether the program came
// another way. A name with a blank or a colon at its end is a title that the
// process gave itself.
func scriptOf(interpreter string, argv []string) (name string, inline bool) {
	options, code := withValue(interpreter)
	if interpreter == "sh" && len(argv) > 1 && path.Base(argv[0]) == "busybox" {
		argv = argv[1:]
	}
	for i := 1; i < len(argv); i++ {
		arg := argv[i]
		switch {
		case arg == "-" || arg == "-s" && interpreter == "sh":
			return "", true
		case arg == "--":
			if i+1 < len(argv) {
				return argv[i+1], false
			}
			return "", true
		case interpreter == "java" && (arg == "-jar") || interpreter == "php" && arg == "-f":
			if i+1 < len(argv) {
				return argv[i+1], false
			}
			return "", false
		case strings.HasPrefix(arg, "--"):
			continue
		case strings.HasPrefix(arg, "-") || interpreter == "sh" && strings.HasPrefix(arg, "+"):
			last := arg[len(arg)-1:]
			if i := strings.IndexAny(arg[1:], code); code != "" && i >= 0 && !strings.ContainsAny(arg[1:1+i], options) {
				return "", true
			}
			if strings.Contains(options, last) && len(arg) == 2 {
				i++
			}
		case interpreter == "java":
			return "", false // a class, not a file
		default:
			return arg, false
		}
	}
	return "", len(argv) == 1 && slices.Contains([]string{"python", "perl", "ruby", "php", "lua", "node"}, interpreter)
}
