package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sekimori/internal/compile"
	"sekimori/internal/firewall/acl"
	"sekimori/internal/observe"
	"sekimori/internal/plan"
	"sekimori/internal/report"
	"sekimori/policy"
)

// compiler is the command that compiles a policy.
type compiler struct {
	look
	target, facts, lang, directory string
	options                        acl.Options
}

func newCompile(io streams) *cobra.Command {
	c := compiler{look: look{streams: io}}
	cmd := &cobra.Command{
		Use:   "compile [FILE] --to TARGET",
		Short: "The policy in the language of nftables, iptables, ipfw or Windows, proven",
		Long: `compile writes the policy in a packet filter's own language to stdout, ready to
load by hand. The text is read back by a reader that shares nothing with the writer,
and its meaning compared with the policy's for all packets: where the two differ,
there is no text. Stderr says what was proven.

The same policy, facts and lists give the same bytes on every machine. Facts are what
the text of a policy leaves open: on which interfaces a DHCP client runs, the numbers
of users. They come from a snapshot, or with --facts live from this machine; without
them no DHCP client is assumed.

With -o, DIRECTORY gets every file of that packet filter, and paste.txt: one block to
paste into a root shell, which writes the files, loads them, and has them loaded at
boot.`,
		Example: `  sekimori compile --to nftables --facts live > policy.nft
  sekimori compile policy.yaml --to windows -o out/
  sekimori compile --to iptables --complete > rules.v4`,
		GroupID: groupDecide,
		Args:    atMost(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return c.run(cmd.Context(), policyName(args)) },
	}
	c.formatFlag(cmd)
	f := cmd.Flags()
	var targets []string
	for _, t := range compile.Targets() {
		targets = append(targets, string(t))
	}
	f.Var(oneOf{&c.target, targets}, "to", "the packet filter to write for")
	c.lang = "en"
	f.Var(oneOf{&c.lang, []string{"en", "ja"}}, "lang", "the language of the comments")
	f.StringVar(&c.facts, "facts", "", "the host it is for: a snapshot `FILE`, or live")
	f.StringVarP(&c.directory, "output", "o", "", "write all files into `DIRECTORY`, and a block to paste into a shell")
	f.BoolVar(&c.options.Complete, "complete", false, "a file that stands for everything on the host, as iptables-persistent loads it")
	f.BoolVar(&c.options.Degrade, "degrade", false, "leave out what the packet filter has no words for; it then admits less, never more")
	f.BoolVar(&c.options.Exclusive, "exclusive", false, "turn off rules of others that would add to these (windows)")
	for flag, values := range map[string][]string{"to": targets, "lang": {"en", "ja"}} {
		if err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)); err != nil {
			panic(err) // the flag was added above
		}
	}
	return cmd
}

func (c *compiler) run(ctx context.Context, name string) error {
	if c.target == "" {
		var targets []string
		for _, t := range compile.Targets() {
			targets = append(targets, string(t))
		}
		return usage("sekimori compile --to nftables", "compile needs --to, one of %s", strings.Join(targets, ", "))
	}
	f, lists, err := c.openLists(name)
	if err != nil {
		return err
	}
	facts, err := c.readFacts(ctx, f)
	if err != nil {
		return err
	}
	c.options.Lang, c.options.Separate = c.lang, c.directory != ""
	var r *compile.Result
	start := time.Now()
	err = c.while("proving", func() (err error) {
		r, err = compile.Compile(f, lists, facts, compile.Target(c.target), c.options)
		return err
	})
	if err != nil {
		return notCompiled(name, err)
	}
	answer := report.NewCompiled(shown(name), r, time.Since(start))
	if c.directory != "" {
		if err := c.write(ctx, &answer, r); err != nil {
			return err
		}
	}
	if c.format == "json" {
		return report.JSON(c.out, answer)
	}
	if c.directory == "" {
		if _, err := c.out.Write(r.Text()); err != nil {
			return err
		}
	}
	return answer.Text(c.err, report.Style{Colour: terminal(c.err) && c.env("NO_COLOR") == ""})
}

// openLists reads a policy and the files that it names.
func (s streams) openLists(name string) (*policy.File, compile.Lists, error) {
	f, err := s.openPolicy(name)
	if err != nil {
		return nil, nil, err
	}
	lists, err := f.Lists(readListFile(name))
	if err != nil {
		return nil, nil, faulty(name, err)
	}
	return f, lists, nil
}

// readFacts reads what --facts names.
func (c *compiler) readFacts(ctx context.Context, f *policy.File) (policy.Host, error) {
	switch c.facts {
	case "":
		return policy.Host{}, nil
	case "live":
		s, err := observe.Host(ctx, observe.Options{})
		if err != nil {
			return policy.Host{}, err
		}
		facts := plan.Facts(s)
		addUsers(&facts, f)
		return facts, nil
	}
	s, err := c.readSnapshot(c.facts)
	if err != nil {
		return policy.Host{}, err
	}
	return plan.Facts(s), nil
}

// addUsers looks up the users and groups that a policy names on this machine. One
// that is not there is left out: whoever needs it says so, with the line.
func addUsers(facts *policy.Host, f *policy.File) {
	if f.Policy.Outbound == nil {
		return
	}
	for _, r := range f.Policy.Outbound.Rules {
		for _, u := range slices.Concat(r.Users, r.ExceptUsers) {
			if found, err := user.Lookup(string(u)); err == nil {
				if n, err := strconv.ParseUint(found.Uid, 10, 32); err == nil {
					facts.Users[string(u)] = uint32(n)
				}
			}
		}
		for _, g := range slices.Concat(r.Groups, r.ExceptGroups) {
			if found, err := user.LookupGroup(string(g)); err == nil {
				if n, err := strconv.ParseUint(found.Gid, 10, 32); err == nil {
					facts.Groups[string(g)] = uint32(n)
				}
			}
		}
	}
}

// notCompiled is the error about a policy without a text, with its lines.
func notCompiled(name string, err error) error {
	if lacking, ok := errors.AsType[acl.UnsupportedList](err); ok {
		return hinted(fmt.Errorf("%s cannot be said in that language:\n%w", shown(name), lacking),
			"--degrade leaves that out: the text then admits less than the policy, never more, and says so")
	}
	text, rest, found := strings.Cut(err.Error(), "\nhint: ")
	if found {
		return hinted(fmt.Errorf("%s: %s", shown(name), text), strings.Split(rest, "\nhint: ")...)
	}
	return fmt.Errorf("%s: %w", shown(name), err)
}

// write puts every file into the directory, and the block to paste.
func (c *compiler) write(ctx context.Context, answer *report.Compiled, r *compile.Result) error {
	if err := os.MkdirAll(c.directory, 0o755); err != nil {
		return err
	}
	files := append(slices.Clone(r.Files), acl.File{Name: "paste.txt", Text: pasteBlock(r.Target, r.Files, c.options.Complete)})
	for _, f := range files {
		// Where the files are for is a matter of the block; here they stand side by side.
		path := filepath.Join(c.directory, filepath.Base(f.Name))
		err := c.writeFile(ctx, path, writeAll(f.Text))
		if err != nil {
			return err
		}
		answer.Written = append(answer.Written, path)
	}
	return nil
}
