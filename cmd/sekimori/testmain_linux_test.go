package main

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"sekimori/internal/lab"
)

// TestMain runs this binary as what it was started as: as sekimori by a script
// or by itself, as the child of a kernel test, or as the tests.
func TestMain(m *testing.M) {
	asSekimori := filepath.Base(os.Args[0]) == "sekimori"
	if !asSekimori {
		flag.Parse()
		if lab.Inside() || flag.Lookup("test.bench").Value.String() != "" {
			lab.Main(m)
		}
	}
	testscript.Main(m, map[string]func(){"sekimori": main})
}
