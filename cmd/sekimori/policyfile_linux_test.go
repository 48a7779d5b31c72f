package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func writePolicy(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func wantPolicy(t *testing.T, name, text string) {
	t.Helper()
	got, err := os.ReadFile(name)
	if err != nil || string(got) != text {
		t.Errorf("%q, %v; want %q", got, err, text)
	}
	left, err := os.ReadDir(filepath.Dir(name))
	if err != nil || len(left) != 1 {
		t.Errorf("beside it: %v, %v", left, err)
	}
}

// TestEditPolicyKeeps: mode and owner of the old file are those of the new one.
func TestEditPolicyKeeps(t *testing.T) {
	name := writePolicy(t, "old")
	if err := os.Chmod(name, 0o640); err != nil {
		t.Fatal(err)
	}
	uid := os.Getuid()
	if uid == 0 {
		uid = 12345
		if err := os.Chown(name, uid, uid); err != nil {
			t.Fatal(err)
		}
	}
	if err := editPolicy(name, func([]byte) ([]byte, error) { return []byte("new"), nil }); err != nil {
		t.Fatal(err)
	}
	wantPolicy(t, name, "new")
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(st.Uid) != uid || info.Mode().Perm() != 0o640 {
		t.Errorf("uid %d, mode %v; want %d, 0640", st.Uid, info.Mode(), uid)
	}
}

// TestEditPolicyLosesNothing: whatever goes wrong, the old text stays, and
// nothing beside it.
func TestEditPolicyLosesNothing(t *testing.T) {
	failed := errors.New("no such rule")
	cases := map[string]func(t *testing.T, name string) func([]byte) ([]byte, error){
		"the edit fails": func(*testing.T, string) func([]byte) ([]byte, error) {
			return func([]byte) ([]byte, error) { return nil, failed }
		},
		"nothing to change": func(*testing.T, string) func([]byte) ([]byte, error) {
			return func([]byte) ([]byte, error) { return nil, nil }
		},
	}
	for what, edit := range cases {
		t.Run(what, func(t *testing.T) {
			name := writePolicy(t, "old")
			if err := editPolicy(name, edit(t, name)); err != nil && !errors.Is(err, failed) {
				t.Error(err)
			}
			wantPolicy(t, name, "old")
		})
	}
}

// TestEditPolicyMeanwhile: what another program wrote while the edit was made is
// not overwritten.
func TestEditPolicyMeanwhile(t *testing.T) {
	for what, meanwhile := range map[string]func(name string) error{
		"written": func(name string) error { return os.WriteFile(name, []byte("theirs"), 0o600) },
		"renamed": func(name string) error {
			if err := os.WriteFile(name+"~", []byte("theirs"), 0o600); err != nil {
				return err
			}
			return os.Rename(name+"~", name)
		},
		"replaced by a link": func(name string) error {
			other := filepath.Join(filepath.Dir(name), "..", "theirs")
			if err := os.WriteFile(other, []byte("theirs"), 0o600); err != nil {
				return err
			}
			if err := os.Remove(name); err != nil {
				return err
			}
			return os.Symlink(other, name)
		},
	} {
		t.Run(what, func(t *testing.T) {
			name := writePolicy(t, "old")
			err := editPolicy(name, func([]byte) ([]byte, error) { return []byte("new"), meanwhile(name) })
			if err == nil {
				t.Error("it was overwritten")
			}
			wantPolicy(t, name, "theirs")
		})
	}
}

// TestEditPolicyFull: a directory that takes no new file leaves the old one.
func TestEditPolicyFull(t *testing.T) {
	name := writePolicy(t, "old")
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	// /dev/full refuses every byte, as a full disk does.
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	if err := fill(full, []byte("new"), info); err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("got %v", err)
	}
	wantPolicy(t, name, "old")
}
