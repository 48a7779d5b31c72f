//go:build linux

package lab

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// SSH is a real sshd on a host, with a key that opens a session as the user that
// the test is.
type SSH struct {
	host *Host
	dir  string
	port int
}

// ServeSSH starts OpenSSH's sshd on every address of the host and waits until it
// listens.
func (h *Host) ServeSSH(port int) *SSH {
	h.tb.Helper()
	Need(h.tb, "sshd", "ssh", "ssh-keygen")
	dir, err := os.MkdirTemp("/run", "ssh")
	if err != nil {
		h.tb.Fatal(err)
	}
	for _, key := range []string{"host", "user"} {
		Run(h.tb, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, key))
	}
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil { // where sshd locks itself in
		h.tb.Fatal(err)
	}
	config := fmt.Sprintf("Port %d\nHostKey %s/host\nAuthorizedKeysFile %s/user.pub\nStrictModes no\nUsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\nPidFile none\nAcceptEnv *\nUseDNS no\n", port, dir, dir)
	if err := os.WriteFile(filepath.Join(dir, "sshd_config"), []byte(config), 0o600); err != nil {
		h.tb.Fatal(err)
	}
	sshd, err := exec.LookPath("sshd")
	if err != nil {
		h.tb.Fatal(err)
	}
	h.ownAccounts()
	s := &SSH{h, dir, port}
	s.start(sshd, "-D", "-e", "-f", filepath.Join(dir, "sshd_config"))
	for range 100 {
		var c net.Conn
		h.Do(func() { c, err = net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port)) })
		if err == nil {
			c.Close()
			return s
		}
		time.Sleep(50 * time.Millisecond)
	}
	h.tb.Fatalf("sshd does not listen: %v", err)
	return nil
}

// ownAccounts puts files of the lab in the place of the machine's, in which the
// user that sshd becomes is one that there is (the user namespace of an ordinary
// user has no other than the caller), and root's account is not locked.
func (h *Host) ownAccounts() {
	h.tb.Helper()
	if _, err := os.Stat("/run/passwd"); err == nil {
		return
	}
	for name, text := range map[string]string{
		"passwd": "root:x:0:0:root:/root:/bin/sh\nsshd:x:0:0::/run/sshd:/usr/sbin/nologin\n",
		"shadow": "root:*:20000:0:99999:7:::\n",
	} {
		if err := os.WriteFile("/run/"+name, []byte(text), 0o644); err != nil {
			h.tb.Fatal(err)
		}
		if err := unix.Mount("/run/"+name, "/etc/"+name, "", unix.MS_BIND, ""); err != nil {
			h.tb.Fatal(err)
		}
	}
}

// start starts sshd so that it may work without root: it wants to give up its
// groups, which a user namespace of an ordinary user does not let it do. Giving up
// none is then taken for done.
func (s *SSH) start(argv ...string) {
	s.host.tb.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	log, err := os.Create(filepath.Join(s.dir, "log"))
	if err != nil {
		s.host.tb.Fatal(err)
	}
	cmd.Stderr = log
	started := make(chan error)
	s.host.Do(func() {
		ns := openNS(s.host.tb, "/proc/thread-self/ns/net")
		defer unix.Close(ns)
		go func() {
			// The filter stays with the thread, which therefore must not be used again:
			// it ends with this goroutine.
			runtime.LockOSThread()
			err := unix.Setns(ns, unix.CLONE_NEWNET)
			if err == nil {
				err = pretendSetgroups()
			}
			if err == nil {
				err = cmd.Start()
			}
			started <- err
			_ = cmd.Wait() // it is killed
		}()
		err = <-started
	})
	if err != nil {
		s.host.tb.Fatal(err)
	}
	s.host.tb.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		log.Close()
		if text, err := os.ReadFile(log.Name()); err == nil && s.host.tb.Failed() {
			s.host.tb.Logf("sshd said:\n%s", text)
		}
	})
}

// pretendSetgroups makes setgroups(2) do nothing and succeed, for this thread and
// the programs that it starts.
func pretendSetgroups() error {
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // the number of the system call
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: unix.SYS_SETGROUPS},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO}, // with error 0
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	prog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no new privileges: %w", err)
	}
	if _, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&prog))); errno != 0 {
		return fmt.Errorf("seccomp: %w", errno)
	}
	return nil
}

// Client is the command line by which another host opens a session there, to be
// followed by options or a command.
func (s *SSH) Client(address string, options ...string) []string {
	argv := []string{
		"ssh", "-F", "none", "-i", filepath.Join(s.dir, "user"), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
		"-o", "LogLevel=ERROR", "-o", "BatchMode=yes", "-o", "ConnectTimeout=5", "-p", fmt.Sprint(s.port),
	}
	return append(append(argv, options...), "root@"+strings.Trim(address, "[]"))
}

// Login opens a session from a host and returns what a command prints there.
func (s *SSH) Login(from *Host, address string, command string) (string, error) {
	s.host.tb.Helper()
	return from.Try("", append(s.Client(address, "-o", "ConnectTimeout=20"), command)...)
}

// Silent reports whether a host gets no answer from sshd at all, for a second.
func (s *SSH) Silent(from *Host, address string) bool {
	s.host.tb.Helper()
	_, err := from.AskFor(time.Second, "tcp", netip.Addr{}, net.JoinHostPort(address, fmt.Sprint(s.port)))
	return errors.Is(err, ErrSilence)
}

// Session is an open session that says back what it is told.
type Session struct {
	stdin io.WriteCloser
	lines chan string // closed when the session ends
}

// Open opens a session from a host and keeps it open until the test ends.
func (s *SSH) Open(from *Host, address string, options ...string) *Session {
	s.host.tb.Helper()
	argv := append(s.Client(address, options...), "cat")
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		s.host.tb.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		s.host.tb.Fatal(err)
	}
	from.Do(func() { err = cmd.Start() })
	if err != nil {
		s.host.tb.Fatal(err)
	}
	session := &Session{stdin, make(chan string, 100)}
	go func() {
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			session.lines <- lines.Text()
		}
		close(session.lines)
	}()
	s.host.tb.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()         // it was killed
	})
	if err := session.Echo("hello"); err != nil {
		s.host.tb.Fatalf("session from %s: %v", from.Name, err)
	}
	return session
}

// Echo sends a word through the session and waits until it is back.
func (s *Session) Echo(word string) error {
	if _, err := io.WriteString(s.stdin, word+"\n"); err != nil {
		return err
	}
	select {
	case line, open := <-s.lines:
		if !open || line != word {
			return fmt.Errorf("%q came back as %q, session open: %v", word, line, open)
		}
		return nil
	case <-time.After(10 * time.Second):
		return fmt.Errorf("%q: %w", word, ErrSilence)
	}
}
