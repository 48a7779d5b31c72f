package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"sekimori/internal/firewall/kernel"
	"sekimori/internal/host"
	"sekimori/internal/observe"
	"sekimori/internal/run"
)

// A file of nft is not parsed here: nft itself loads it into the kernel of a
// throwaway network namespace, and what the kernel then holds is read back. The
// program starts itself for that, as the hidden command below.

// loadLimit bounds the whole of it.
const loadLimit = time.Minute

// loadNFT returns the host that a file of nft makes of an empty namespace.
func loadNFT(ctx context.Context, name string, text []byte) (*host.Snapshot, error) {
	if !run.Installed("nft") {
		return nil, hinted(fmt.Errorf("%s: rules of nft are read with the help of nft, which is not installed", name),
			"look at a snapshot instead, made where they are loaded: sudo sekimori snapshot -o host.json")
	}
	outside, err := netNamespace()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, loadLimit)
	defer cancel()
	out, err := run.Command{
		Argv: []string{"sekimori", loadCommand, outside, filepath.Dir(name)}, Path: "/proc/self/exe",
		Stdin: text, Limit: maxRules, Isolated: true,
	}.Output(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	s, err := host.Read(bytes.NewReader(out))
	if err != nil {
		return nil, err
	}
	named := linksIn(text)
	s.Interfaces = slices.DeleteFunc(s.Interfaces, func(i host.Interface) bool {
		return !i.Loopback && !slices.Contains(named, i.Name) // the other ends of our own
	})
	// Of the namespace's filters only what nft loaded is of interest: BPF programs
	// that could not be listed there are not the file's.
	s.Filters = kernel.Dump{
		Generation: s.Filters.Generation, Messages: s.Filters.Messages,
		Unread: slices.DeleteFunc(s.Filters.Unread, func(u kernel.Unread) bool { return u.What != "nf_tables" }),
	}
	return s, nil
}

// loadCommand is the hidden command that runs inside.
const loadCommand = "load-nft"

func newLoadNFT(io streams) *cobra.Command {
	return &cobra.Command{
		Use:    loadCommand + " OUTSIDE DIRECTORY",
		Hidden: true,
		Args:   cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return loadInside(cmd.Context(), look{streams: io}, args[0], args[1])
		},
	}
}

// loadInside loads rules from stdin and prints the snapshot. It refuses to do so
// in the namespace that it was started from: the rules are not meant for it.
func loadInside(ctx context.Context, l look, outside, directory string) error {
	inside, err := netNamespace()
	if err != nil {
		return err
	}
	if inside == outside {
		return errors.New("not in a namespace of its own; nothing was loaded")
	}
	text, err := l.slurp("-")
	if err != nil {
		return err
	}
	// Rules that name an interface by iif or device need it to exist.
	for _, link := range linksIn(text) {
		if err := addLink(ctx, link); err != nil {
			fmt.Fprintln(l.err, err)
		}
	}
	if _, err := (run.Command{Argv: []string{"nft", "-I", directory, "-f", "-"}, Stdin: text}).Output(ctx); err != nil {
		return err
	}
	s, err := observe.Host(ctx, observe.Options{})
	if err != nil {
		return err
	}
	return host.Write(l.out, s)
}

// addLink makes an interface that leads nowhere, of a kind that the kernel has.
func addLink(ctx context.Context, name string) error {
	var err error
	for _, kind := range []string{"dummy", "veth"} {
		if _, err = (run.Command{Argv: []string{"ip", "link", "add", name, "type", kind}}).Output(ctx); err == nil {
			return nil
		}
	}
	return err
}

// linksIn returns the names of interfaces that a text of nft uses by number.
func linksIn(text []byte) []string {
	var names []string
	for _, m := range regexp.MustCompile(`\b(?:iif|oif|devices?)\b\s*(?:!=|==|=)?\s*(\{[^}]*\}|"?[\w.-]+"?)`).FindAllSubmatch(text, -1) {
		for _, name := range regexp.MustCompile(`[A-Za-z_][\w.-]*`).FindAll(m[1], -1) {
			if n := string(name); n != "lo" && len(n) < 16 && !slices.Contains(names, n) {
				names = append(names, n)
			}
		}
	}
	return names
}

// netNamespace identifies the network namespace of this process.
func netNamespace() (string, error) { return os.Readlink("/proc/thread-self/ns/net") }
