package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"sekimori/internal/exposure"
	"sekimori/internal/plan"
	"sekimori/policy"
)

// starter is the command that writes a first policy.
type starter struct {
	look
	output string
	yes    bool
}

func newInit(io streams) *cobra.Command {
	s := starter{look: look{streams: io}}
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Write a first policy from what this machine does now",
		Long: `init writes a policy from what the machine does now: zones from its interfaces and
routes, a rule for each service that should stay reachable, and ssh from the
network of your own session. Each line says why it is there. What can be reached
and is seldom meant to be (a database, say) is written as a comment.

On a terminal it asks; --yes takes what it would do without an answer. An existing
file is never overwritten. Nothing is brought into force, and the result, unedited,
does not shut out the session that wrote it.`,
		Example: `  sudo sekimori init
  sekimori init --yes -o -
  sekimori init --snapshot web1.json -o web1.yaml`,
		GroupID: groupDecide,
		Args:    exactly(),
		RunE:    func(cmd *cobra.Command, _ []string) error { return s.run(cmd.Context()) },
	}
	cmd.Flags().StringVar(&s.snapshot, "snapshot", "", "write it for the host of `FILE` (sekimori snapshot) instead of this machine")
	cmd.Flags().StringVarP(&s.output, "output", "o", policyPath, "the `FILE` to write, - for stdout")
	cmd.Flags().BoolVarP(&s.yes, "yes", "y", false, "ask nothing")
	return cmd
}

func (s starter) run(ctx context.Context) error {
	if _, err := os.Lstat(s.output); s.output != "-" && err == nil {
		return exists(s.output)
	}
	v, err := s.open(ctx)
	if err != nil {
		return err
	}
	var logins []plan.Session
	if s.snapshot == "" {
		logins = sessions(os.DirFS("/"), os.Getpid(), s.env)
	}
	var d plan.Draft
	err = s.while("evaluating the rules", func() error {
		exposed := exposure.Evaluate(v.host, v.rules, 0, v.families...)
		d = plan.NewDraft(v.host, exposed, v.rules, logins)
		return nil
	})
	if err != nil {
		return err
	}
	if !s.yes && terminal(s.in) && terminal(s.err) {
		if err := s.ask(&d); err != nil {
			return err
		}
	}
	text := []byte(d.Text())
	f, err := policy.Parse(s.output, text)
	if err != nil {
		return fmt.Errorf("the policy that was worked out is wrong; please report it with a snapshot: %w", err)
	}
	if s.output == "-" {
		_, err := s.out.Write(text)
		return err
	}
	if err := createFile(s.output, text); err != nil {
		return err
	}
	fmt.Fprintf(s.err, "%s was written: %d rules; nothing is in force yet\n", s.output, len(f.Policy.Inbound))
	for _, c := range logins {
		gone := ""
		if c.Stale {
			gone = "; that connection is not open any more"
		}
		fmt.Fprintf(s.err, "your ssh session comes from %s, by %s%s\n", c.Client.Addr(), c.From, gone)
	}
	fmt.Fprintf(s.err, "Next: read it, then see what it would change: sekimori plan%s\n", fileArgument(s.output))
	return nil
}

// fileArgument is how a policy is named to another command.
func fileArgument(name string) string {
	if name == policyPath {
		return ""
	}
	return " " + name
}

func exists(name string) error {
	return hinted(fmt.Errorf("%s is there already, and init overwrites nothing", name),
		"sekimori init -o - shows what it would write", "sekimori allow and remove change the policy that is there")
}

// createFile writes a new file. It comes to be whole or not at all, and takes no
// other's place.
func createFile(name string, text []byte) error {
	dir := filepath.Dir(name)
	if name == policyPath {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	f, err := os.CreateTemp(dir, "."+filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	// Unlike a rename, a link fails where something is there.
	err = os.Link(f.Name(), name)
	if errors.Is(err, fs.ErrExist) {
		return exists(name)
	}
	if err != nil {
		return err
	}
	return syncDirectory(dir)
}

// errUnanswered ends a dialogue whose other side is gone.
var errUnanswered = errors.New("no answer; nothing was written")

// ask goes through what can be decided.
func (s starter) ask(d *plan.Draft) error {
	in := bufio.NewReader(s.in)
	if len(d.Admins) > 0 {
		var nets []string
		for _, n := range d.Admins {
			nets = append(nets, n.Prefix.String())
		}
		only, err := s.question(in, fmt.Sprintf("Shall ssh be reachable from %s only? (No: from anywhere, 6 a minute for each source)", strings.Join(nets, ", ")), true)
		if err != nil {
			return err
		}
		d.Anywhere, d.SSHWhy = !only, "from anywhere, slowly: said so when this was written"
	}
	for i := range d.Offers {
		o := &d.Offers[i]
		if o.Must {
			continue
		}
		var err error
		if o.Keep, err = s.question(in, fmt.Sprintf("%s (%s)?", o, o.Why), o.Keep); err != nil {
			return err
		}
	}
	return nil
}

// question asks until yes or no, or an empty line for the default. The end of the
// input is no answer.
func (s starter) question(in *bufio.Reader, text string, normal bool) (bool, error) {
	choice := "[y/N]"
	if normal {
		choice = "[Y/n]"
	}
	for {
		fmt.Fprintf(s.err, "%s %s ", text, choice)
		line, err := in.ReadBytes('\n')
		if err != nil {
			fmt.Fprintln(s.err)
			if errors.Is(err, io.EOF) {
				return false, errUnanswered
			}
			return false, err
		}
		switch strings.ToLower(string(bytes.TrimSpace(line))) {
		case "":
			return normal, nil
		case "y", "yes":
			return true, nil
		case "n", "no":
			return false, nil
		}
		fmt.Fprintln(s.err, "yes or no, please")
	}
}
