package run

import (
	"os"
	"os/exec"
	"syscall"
)

// isolate puts the program into network and mount namespaces of its own, as
// `unshare -nm` does; without root also into a user namespace, where it is root.
// (Root needs none, and root of a user namespace may not raise the size of the
// messages by which large rulesets are loaded.)
func isolate(cmd *exec.Cmd) error {
	attr := &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS,
		Pdeathsig:  syscall.SIGKILL,
	}
	if os.Geteuid() != 0 {
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	cmd.SysProcAttr = attr
	return nil
}
