package sekimori

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// module is the import path of this module.
const module = "sekimori"

// A layer says what the packages matching one pattern may import.
type layer struct {
	pattern string   // path.Match pattern, relative to the module
	may     []string // packages of this module, likewise
	ext     []string // packages of other modules, by prefix
	pure    bool     // no files, processes, sockets, clock, randomness or logging
	exec    bool     // may start processes
}

// layers is the whole import policy, from the ground up; docs/architecture.md
// says what each package is. A package that no layer matches fails the test:
// placing it is part of adding it.
var layers = []layer{
	{pattern: "internal/near", pure: true},
	{pattern: "packet", may: []string{"internal/near"}, pure: true},
	{pattern: "policy", may: []string{"internal/near", "packet"}, ext: []string{"github.com/goccy/go-yaml"}, pure: true},
	{pattern: "internal/run", exec: true},
	{pattern: "internal/firewall", may: []string{"packet"}, pure: true},
	{pattern: "internal/firewall/xt", may: []string{"internal/firewall"}, pure: true},
	{
		pattern: "internal/firewall/kernel", pure: true,
		may: []string{"internal/firewall", "internal/firewall/xt"},
	},
	{
		pattern: "internal/firewall/iptables", pure: true,
		may: []string{"packet", "internal/firewall", "internal/firewall/xt", "internal/firewall/acl"},
	},
	{pattern: "internal/firewall/acl", may: []string{"packet"}, pure: true},
	{pattern: "internal/firewall/nft", may: []string{"packet", "internal/firewall", "internal/firewall/acl"}, pure: true},
	{
		pattern: "internal/compile", pure: true,
		may: []string{"packet", "policy", "internal/host", "internal/firewall", "internal/firewall/*"},
	},
	{pattern: "internal/firewall/winfw", may: []string{"packet", "internal/firewall/acl"}, pure: true},
	{pattern: "internal/firewall/ipfw", may: []string{"packet", "internal/firewall/acl"}, pure: true},
	{pattern: "internal/host", may: []string{"internal/firewall", "internal/firewall/kernel"}, pure: true},
	{pattern: "internal/host/files", pure: true},
	{pattern: "internal/host/sshd", may: []string{"internal/host/files"}, pure: true},
	{pattern: "internal/host/sudoers", may: []string{"internal/host/files"}, pure: true},
	{pattern: "internal/host/apt", pure: true},
	{pattern: "internal/host/web", may: []string{"internal/host"}, pure: true},
	{pattern: "internal/host/systemd", may: []string{"internal/host"}, pure: true},
	{pattern: "internal/exposure", may: []string{"internal/firewall", "internal/host"}, pure: true},
	{pattern: "internal/audit/words", pure: true}, // embedded texts
	{
		pattern: "internal/audit", pure: true,
		may: []string{"packet", "internal/firewall", "internal/host", "internal/host/*", "internal/exposure"},
	},
	{pattern: "internal/guard/pyre", pure: true},
	{pattern: "internal/guard/logdate", may: []string{"internal/guard/pyre"}, pure: true},
	{
		pattern: "internal/guard/filter", pure: true,
		may: []string{"internal/near", "internal/guard/pyre", "internal/guard/logdate"},
	},
	{pattern: "internal/guard/filters", pure: true}, // embedded files
	{
		pattern: "internal/guard/source", pure: true,
		ext: []string{"github.com/klauspost/compress/zstd", "github.com/xi2/xz"},
	},
	{pattern: "internal/guard", pure: true},
	{
		pattern: "internal/guard/replay", pure: true,
		may: []string{"internal/guard", "internal/guard/filter", "internal/guard/logdate", "internal/guard/source"},
	},
	{
		pattern: "internal/plan", pure: true,
		may: []string{"packet", "policy", "internal/firewall", "internal/host", "internal/exposure"},
	},
	{
		pattern: "internal/report", pure: true,
		may: []string{"packet", "policy", "internal/firewall", "internal/host", "internal/exposure", "internal/audit", "internal/audit/words", "internal/compile", "internal/plan"},
	},
	{pattern: "internal/observe/sshwire"}, // the caller connects
	{pattern: "internal/observe/rootfs", may: []string{"internal/host"}},
	{pattern: "internal/observe/rootfs/roottest", may: []string{"internal/observe/rootfs"}}, // tests alone
	{pattern: "internal/observe/oui", pure: true},
	{pattern: "internal/observe/pkgdb", may: []string{"internal/observe/rootfs"}},
	{
		pattern: "internal/observe/accounts",
		may:     []string{"internal/run", "internal/host", "internal/host/sshd", "internal/host/sudoers", "internal/observe/rootfs"},
	},
	{pattern: "internal/observe/lz4", pure: true},
	{pattern: "internal/observe/integrity", may: []string{"internal/host", "internal/observe/pkgdb", "internal/observe/rootfs"}},
	{pattern: "internal/observe/machine", may: []string{"internal/host", "internal/observe/rootfs"}},
	{
		pattern: "internal/observe/updates",
		may:     []string{"internal/host", "internal/host/apt", "internal/observe/lz4", "internal/observe/pkgdb", "internal/observe/rootfs"},
		ext:     []string{"github.com/klauspost/compress/zstd", "github.com/xi2/xz"},
	},
	{
		pattern: "internal/observe/services",
		may:     []string{"internal/run", "internal/host", "internal/host/systemd", "internal/host/web", "internal/observe/rootfs"},
	},
	{
		pattern: "internal/observe",
		may:     []string{"internal/host", "internal/firewall/kernel", "internal/observe/*"},
		ext:     []string{"golang.org/x/sys/", "github.com/mdlayher/netlink", "github.com/cilium/ebpf", "modernc.org/sqlite"},
	},
	{pattern: "internal/rehearse", may: []string{"packet", "internal/run"}, ext: []string{"golang.org/x/sys/unix"}},
	{pattern: "internal/lab", ext: []string{"golang.org/x/sys/"}, exec: true},
	{pattern: "internal/compile/policygen", pure: true}, // tests alone
	{pattern: "internal/referee"}, // tests alone
	{
		pattern: "cmd/sekimori",
		may: []string{
			"internal/near", "packet", "policy", "internal/run", "internal/firewall", "internal/firewall/*", "internal/host", "internal/exposure",
			"internal/compile", "internal/plan", "internal/rehearse", "internal/audit", "internal/audit/words", "internal/report", "internal/observe", "internal/observe/rootfs", "internal/guard", "internal/guard/*",
		},
		ext: []string{"github.com/spf13/", "golang.org/x/sys/unix"},
	},
}

// onlyTests are the modules that tests, and nothing but tests, may import.
var onlyTests = []string{
	"github.com/google/go-cmp/", "github.com/rogpeppe/go-internal/", "pgregory.net/rapid", "go.uber.org/goleak",
	"github.com/santhosh-tekuri/jsonschema/",
}

// impure lists the standard packages that a pure package must not import.
var impure = []string{
	"os", "os/exec", "os/signal", "os/user", "net", "net/http", "syscall", "log",
	"log/slog", "math/rand", "math/rand/v2", "crypto/rand", "unsafe",
}

// clock lists the functions of package time that a pure package must not call:
// it takes the time as an argument.
var clock = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTicker", "NewTimer"}

type goPackage struct {
	ImportPath, Dir                    string
	GoFiles, CgoFiles                  []string
	Imports, TestImports, XTestImports []string
}

func TestImports(t *testing.T) {
	used := make([]bool, len(layers))
	for _, goos := range []string{"linux", "freebsd", "windows", "darwin"} {
		for _, p := range listPackages(t, goos) {
			rel := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
			if rel == "" {
				continue // this test's own package
			}
			i := slices.IndexFunc(layers, func(l layer) bool { return match(l.pattern, rel) })
			if i < 0 {
				t.Errorf("%s: no layer; place it in arch_test.go", rel)
				continue
			}
			used[i] = true
			checkImports(t, layers[i], rel, p.Imports)
			checkTestImports(t, layers[i], rel, slices.Concat(p.TestImports, p.XTestImports))
			if len(p.CgoFiles) > 0 {
				t.Errorf("%s uses cgo: %v", rel, p.CgoFiles)
			}
			checkSource(t, layers[i], rel, p)
		}
	}
	for i, l := range layers {
		if !used[i] {
			t.Errorf("layer %q matches no package; remove it", l.pattern)
		}
	}
}

func checkImports(t *testing.T, l layer, rel string, imports []string) {
	for _, imp := range imports {
		in, ours := strings.CutPrefix(imp, module+"/")
		switch {
		case ours && !slices.ContainsFunc(l.may, func(pat string) bool { return match(pat, in) }):
			t.Errorf("%s imports %s, which its layer may not", rel, in)
		case !ours && external(imp) && !hasAnyPrefix(imp, l.ext):
			t.Errorf("%s imports %s, a dependency its layer may not have", rel, imp)
		case l.pure && slices.Contains(impure, imp):
			t.Errorf("%s imports %s, but it is pure", rel, imp)
		case !l.exec && imp == "os/exec":
			t.Errorf("%s imports os/exec; processes are started by internal/run", rel)
		}
	}
}

// checkTestImports lets tests import any package of the module, but of other
// modules only what their layer may have and the testing libraries.
func checkTestImports(t *testing.T, l layer, rel string, imports []string) {
	for _, imp := range imports {
		if external(imp) && !hasAnyPrefix(imp, l.ext) && !hasAnyPrefix(imp, onlyTests) && !hasAnyPrefix(imp, []string{"golang.org/x/sys/"}) {
			t.Errorf("tests of %s import %s, a dependency they may not have", rel, imp)
		}
	}
}

// checkSource looks into the files for what imports do not show: init
// functions, and in pure packages a look at the clock.
func checkSource(t *testing.T, l layer, rel string, p goPackage) {
	fset := token.NewFileSet()
	for _, name := range p.GoFiles {
		f, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if n.Name.Name == "init" && n.Recv == nil {
					t.Errorf("%s: an init function; pass values instead", fset.Position(n.Pos()))
				}
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); l.pure && ok && x.Name == "time" && slices.Contains(clock, n.Sel.Name) {
					t.Errorf("%s: time.%s in %s, but it is pure", fset.Position(n.Pos()), n.Sel.Name, rel)
				}
			}
			return true
		})
	}
}

// TestDependencies checks that every module that the code or its tests import
// is one that README.md lists with a reason, and that it lists no other.
func TestDependencies(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(readme), "\n## Dependencies\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var listed []string
	for _, m := range regexp.MustCompile("(?m)^\\| `?([a-z0-9.]+\\.[a-z]+/[^ `|]+)").FindAllStringSubmatch(section, -1) {
		listed = append(listed, m[1])
	}
	var used []string
	for _, p := range listPackages(t, "linux") {
		for _, imp := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			if !external(imp) {
				continue
			}
			i := slices.IndexFunc(listed, func(m string) bool { return imp == m || strings.HasPrefix(imp, m+"/") })
			if i < 0 {
				t.Errorf("%s imports %s, of no module in README.md's table of dependencies", p.ImportPath, imp)
				continue
			}
			used = append(used, listed[i])
		}
	}
	for _, m := range listed {
		if !slices.Contains(used, m) {
			t.Errorf("README.md lists %s, which nothing imports", m)
		}
	}
}

func listPackages(t *testing.T, goos string) []goPackage {
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Dir,GoFiles,CgoFiles,Imports,TestImports,XTestImports", "./...")
	cmd.Env = append(os.Environ(), "GOOS="+goos, "CGO_ENABLED=1") // without it, files that use cgo are not listed
	out, err := cmd.Output()
	if err != nil {
		if ee, ok := errors.AsType[*exec.ExitError](err); ok {
			t.Fatalf("go list: %v\n%s", err, ee.Stderr)
		}
		t.Fatal(err)
	}
	var ps []goPackage
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return ps
		} else if err != nil {
			t.Fatal(err)
		}
		ps = append(ps, p)
	}
}

// external reports whether an import is of another module: its first element
// is then a domain name.
func external(imp string) bool {
	first, _, _ := strings.Cut(imp, "/")
	return strings.Contains(first, ".")
}

func hasAnyPrefix(s string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(s, p) })
}

func match(pattern, name string) bool {
	ok, _ := path.Match(pattern, name)
	return ok
}
