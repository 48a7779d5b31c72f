package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"sekimori/policy"
)

// policyPath is where the policy of this machine stands.
const policyPath = "/etc/sekimori/policy.yaml"

// policyName is the file that a command is about: its argument, or the policy of
// this machine.
func policyName(args []string) string {
	if len(args) > 0 {
		return args[0]
	}
	return policyPath
}

// readPolicyText reads the text of a policy; "-" is stdin.
func (s streams) readPolicyText(name string) ([]byte, error) {
	in := s.in
	if name != "-" {
		f, err := os.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			hints := []string{"sekimori init writes one from what this machine does now"}
			if name != policyPath {
				hints = append(hints, "the policy of this machine is "+policyPath)
			}
			return nil, hinted(err, hints...)
		}
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	// One byte more than is allowed: Parse says what is wrong with it.
	text, err := io.ReadAll(io.LimitReader(in, policy.MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return text, nil
}

// shown is the name of a policy in messages.
func shown(name string) string {
	if name == "-" {
		return "stdin"
	}
	return name
}

// openPolicy reads and checks a policy for a command that works with it.
func (s streams) openPolicy(name string) (*policy.File, error) {
	text, err := s.readPolicyText(name)
	if err != nil {
		return nil, err
	}
	f, err := policy.Parse(shown(name), text)
	if err != nil {
		return nil, faulty(name, err)
	}
	return f, nil
}

// faulty is the error about a policy with faults.
func faulty(name string, err error) error {
	if e, ok := errors.AsType[*policy.Error](err); ok {
		return fmt.Errorf("%s: %d faults:\n%w", shown(name), len(e.Problems), err)
	}
	return err
}

// readListFile reads a file that a list names. A relative name starts where the
// policy stands.
func readListFile(policyName string) func(string) ([]byte, error) {
	return func(path string) ([]byte, error) {
		if !filepath.IsAbs(path) && policyName != "-" {
			path = filepath.Join(filepath.Dir(policyName), path)
		}
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		text, err := io.ReadAll(io.LimitReader(f, maxRules+1))
		if err == nil && len(text) > maxRules {
			err = fmt.Errorf("more than %d MiB", maxRules>>20)
		}
		return text, err
	}
}

// editPolicy replaces the text of a policy by what edit makes of it. Readers see
// the old text or the new one, never half of it, whatever happens; owner and mode
// stay. Two edits at once follow each other, and one that comes in between from
// elsewhere is not overwritten. Edit may return nil to change nothing.
func editPolicy(name string, edit func(old []byte) ([]byte, error)) error {
	info, err := os.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return hinted(err, "sekimori init writes one from what this machine does now")
	case err != nil:
		return err
	case info.Mode()&fs.ModeSymlink != 0:
		// Whoever may change the link could have another file replaced.
		to, _ := os.Readlink(name)
		return hinted(fmt.Errorf("%s is a symbolic link; a policy is edited where it stands", name), "--file "+to)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is no regular file", name)
	}
	unlock, err := lockDirectory(filepath.Dir(name))
	if err != nil {
		return fmt.Errorf("lock %s: %w", filepath.Dir(name), err)
	}
	defer unlock()
	old, info, err := readRegular(name)
	if err != nil {
		return err
	}
	text, err := edit(old)
	if err != nil || text == nil || bytes.Equal(text, old) {
		return err
	}
	return swapFile(name, old, text, info)
}

// readRegular reads a small file and says what it is.
func readRegular(name string) ([]byte, fs.FileInfo, error) {
	f, err := openNoFollow(name)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, policy.MaxSize+1))
	return text, info, err
}

// swapFile puts a new text in the place of an old one, if it is still there.
func swapFile(name string, old, text []byte, info fs.FileInfo) error {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // after the rename there is nothing to remove
	if err := fill(f, text, info); err != nil {
		f.Close()
		return fmt.Errorf("%s stays as it was: %w", name, err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("%s stays as it was: %w", name, err)
	}
	now, nowInfo, err := readRegular(name)
	if err != nil {
		return err
	}
	if !os.SameFile(info, nowInfo) || !bytes.Equal(now, old) {
		return hinted(fmt.Errorf("%s was changed by somebody else meanwhile, and stays as it is", name), "do it again")
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return err
	}
	return syncDirectory(filepath.Dir(name))
}

// fill writes the text, and makes the file what another one is.
func fill(f *os.File, text []byte, like fs.FileInfo) error {
	if _, err := f.Write(text); err != nil {
		return err
	}
	if err := ownAs(f, like); err != nil {
		return err
	}
	if err := f.Chmod(like.Mode().Perm()); err != nil {
		return err
	}
	return f.Sync()
}
