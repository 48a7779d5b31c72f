package observe_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sekimori/internal/host"
	"sekimori/internal/observe"
)

func audited(t testing.TB) *host.Snapshot {
	t.Helper()
	s, err := observe.Host(t.Context(), observe.Options{Audit: true})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// plant starts a program until the end of the test and waits until it is that.
func plant(t *testing.T, cmd *exec.Cmd) int {
	t.Helper()
	in, err := cmd.StdinPipe() // it ends with the test, whatever happens
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if _, err := in.Write([]byte("x\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 2)); err != nil {
		t.Fatalf("%s: %v", cmd.Path, err)
	}
	return cmd.Process.Pid
}

func process(t *testing.T, s *host.Snapshot, pid int) host.Process {
	t.Helper()
	i := slices.IndexFunc(s.Processes, func(p host.Process) bool { return p.PID == pid })
	if i < 0 {
		t.Fatalf("process %d is not in the snapshot", pid)
	}
	return s.Processes[i]
}

// TestPlanted: what intruders do, done here: a program that was deleted, one that
// never had a file, a script in a removed directory, a forced library, many
// connections to one port.
func TestPlanted(t *testing.T) {
	cat, err := exec.LookPath("cat")
	if err != nil {
		t.Fatal(err)
	}
	code, err := os.ReadFile(cat)
	if err != nil {
		t.Fatal(err)
	}
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}

	gone := filepath.Join(dir, "gone")
	if err := os.WriteFile(gone, code, 0o755); err != nil {
		t.Fatal(err)
	}
	deleted := plant(t, exec.Command(gone))
	if err := os.Remove(gone); err != nil {
		t.Fatal(err)
	}

	fd, err := unix.MemfdCreate("kworker", 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Write(fd, code); err != nil {
		t.Fatal(err)
	}
	memory := &exec.Cmd{Path: fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), fd), Args: []string{"[kworker/0:1]"}}
	inMemory := plant(t, memory)
	unix.Close(fd)

	work := filepath.Join(dir, ".x")
	if err := os.Mkdir(work, 0o755); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	port := listener.Addr().(*net.TCPAddr).Port
	script := filepath.Join(work, "bot.py")
	text := fmt.Sprintf("import socket,sys\nc=[socket.create_connection(('127.0.0.1',%d)) for _ in range(5)]\nfor l in sys.stdin: sys.stdout.write('y\\n'); sys.stdout.flush()\n", port)
	if err := os.WriteFile(script, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	bot := exec.Command(python, "-u", "bot.py", "--token", "hunter2")
	bot.Dir, bot.Env = work, append(os.Environ(), "LD_PRELOAD=/nowhere/evil.so", "SECRET=hunter2")
	botPID := plant(t, bot)
	if err := os.RemoveAll(work); err != nil {
		t.Fatal(err)
	}

	s := audited(t)
	if p := process(t, s, deleted); !p.Deleted || p.Exe != gone || p.Memory || p.Package != "" || p.PPID != os.Getpid() {
		t.Errorf("a deleted program: %+v", p)
	}
	if p := process(t, s, inMemory); !p.Memory || p.Name == "" || p.Argv[0] != "[kworker/0:1]" {
		t.Errorf("a program without a file: %+v", p)
	}
	p := process(t, s, botPID)
	if p.Interpreter != "python" || p.Script != script || !p.ScriptGone || !p.DirGone || p.Inline || !slices.Equal(p.Preload, []string{"/nowhere/evil.so"}) {
		t.Errorf("a script: %+v", p)
	}
	if since := time.Since(p.Started); since < 0 || since > time.Hour {
		t.Errorf("it began %v ago", since)
	}
	if strings.Contains(fmt.Sprintf("%+v", p), "hunter2") {
		t.Errorf("a secret: %+v", p)
	}
	i := slices.IndexFunc(s.Outbound, func(o host.Outbound) bool { return o.PID == botPID && int(o.Port) == port })
	if i < 0 || s.Outbound[i].Connections != 5 || s.Outbound[i].Peers != 1 || !s.Outbound[i].Local {
		t.Errorf("its connections: %+v", s.Outbound)
	}
	in := slices.IndexFunc(s.Inbound, func(c host.Inbound) bool { return int(c.Local.Port()) == port })
	if in < 0 {
		t.Errorf("the other end: %+v", s.Inbound)
	}
	// The kernel's own threads are none.
	for _, p := range s.Processes {
		if p.PPID == 2 && p.Exe == "" {
			t.Errorf("a thread of the kernel: %+v", p)
		}
	}
}

// TestAuditedIsMore: an audit sees what reachability sees, and more; what it has
// not looked at is not taken for empty.
func TestAuditedIsMore(t *testing.T) {
	plain, whole := live(t), audited(t)
	if plain.Audited || !whole.Audited || !plain.Misses(host.SectionUpdates) {
		t.Error("which of both was an audit does not show")
	}
	if len(plain.Accounts)+len(plain.Units)+len(plain.Packages) > 0 {
		t.Error("without an audit, its parts are read")
	}
	if len(whole.Accounts) == 0 || len(whole.Mounts) == 0 || len(whole.Processes) <= len(plain.Processes) {
		t.Errorf("%d accounts, %d mounts, %d processes (%d own sockets)", len(whole.Accounts), len(whole.Mounts), len(whole.Processes), len(plain.Processes))
	}
	// Saved and read again it is the same to the last byte.
	var once, twice strings.Builder
	if err := host.Write(&once, whole); err != nil {
		t.Fatal(err)
	}
	again, err := host.Read(strings.NewReader(once.String()))
	if err != nil {
		t.Fatal(err)
	}
	if err := host.Write(&twice, again); err != nil {
		t.Fatal(err)
	}
	if once.String() != twice.String() {
		t.Error("saved and read again, the snapshot is another one")
	}
}
