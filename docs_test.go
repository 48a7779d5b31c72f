package sekimori

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"testing"
)

// TestDocs checks that every package has one package comment, in one file, and
// that every exported top-level name, and method of an exported type, has a
// comment.
func TestDocs(t *testing.T) {
	for _, p := range listPackages(t, "linux") {
		fset := token.NewFileSet()
		docs := 0
		for _, name := range p.GoFiles {
			f, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.ParseComments|parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			if f.Doc != nil {
				docs++
			}
			for _, d := range f.Decls {
				for _, id := range undocumented(d) {
					t.Errorf("%s: exported %s has no comment", fset.Position(id.Pos()), id.Name)
				}
			}
		}
		if docs != 1 && len(p.GoFiles) > 0 {
			t.Errorf("%s: %d package comments, want 1", p.ImportPath, docs)
		}
	}
}

// undocumented returns the exported names that d declares without a comment.
func undocumented(d ast.Decl) []*ast.Ident {
	var ids []*ast.Ident
	need := func(id *ast.Ident, docs ...*ast.CommentGroup) {
		for _, c := range docs {
			if c != nil {
				return
			}
		}
		if id.IsExported() {
			ids = append(ids, id)
		}
	}
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil || ast.IsExported(receiver(d.Recv.List[0].Type)) {
			need(d.Name, d.Doc)
		}
	case *ast.GenDecl:
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				need(s.Name, d.Doc, s.Doc, s.Comment)
			case *ast.ValueSpec:
				for _, id := range s.Names {
					need(id, d.Doc, s.Doc, s.Comment)
				}
			}
		}
	}
	return ids
}

// receiver returns the name of a receiver's type.
func receiver(t ast.Expr) string {
	switch t := t.(type) {
	case *ast.Ident:
		return t.Name
	case *ast.StarExpr:
		return receiver(t.X)
	case *ast.IndexExpr:
		return receiver(t.X)
	case *ast.IndexListExpr:
		return receiver(t.X)
	}
	return ""
}
