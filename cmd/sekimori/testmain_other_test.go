//go:build !linux

package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain runs this binary as sekimori where a script does.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"sekimori": main})
}
