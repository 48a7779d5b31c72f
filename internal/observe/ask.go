package observe

import (
	"context"

	"sekimori/internal/host"
)

// Ask asks the services of this machine, over loopback alone, what they answer to
// somebody who has shown nothing: SSH servers, and what could serve as a reflector
// over UDP. Nothing leaves the machine.
func Ask(ctx context.Context, s *host.Snapshot) host.Asked {
	return host.Asked{UDP: askUDP(ctx, s), SSH: askSSH(ctx, s)}
}
