package report

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // the page
	"encoding/base64"
	"fmt"
	"html/template"
	"io"

	"sekimori/internal/audit"
)

//go:embed page/audit.html
var auditPage string

//go:embed page/audit.css
var auditStyle string

// page is what the template is filled with.
type page struct {
	Audit                             Audit
	Lang, Name, GradeText, GradeClass string
	Counts                            string
	Facts                             []pageFact
	Style                             template.CSS
	StyleHash                         template.HTMLAttr
}

type pageFact struct{ Name, Value, Note string }

// HTML writes the audit as one page that needs nothing else: no script, no other
// resource, and a content security policy that allows its own style alone.
func (a Audit) HTML(w io.Writer) error {
	sum := sha256.Sum256([]byte(auditStyle))
	name := a.host.System.Hostname
	if name == "" {
		name = "host"
	}
	p := page{
		Audit: a, Lang: a.words.Language(), Name: printable(name),
		GradeText: a.words.UI("grade." + a.Grade), GradeClass: "g" + a.Grade, Counts: a.counts(),
		Style: template.CSS(auditStyle),
	}
	if a.Grade == string(audit.GradeUnknown) {
		p.GradeClass = "gU"
	}
	for _, f := range a.facts() {
		p.Facts = append(p.Facts, pageFact{f.name, f.value, f.note})
	}
	hash := "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
	t, err := template.New("audit").Funcs(template.FuncMap{"ui": a.words.UI}).Parse(auditPage)
	if err != nil {
		return fmt.Errorf("the page of an audit: %w", err)
	}
	p.StyleHash = template.HTMLAttr(hash)
	var b bytes.Buffer
	if err := t.Execute(&b, p); err != nil {
		return fmt.Errorf("the page of an audit: %w", err)
	}
	_, err = w.Write(b.Bytes())
	return err
}
