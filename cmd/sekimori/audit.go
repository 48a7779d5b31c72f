package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sekimori/internal/audit"
	"sekimori/internal/audit/words"
	"sekimori/internal/firewall"
	"sekimori/internal/host"
	"sekimori/internal/observe"
	"sekimori/internal/observe/rootfs"
	"sekimori/internal/report"
)

// auditor is the command line of an audit.
type auditor struct {
	look
	to, root, failOn, lang string
	only                   []string
	probe                  bool
	list, suggest          bool
}

// auditFormats are the ways in which an audit is told.
func auditFormats() []string { return []string{"text", "json", "sarif", "html"} }

func newAudit(io streams) *cobra.Command {
	a := auditor{look: look{streams: io, format: "text"}}
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "What is weak on this machine, worst first, and what to do about it",
		Long: `audit looks at who can reach what, the firewall, sshd, accounts and sudo, services,
updates, the kernel, logs, web servers, the integrity of files, and signs that
somebody is in already. The worst finding decides the grade: critical F, high D,
medium C, low B, none A; ? while something about who reaches this machine could
not be seen or decided.

It changes nothing and asks nobody outside. With --probe it asks this machine's
own services over loopback what they answer to a stranger.

Exit status: 0, or 3 with --fail-on where a finding is at least that severe.`,
		Example: `  sudo sekimori audit
  sudo sekimori audit --format html -o audit.html
  sekimori audit --snapshot web1.json --only ssh,exposure
  sekimori audit --root /mnt/image --lang ja
  sudo sekimori audit --fail-on high --format json
  sekimori audit --list`,
		GroupID: groupSee,
		Args:    exactly(),
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.run(cmd.Context()) },
	}
	f := cmd.Flags()
	f.Var(oneOf{&a.format, auditFormats()}, "format", "how to answer")
	f.StringVarP(&a.to, "output", "o", "", "write to `FILE`, readable by its owner only")
	f.StringVar(&a.snapshot, "snapshot", "", "audit `FILE` (sekimori snapshot) instead of this machine")
	f.StringVar(&a.root, "root", "", "audit the files below `DIR`, such as a mounted disk image")
	f.StringSliceVar(&a.only, "only", nil, "only these `SECTIONS`: "+strings.Join(sectionNames(), ", "))
	f.StringVar(&a.failOn, "fail-on", "", "exit with 3 where a finding is at least of `SEVERITY`: info, low, medium, high, critical")
	f.StringVar(&a.lang, "lang", "", "words in `LANGUAGE`: en or ja (default from LANG)")
	f.BoolVar(&a.deep, "deep", false, "compare the files of packages as well; takes minutes")
	f.BoolVar(&a.probe, "probe", false, "ask this machine's services over loopback what they answer to a stranger")
	f.BoolVar(&a.list, "list", false, "list all checks")
	f.BoolVar(&a.suggest, "suggest", false, "print lines for the policy file that would cure what is found")
	for _, name := range []string{"snapshot", "root"} {
		cmd.MarkFlagsMutuallyExclusive(name, "probe")
		cmd.MarkFlagsMutuallyExclusive(name, "list")
	}
	cmd.MarkFlagsMutuallyExclusive("snapshot", "root")
	cmd.MarkFlagsMutuallyExclusive("snapshot", "deep")
	return cmd
}

func sectionNames() []string {
	var names []string
	for _, s := range audit.Sections() {
		names = append(names, string(s))
	}
	return names
}

// language is the one that was asked for, or else the environment's, in the order
// of locale(7).
func (s streams) language(asked string) (*words.Table, error) {
	if asked != "" {
		w, err := words.Load(asked)
		if err != nil {
			return nil, usage("--lang en or --lang ja", "%w", err)
		}
		return w, nil
	}
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		if v := s.env(name); v != "" {
			return words.Load(words.Of(v))
		}
	}
	return words.Load("en")
}

func (a auditor) run(ctx context.Context) error {
	w, err := a.language(a.lang)
	if err != nil {
		return err
	}
	if a.list {
		return report.CheckList(a.out, a.style(), audit.Checks(), w)
	}
	sections, err := a.sections()
	if err != nil {
		return err
	}
	var fail *audit.Severity
	if a.failOn != "" {
		s, err := audit.ParseSeverity(a.failOn)
		if err != nil {
			return usage("--fail-on high", "--fail-on: %w", err)
		}
		fail = &s
	}
	if a.format == "html" && a.to == "" && terminal(a.out) {
		return usage("sekimori audit --format html -o audit.html", "a page is for a browser: name a file")
	}
	v, result, err := a.audit(ctx, sections)
	if err != nil {
		return err
	}
	if err := a.write(ctx, report.NewAudit(result, v.host, w), result, w); err != nil {
		return err
	}
	if worst, some := result.Worst(); fail != nil && some && worst >= *fail {
		return errFindings
	}
	return nil
}

// sections are those of --only.
func (a auditor) sections() ([]audit.Section, error) {
	var out []audit.Section
	for _, name := range a.only {
		if !slices.Contains(sectionNames(), name) {
			hint := "the sections are " + strings.Join(sectionNames(), ", ")
			if n := nearest(name, sectionNames()); n != "" {
				hint = "did you mean: --only " + n
			}
			return nil, usage(hint, "--only: there is no section %q", name)
		}
		out = append(out, audit.Section(name))
	}
	return out, nil
}

// audit looks and judges.
func (a auditor) audit(ctx context.Context, sections []audit.Section) (view, audit.Result, error) {
	v, err := a.openAudit(ctx)
	if err != nil {
		return view{}, audit.Result{}, err
	}
	if a.probe {
		err := a.while("asking this machine's services", func() error {
			v.host.Asked = observe.Ask(ctx, v.host)
			return ctx.Err()
		})
		if err != nil {
			return view{}, audit.Result{}, err
		}
	}
	var result audit.Result
	err = a.while("judging", func() error {
		result = audit.Run(audit.Input{
			Snapshot: v.host, Rules: v.rules, Saved: a.saved(ctx, v.host), Now: a.now(v.host), Only: sections,
		})
		return ctx.Err()
	})
	return v, result, err
}

// now is the time to which ages are counted: a snapshot is judged as of the moment
// at which it was taken.
func (a auditor) now(s *host.Snapshot) time.Time {
	if a.snapshot != "" {
		return s.Time
	}
	return time.Now()
}

// openAudit reads what is to be audited.
func (a auditor) openAudit(ctx context.Context) (view, error) {
	if a.snapshot != "" {
		return a.open(ctx)
	}
	o := observe.Options{Audit: true, Deep: a.deep}
	what := "this machine"
	if a.root != "" {
		what = a.root
		info, err := os.Stat(a.root)
		if err == nil && !info.IsDir() {
			err = &fs.PathError{Op: "audit", Path: a.root, Err: errors.New("not a directory")}
		}
		if err != nil {
			return view{}, err
		}
		source, ok := os.DirFS(a.root).(rootfs.Source)
		if !ok {
			return view{}, fmt.Errorf("%s: its links cannot be read", a.root)
		}
		o.Root = source
	}
	var v view
	err := a.while("reading "+what, func() error {
		s, err := observe.Host(ctx, o)
		if err != nil {
			return err
		}
		v = snapshotView(s)
		return nil
	})
	return v, err
}

// saved reads the rules that will be loaded at the next boot. What cannot be read
// has the reason.
func (l look) saved(ctx context.Context, s *host.Snapshot) []audit.SavedRules {
	var out []audit.SavedRules
	for _, f := range audit.SavedFiles(s) {
		r := audit.SavedRules{File: f.Path, Err: f.Err}
		if f.Err == "" {
			v, err := l.rulesIn(ctx, f.Path, []byte(f.Text))
			if err != nil {
				r.Err, _, _ = strings.Cut(err.Error(), "\n")
			} else {
				r.Rules, r.Families = v.rules, v.families
			}
		}
		out = append(out, r)
	}
	return out
}

// rulesIn understands the rules of a text.
func (l look) rulesIn(ctx context.Context, name string, text []byte) (view, error) {
	if kindOf(text) == kindSave {
		rules, family, err := readSave(name, text)
		return view{rules: rules, families: []firewall.Family{family}}, err
	}
	loaded, err := loadNFT(ctx, name, text)
	if err != nil {
		return view{}, err
	}
	return snapshotView(loaded), nil
}

// write answers in the format that was asked for.
func (a auditor) write(ctx context.Context, answer report.Audit, result audit.Result, w *words.Table) error {
	to := func(out io.Writer) error {
		switch {
		case a.suggest:
			text := audit.Suggest(result.Findings)
			if text == "" {
				text = "# " + w.UI("nopolicy") + "\n"
			}
			_, err := io.WriteString(out, text)
			return err
		case a.format == "json":
			return report.JSON(out, answer)
		case a.format == "sarif":
			return answer.SARIF(out, version)
		case a.format == "html":
			return answer.HTML(out)
		}
		style := a.style()
		if a.to != "" {
			style = report.Style{}
		}
		return answer.Text(out, style)
	}
	if a.to == "" || a.to == "-" {
		return to(a.out)
	}
	return a.writeFile(ctx, a.to, to)
}
