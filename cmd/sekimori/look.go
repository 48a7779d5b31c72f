package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"sekimori/internal/firewall"
	"sekimori/internal/firewall/kernel"
	"sekimori/internal/host"
	"sekimori/internal/observe"
)

// look is what a command looks at, and how it answers.
type look struct {
	streams
	snapshot string   // a file instead of this machine
	rulesets []string // files instead of the loaded rules
	format   string
	// whole has all observed that an audit asks about, deep the content of packages'
	// files as well.
	whole, deep bool
}

// formatFlag adds the flag that says how to answer.
func (l *look) formatFlag(cmd *cobra.Command) {
	formats := []string{"text", "json"}
	l.format = formats[0]
	cmd.Flags().Var(oneOf{&l.format, formats}, "format", "how to answer")
	if err := cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // the flag was added a line above
	}
}

// maxRules bounds a file of rules: some hundred times the largest known.
const maxRules = 256 << 20

// flags adds the flags to a command; rules says whether --ruleset makes sense.
func (l *look) flags(cmd *cobra.Command, rules bool) {
	cmd.Flags().StringVar(&l.snapshot, "snapshot", "", "look at `FILE` (sekimori snapshot) instead of this machine")
	l.formatFlag(cmd)
	if rules {
		cmd.Flags().StringArrayVar(&l.rulesets, "ruleset", nil, "take the rules from `FILE` (iptables-save or nft text); may be repeated")
	}
}

// view is a host and the rules that judge its packets.
type view struct {
	host  *host.Snapshot
	rules *firewall.Ruleset
	// families are those that the rules are about: one, if they come from
	// iptables-save.
	families []firewall.Family
	// unread are the packet filters that could not be read.
	unread []kernel.Unread
}

// bothFamilies are what rules are about that were read from a kernel.
func bothFamilies() []firewall.Family { return []firewall.Family{firewall.IPv4, firewall.IPv6} }

// open reads what the flags name.
func (l look) open(ctx context.Context) (view, error) {
	if l.env("GOGC") == "" {
		debug.SetGCPercent(collectEarly)
	}
	var v view
	err := l.while("reading "+l.what(), func() (err error) {
		v, err = l.read(ctx)
		return err
	})
	return v, err
}

// collectEarly is the growth of the heap in percent after which garbage is
// collected. What fills it are nodes of packet sets, which hold no pointers and
// cost the collector nothing: half of the usual takes no more time, and a fifth
// less memory.
const collectEarly = 50

func (l look) what() string {
	files := l.rulesets
	if l.snapshot != "" {
		files = append([]string{l.snapshot}, files...)
	}
	if len(files) == 0 {
		return "this machine"
	}
	return strings.Join(files, " and ")
}

func (l look) read(ctx context.Context) (view, error) {
	var v view
	switch {
	case l.snapshot != "":
		s, err := l.readSnapshot(l.snapshot)
		if err != nil {
			return view{}, err
		}
		v = snapshotView(s)
	case len(l.rulesets) == 0:
		s, err := observe.Host(ctx, observe.Options{Audit: l.whole, Deep: l.deep})
		if err != nil {
			return view{}, err
		}
		return snapshotView(s), nil
	}
	if len(l.rulesets) == 0 {
		return v, nil
	}
	rules, err := l.readFiles(ctx, l.rulesets)
	if err == nil && l.snapshot != "" {
		rules.host = v.host
	}
	return rules, err
}

// readFiles reads rules from several files as those of one host, such as what
// iptables-save and ip6tables-save print.
func (l look) readFiles(ctx context.Context, names []string) (view, error) {
	var all view
	for i, name := range names {
		v, err := l.readFile(ctx, name)
		if err != nil {
			return view{}, err
		}
		if i == 0 {
			all = v
			continue
		}
		all.rules.Tables = append(all.rules.Tables, v.rules.Tables...)
		all.rules.Obstacles = append(all.rules.Obstacles, v.rules.Obstacles...)
		all.unread = append(all.unread, v.unread...)
		for _, f := range v.families {
			if !slices.Contains(all.families, f) {
				all.families = append(all.families, f)
			}
		}
	}
	return all, nil
}

func snapshotView(s *host.Snapshot) view {
	return view{s, kernel.Decode(&s.Filters, s.Facts().Interfaces), bothFamilies(), s.Filters.Unread}
}

// unknownHost stands for the host that a file of rules was written for.
func unknownHost(file string) *host.Snapshot {
	s := &host.Snapshot{Schema: host.Schema}
	for _, section := range []string{host.SectionInterfaces, host.SectionRoutes, host.SectionSockets} {
		s.Unseen = append(s.Unseen, host.Unseen{Section: section, Reason: file + " holds rules only (--snapshot HOST.json applies them to that host)"})
	}
	return s
}

func (l look) readSnapshot(name string) (*host.Snapshot, error) {
	data, err := l.slurp(name)
	if err != nil {
		return nil, err
	}
	return snapshotIn(name, data)
}

// snapshotIn understands what a file holds as a snapshot. What no host lacks, and
// the file does, was not seen.
func snapshotIn(name string, data []byte) (*host.Snapshot, error) {
	s, err := host.Read(bytes.NewReader(data))
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		line := 1 + bytes.Count(data[:min(int(e.Offset), len(data))], []byte("\n"))
		return nil, fmt.Errorf("%s: line %d: not a snapshot: %q may not be a JSON %s", name, line, cmp.Or(e.Field, "the whole"), e.Value)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(s.Interfaces) > 0 {
		return s, nil // every host has at least loopback
	}
	const why = "it stands nowhere in the file"
	for section, has := range map[string]bool{
		host.SectionInterfaces: false, host.SectionRoutes: len(s.Routes) > 0, host.SectionSockets: len(s.Sockets) > 0,
	} {
		if !has && !s.Misses(section) {
			s.Unseen = append(s.Unseen, host.Unseen{Section: section, Reason: name + ": " + why})
		}
	}
	slices.SortFunc(s.Unseen, func(a, b host.Unseen) int {
		return cmp.Or(cmp.Compare(a.Section, b.Section), cmp.Compare(a.Reason, b.Reason))
	})
	if f := &s.Filters; f.Generation == 0 && len(f.Messages) == 0 && len(f.Unread) == 0 {
		f.Unread = append(f.Unread, kernel.Unread{What: "packet filters", Why: why})
		if !s.Misses(host.SectionFilters) {
			s.Unseen = append(s.Unseen, host.Unseen{Section: host.SectionFilters, Reason: name + ": " + why})
		}
	}
	return s, nil
}

// readFile reads rules in any of the formats, told apart by their beginning.
func (l look) readFile(ctx context.Context, name string) (view, error) {
	data, err := l.slurp(name)
	if err != nil {
		return view{}, err
	}
	switch kindOf(data) {
	case kindSnapshot:
		s, err := snapshotIn(name, data)
		if err != nil {
			return view{}, err
		}
		return snapshotView(s), nil
	case kindSave:
		rules, family, err := readSave(name, data)
		return view{host: unknownHost(name), rules: rules, families: []firewall.Family{family}}, err
	case kindNFT:
		loaded, err := loadNFT(ctx, name, data)
		if err != nil {
			return view{}, err
		}
		s := unknownHost(name)
		s.Interfaces = loaded.Interfaces // the rules may know them by number
		return view{s, kernel.Decode(&loaded.Filters, s.Facts().Interfaces), bothFamilies(), loaded.Filters.Unread}, nil
	}
	return view{}, hinted(fmt.Errorf("%s: neither a snapshot, nor iptables-save's nor nft's text", name),
		"sudo iptables-save > rules.save; sudo nft list ruleset > rules.nft; sudo sekimori snapshot -o host.json")
}

// The kinds of files that hold rules.
type fileKind int

const (
	kindUnknown fileKind = iota
	kindSnapshot
	kindSave
	kindNFT
)

// kindOf tells the kind by the first line that is not empty and no comment.
func kindOf(data []byte) fileKind {
	for line := range bytes.Lines(data) {
		line = bytes.TrimSpace(line)
		switch {
		case len(line) == 0 || line[0] == '#':
			continue
		case line[0] == '{':
			return kindSnapshot
		case line[0] == '*' || line[0] == ':':
			return kindSave
		}
		for _, word := range []string{"table", "flush", "add", "create", "define", "include", "destroy", "delete"} {
			if first, _, _ := bytes.Cut(line, []byte(" ")); string(first) == word {
				return kindNFT
			}
		}
		return kindUnknown
	}
	return kindUnknown
}

// slurp reads a whole file, or stdin for "-".
func (l look) slurp(name string) ([]byte, error) {
	in := l.in
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, maxRules+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", name, err)
	case len(data) > maxRules:
		return nil, fmt.Errorf("%s: more than %d MiB", name, maxRules>>20)
	case len(bytes.TrimSpace(data)) == 0:
		return nil, fmt.Errorf("%s: empty", name)
	}
	return data, nil
}
