//go:build linux

package lab

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// commandLimit bounds every command a test runs.
const commandLimit = 60 * time.Second

// Run runs a command inside and gives its standard output; anything but success
// ends the test, with what the command said. It refuses to run outside.
func Run(tb testing.TB, argv ...string) string {
	tb.Helper()
	return RunInput(tb, "", argv...)
}

// RunInput is [Run] with text on standard input.
func RunInput(tb testing.TB, stdin string, argv ...string) string {
	tb.Helper()
	out, err := Try(tb, stdin, argv...)
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

// Try is [RunInput] for commands that may fail.
func Try(tb testing.TB, stdin string, argv ...string) (string, error) {
	tb.Helper()
	if !Inside() {
		tb.Fatalf("lab: %q would run on the machine itself; use lab.Enter", argv)
	}
	Need(tb, argv[0])
	ctx, cancel := context.WithTimeout(context.Background(), commandLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%s: %w\n%s", strings.Join(argv, " "), err, stderr.String())
	}
	return stdout.String(), nil
}

// Netns makes a network namespace with lo up, to be named in [In] and [Veth].
func Netns(tb testing.TB, name string) {
	tb.Helper()
	Run(tb, "ip", "netns", "add", name)
	In(tb, name, func() {
		if err := linkUp("lo"); err != nil {
			tb.Fatal(err)
		}
	})
}

// Veth makes a pair of connected links, both up: here stays in the namespace of
// the caller, peer goes to the namespace ns (or stays too, where ns is "").
func Veth(tb testing.TB, here, peer, ns string) {
	tb.Helper()
	Run(tb, "ip", "link", "add", here, "type", "veth", "peer", "name", peer)
	Run(tb, "ip", "link", "set", here, "up")
	if ns == "" {
		Run(tb, "ip", "link", "set", peer, "up")
		return
	}
	Run(tb, "ip", "link", "set", peer, "netns", ns)
	In(tb, ns, func() { Run(tb, "ip", "link", "set", peer, "up") })
}

// Address gives a link an address, usable at once (no duplicate detection).
func Address(tb testing.TB, link, prefix string) {
	tb.Helper()
	argv := []string{"ip", "addr", "add", prefix, "dev", link}
	if strings.Contains(prefix, ":") {
		argv = append(argv, "nodad")
	}
	Run(tb, argv...)
}

// LoadNFT loads nft text in one transaction.
func LoadNFT(tb testing.TB, text string) {
	tb.Helper()
	RunInput(tb, text, "nft", "-f", "-")
}

// LoadIPTables loads iptables-save text with one of iptables-restore,
// ip6tables-restore, iptables-legacy-restore, iptables-nft-restore, ….
func LoadIPTables(tb testing.TB, restore, text string) {
	tb.Helper()
	RunInput(tb, text, restore)
}
