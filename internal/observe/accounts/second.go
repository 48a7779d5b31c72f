package accounts

import (
	"context"
	"time"

	"sekimori/internal/host"
	"sekimori/internal/run"
)

// Bounds of what sshd is asked.
const (
	maxAsked  = 8
	sshdTime  = 3 * time.Second
	askedFrom = "203.0.113.1" // of documentation: anybody
)

// second asks the installed sshd what it takes its configuration for: outside all
// Match blocks, and for accounts that can log in. It reads the same files and
// changes nothing.
func second(ctx context.Context, binary string, list []host.Account) []host.SSHDump {
	if binary == "" {
		return nil
	}
	asked := []host.SSHDump{{}}
	for _, a := range list {
		if a.LoginShell && len(asked) < maxAsked {
			asked = append(asked, host.SSHDump{User: a.Name, Addr: askedFrom, LocalAddr: "192.0.2.1", LocalPort: 22})
		}
	}
	ctx, cancel := context.WithTimeout(ctx, sshdTime)
	defer cancel()
	for i := range asked {
		d := &asked[i]
		argv := []string{binary, "-T"}
		if d.User != "" {
			argv = append(argv, "-C", "user="+d.User+",host="+d.Addr+",addr="+d.Addr+",laddr="+d.LocalAddr+",lport=22,rdomain=")
		}
		out, err := run.Command{Argv: argv, Limit: 1 << 20}.Output(ctx)
		if err != nil {
			d.Err = err.Error()
			return asked[:i+1] // it would say the same of the others
		}
		d.Text = string(out)
	}
	return asked
}
