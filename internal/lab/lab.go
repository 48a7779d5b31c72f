//go:build linux

// Package lab runs tests inside network namespaces of their own, so that they
// can load real firewalls, make real links and send real packets without root
// and without touching the machine they run on.
//
// A package that has kernel tests hands its TestMain to [Main] and puts the
// body of each such test into [Enter]:
//
//	func TestMain(m *testing.M) { lab.Main(m) }
//
//	func TestDrop(t *testing.T) {
//		lab.Enter(t, func(t *testing.T) {
//			lab.LoadNFT(t, "table inet t { chain c { type filter hook input priority 0; policy drop; }; }")
//			…
//		})
//	}
//
// Outside, Enter runs the test binary again for just that test, in new user,
// network and mount namespaces, and passes or fails with it. Inside, lo is up,
// /run is an empty tmpfs (so xtables.lock and netns names are the test's own)
// and the caller is root over its own network and nothing else. Benchmarks run
// inside as well: with -test.bench set, Main moves the whole process.
//
// Where the kernel refuses namespaces the test is skipped and says so; with
// SEKIMORI_LAB=require in the environment it fails instead.
package lab

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// envOutside carries the inode of the network namespace that the child was
	// started from. A child that still sees that inode is not in a lab.
	envOutside = "SEKIMORI_LAB_OUTSIDE"
	// envPolicy is set to "require" where a skipped kernel test is a failure.
	envPolicy = "SEKIMORI_LAB"
	// exitSetup is how a child says that its namespaces are of no use, which is
	// a reason to skip, in contrast to a test that failed.
	exitSetup = 77
)

// Main runs the tests of a package; call it from TestMain. It does not return.
func Main(m *testing.M) {
	if !flag.Parsed() {
		flag.Parse()
	}
	switch {
	case os.Getenv(envOutside) != "":
		if err := setup(); err != nil {
			fmt.Fprintln(os.Stderr, "lab:", err)
			os.Exit(exitSetup)
		}
	case benchmarking():
		os.Exit(moveWhole())
	}
	os.Exit(m.Run())
}

func benchmarking() bool {
	f := flag.Lookup("test.bench")
	return f != nil && f.Value.String() != ""
}

// moveWhole runs this whole process again inside; benchmarks cannot be handed
// to a child one by one, because the child would print their results twice.
func moveWhole() int {
	cmd := command(false, os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
		return 1
	}
	return 0
}

// Enter runs body inside a fresh user, network and mount namespace.
func Enter(t *testing.T, body func(t *testing.T)) { t.Helper(); enter(t, false, body) }

// EnterRoot is [Enter] without the user namespace: the caller keeps root's own
// capabilities (loading BPF programs asks for those) over a network of its own.
// Without root the test is skipped.
func EnterRoot(t *testing.T, body func(t *testing.T)) {
	t.Helper()
	if os.Geteuid() != 0 {
		Unavailable(t, "this test needs root outside of a user namespace")
	}
	enter(t, true, body)
}

func enter(t *testing.T, asRoot bool, body func(t *testing.T)) {
	t.Helper()
	if Inside() {
		body(t)
		return
	}
	args := []string{"-test.run=" + pattern(t.Name()), "-test.v", "-test.count=1"}
	if deadline, ok := t.Deadline(); ok {
		args = append(args, "-test.timeout="+max(time.Until(deadline)-time.Second, time.Second).String())
	}
	if testing.Short() {
		args = append(args, "-test.short")
	}
	cmd := command(asRoot, args...)
	out, err := cmd.CombinedOutput()
	text := string(out)
	exit, exited := errors.AsType[*exec.ExitError](err)
	switch {
	case exited && exit.ExitCode() == exitSetup, err != nil && !exited:
		Unavailable(t, fmt.Sprintf("no namespaces here: %v: %s", err, text))
	case err != nil:
		t.Fatalf("inside: %v\n%s", err, text)
	case strings.Contains(text, "--- SKIP: "+t.Name()+" "):
		t.Skipf("inside:\n%s", text)
	case !strings.Contains(text, "--- PASS: "+t.Name()+" "):
		t.Fatalf("inside: the test did not run:\n%s", text)
	}
	t.Logf("inside:\n%s", text)
}

// pattern is the -test.run expression for exactly one test or subtest.
func pattern(name string) string {
	parts := strings.Split(name, "/")
	for i, p := range parts {
		parts[i] = "^" + regexp.QuoteMeta(p) + "$"
	}
	return strings.Join(parts, "/")
}

// command prepares this binary to run in namespaces of its own.
func command(asRoot bool, args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), envOutside+"="+netnsInode())
	// The network namespace comes after the user namespace has its ids: files of
	// /proc/net that are root's (the names of legacy tables) are given then to
	// the id that is root by that time.
	attr := &syscall.SysProcAttr{
		Unshareflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS,
		Pdeathsig:    syscall.SIGKILL,
	}
	if !asRoot {
		// Root can hand all its ids in, so that tests may change to other users.
		size := 1
		if os.Geteuid() == 0 {
			size = 65536
		}
		attr.Cloneflags = syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: size}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: size}}
		attr.GidMappingsEnableSetgroups = os.Geteuid() == 0
	}
	cmd.SysProcAttr = attr
	return cmd
}

func netnsInode() string {
	var st unix.Stat_t
	if err := unix.Stat("/proc/self/ns/net", &st); err != nil {
		return "unknown"
	}
	return fmt.Sprint(st.Ino)
}

// Inside reports whether this process runs in a lab: it was started by one, and
// its network namespace really is another one.
func Inside() bool {
	outside := os.Getenv(envOutside)
	return outside != "" && outside != "unknown" && outside != netnsInode()
}

// setup prepares the namespaces of a child.
func setup() error {
	if !Inside() {
		return errors.New("still in the network namespace outside")
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("lab", "/run", "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mount a tmpfs on /run: %w", err)
	}
	return linkUp("lo")
}

// linkUp sets IFF_UP by ioctl (netdevice(7)), which needs no tool.
func linkUp(name string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq(name)
	if err != nil {
		return fmt.Errorf("interface %s: %w", name, err)
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, req); err != nil {
		return fmt.Errorf("flags of %s: %w", name, err)
	}
	req.SetUint16(req.Uint16() | unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, req); err != nil {
		return fmt.Errorf("set %s up: %w", name, err)
	}
	return nil
}

// Unavailable ends a test that lacks something of its surroundings: a skip, or
// a failure where SEKIMORI_LAB=require.
func Unavailable(tb testing.TB, why string) {
	tb.Helper()
	if os.Getenv(envPolicy) == "require" {
		tb.Fatalf("lab: %s (SEKIMORI_LAB=require)", why)
	}
	tb.Skipf("lab: %s", why)
}

// Need ends the test as [Unavailable] does unless all commands are installed.
func Need(tb testing.TB, commands ...string) {
	tb.Helper()
	for _, c := range commands {
		if _, err := exec.LookPath(c); err != nil {
			Unavailable(tb, "command "+c+" is not installed")
		}
	}
}

// In runs body in the named network namespace (see [Netns]) and comes back.
// What body starts (goroutines aside, which run on other threads) belongs to
// that namespace: sockets stay there, and so do processes.
func In(tb testing.TB, name string, body func()) {
	tb.Helper()
	runtime.LockOSThread()
	home := openNS(tb, "/proc/thread-self/ns/net")
	defer unix.Close(home)
	there := openNS(tb, "/run/netns/"+name)
	defer unix.Close(there)
	if err := unix.Setns(there, unix.CLONE_NEWNET); err != nil {
		tb.Fatalf("enter namespace %s: %v", name, err)
	}
	defer func() {
		// A thread that cannot come home must die with its goroutine: it stays locked.
		if err := unix.Setns(home, unix.CLONE_NEWNET); err != nil {
			tb.Errorf("leave namespace %s: %v", name, err)
			return
		}
		runtime.UnlockOSThread()
	}()
	body()
}

func openNS(tb testing.TB, path string) int {
	tb.Helper()
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		tb.Fatalf("open %s: %v", path, err)
	}
	return fd
}
