package rehearse

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"sekimori/internal/run"
)

// limit bounds a rehearsal.
const limit = time.Minute

// maxProbes is how many packets are sent: each has an identification of its own.
const maxProbes = 60_000

// Run tries a job out. Argv is how this program reads a job from stdin and calls
// [Inside]; it is started in namespaces of its own. The answer says of each probe
// whether it got through.
func Run(ctx context.Context, argv []string, job Job) ([]bool, error) {
	if len(job.Probes) > maxProbes {
		return nil, fmt.Errorf("%d packets to try, more than %d", len(job.Probes), maxProbes)
	}
	if !run.Installed("nft") || !run.Installed("ip") {
		return nil, errors.New("a rehearsal needs nft and ip, which are not both installed")
	}
	var err error
	if job.Outside, err = namespace(); err != nil {
		return nil, err
	}
	in, err := json.Marshal(job)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	out, err := run.Command{Argv: argv, Path: "/proc/self/exe", Stdin: in, Isolated: true}.Output(ctx)
	if err != nil {
		return nil, fmt.Errorf("rehearse: %w", err)
	}
	var passed []bool
	if err := json.Unmarshal(out, &passed); err != nil {
		return nil, fmt.Errorf("rehearse: the answer cannot be read: %w", err)
	}
	if len(passed) != len(job.Probes) {
		return nil, fmt.Errorf("rehearse: %d answers to %d packets", len(passed), len(job.Probes))
	}
	return passed, nil
}

// namespace identifies the network namespace of this thread.
func namespace() (string, error) { return os.Readlink("/proc/thread-self/ns/net") }
