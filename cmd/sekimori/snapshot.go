package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"sekimori/internal/host"
)

func newSnapshot(streams streams) *cobra.Command {
	l := look{streams: streams, whole: true}
	var to string
	cmd := &cobra.Command{
		Use:   "snapshot",
		Short: "Save all that can be seen, to look at it later or elsewhere",
		Long: `snapshot saves everything that can be seen of this machine as one JSON file:
sockets and their owners, interfaces, routes, neighbours, all packet filters, and
what an audit asks about: accounts, sshd, sudo, units, packages, logs and more.
Other commands read it with --snapshot, on Linux, macOS, FreeBSD and Windows.
Password hashes, keys and secret-looking arguments of processes are left out.`,
		Example: `  sudo sekimori snapshot -o web1.json
  sekimori ports --snapshot web1.json
  ssh web1 sudo sekimori snapshot | sekimori ports --snapshot -`,
		GroupID: groupKeep,
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if to == "" && terminal(l.out) {
				return usage("sekimori snapshot -o host.json", "a snapshot is long, and not for the eye: name a file")
			}
			v, err := l.open(cmd.Context())
			if err != nil {
				return err
			}
			if to == "" || to == "-" {
				return host.Write(l.out, v.host)
			}
			if err := l.writeFile(cmd.Context(), to, func(w io.Writer) error { return host.Write(w, v.host) }); err != nil {
				return err
			}
			fmt.Fprintln(l.err, "sekimori:", summary(to, v.host))
			return nil
		},
	}
	cmd.Flags().BoolVar(&l.deep, "deep", false, "compare the files of packages as well; takes minutes")
	cmd.Flags().StringVarP(&to, "output", "o", "", "write to `FILE`, readable by its owner only")
	return cmd
}

func summary(file string, s *host.Snapshot) string {
	text := fmt.Sprintf("%s: %d sockets, %d processes, %d interfaces", file, len(s.Sockets), len(s.Processes), len(s.Interfaces))
	if len(s.Unseen) == 0 {
		return text
	}
	var missing []string
	for _, u := range s.Unseen {
		missing = append(missing, u.Section+" ("+u.Reason+")")
	}
	return text + "; not seen: " + strings.Join(missing, ", ")
}
