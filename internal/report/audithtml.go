package report

import (
	"crypto/sha256"
	_ "embed" // the page's style
	"encoding/base64"
	"fmt"
	"html"
	"io"
	"strings"

	"sekimori/internal/audit"
)

//go:embed page/audit.css
var auditStyle string

// HTML writes the audit as one page that needs nothing else: no script, no other
// resource, and a content security policy that allows its own style alone.
func (a Audit) HTML(w io.Writer) error {
	p := page{ui: a.words.UI}
	p.head(a)
	p.verdict(a)
	p.place(a)
	if len(a.Findings) == 0 {
		p.line(`<section><p>%s</p></section>`, p.ui("nothing"))
	} else {
		p.summary(a.Findings)
		p.findings(a.Findings)
	}
	p.unseen(a)
	p.line(`<footer>%s</footer>`, p.ui("madeby"))
	p.line(`</main>`)
	p.line(`</body>`)
	p.line(`</html>`)
	_, err := io.WriteString(w, p.b.String())
	return err
}

// page is HTML being written. It is put together here and not by html/template,
// because programs that use that keep every method of every type: five
// megabytes more.
type page struct {
	b  strings.Builder
	ui func(id string) string
}

// line writes one line. The format is markup; what fills it is text, and escaped
// for elements and quoted attributes alike.
func (p *page) line(format string, text ...string) {
	escaped := make([]any, len(text))
	for i, t := range text {
		escaped[i] = html.EscapeString(t)
	}
	fmt.Fprintf(&p.b, format+"\n", escaped...)
}

func (p *page) head(a Audit) {
	sum := sha256.Sum256([]byte(auditStyle))
	p.line(`<!doctype html>`)
	p.line(`<html lang="%s">`, a.words.Language())
	p.line(`<head>`)
	p.line(`<meta charset="utf-8">`)
	p.b.WriteString(`<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'sha256-` +
		base64.StdEncoding.EncodeToString(sum[:]) + `'; base-uri 'none'; form-action 'none'">` + "\n")
	p.line(`<meta name="viewport" content="width=device-width, initial-scale=1">`)
	p.line(`<meta name="referrer" content="no-referrer">`)
	p.line(`<title>%s: %s</title>`, p.ui("report"), a.pageName())
	p.b.WriteString("<style>" + auditStyle + "</style>\n")
	p.line(`</head>`)
	p.line(`<body>`)
	p.line(`<main>`)
}

// pageName is what the page calls the host.
func (a Audit) pageName() string {
	if a.host.System.Hostname == "" {
		return "host"
	}
	return printable(a.host.System.Hostname)
}

func (p *page) verdict(a Audit) {
	class := "g" + a.Grade
	if a.Grade == string(audit.GradeUnknown) {
		class = "gU"
	}
	p.line(`<header>`)
	p.line(`<h1>%s <strong>%s</strong></h1>`, p.ui("report"), a.pageName())
	p.line(`<section class="verdict" aria-label="%s">`, p.ui("grade"))
	p.line(`<div class="grade %s">%s</div>`, class, a.Grade)
	p.line(`<div><p>%s</p>`, p.ui("grade."+a.Grade))
	if counts := a.counts(); counts != "" {
		p.line(`<p>%s</p>`, counts)
	}
	p.line(`</div>`)
	p.line(`</section>`)
	p.line(`</header>`)
}

func (p *page) place(a Audit) {
	p.line(`<section>`)
	p.line(`<h2>%s</h2>`, p.ui("place"))
	p.line(`<dl class="facts">`)
	for _, f := range a.facts() {
		p.line(`<dt>%s</dt><dd>%s`, f.name, f.value)
		if f.note != "" {
			p.line(`<small>(%s)</small>`, f.note)
		}
		p.line(`</dd>`)
	}
	p.line(`</dl>`)
	p.line(`</section>`)
}

func (p *page) summary(findings []Finding) {
	p.line(`<section>`)
	p.line(`<h2>%s</h2>`, p.ui("summary"))
	p.line(`<table>`)
	p.line(`<thead><tr><th class="n">%s</th><th>%s</th><th class="n s">%s</th></tr></thead>`, p.ui("severity"), p.ui("findings"), p.ui("section"))
	p.line(`<tbody>`)
	for _, f := range findings {
		p.line(`<tr><td class="n"><span class="sev %s">%s</span></td><td><a href="#%s">%s</a></td><td class="n s">%s</td></tr>`,
			f.Severity, p.ui(f.Severity), f.ID, f.Title, p.ui(f.Section))
	}
	p.line(`</tbody>`)
	p.line(`</table>`)
	p.line(`</section>`)
}

func (p *page) findings(findings []Finding) {
	p.line(`<section>`)
	p.line(`<h2>%s</h2>`, p.ui("findings"))
	for _, f := range findings {
		p.finding(f)
	}
	p.line(`</section>`)
}

func (p *page) finding(f Finding) {
	p.line(`<article id="%s" class="e-%s">`, f.ID, f.Severity)
	p.line(`<h3>%s</h3>`, f.Title)
	p.line(`<p class="meta"><span class="sev %s">%s</span> · %s · <code>%s</code></p>`, f.Severity, p.ui(f.Severity), p.ui(f.Section), f.ID)
	p.line(`<p>%s</p>`, f.Why)
	p.line(`<h4>%s</h4>`, p.ui("evidence"))
	p.line(`<ul class="evidence">`)
	for _, e := range f.Evidence {
		p.line(`<li>%s</li>`, e)
	}
	p.line(`</ul>`)
	p.line(`<h4>%s</h4>`, p.ui("remedy"))
	p.line(`<p>%s</p>`, f.Remedy)
	if len(f.Policy) > 0 {
		p.line(`<h4>%s</h4>`, p.ui("policy"))
		for _, line := range f.Policy {
			p.line(`<p><code>%s</code></p>`, line)
		}
	}
	p.line(`<p class="refs">%s: %s</p>`, p.ui("references"), strings.Join(f.References, "; "))
	p.line(`</article>`)
}

func (p *page) unseen(a Audit) {
	if len(a.Unseen) == 0 {
		return
	}
	p.line(`<section>`)
	p.line(`<h2>%s</h2>`, p.ui("unseen"))
	p.line(`<p>%s</p>`, p.ui("unseen.text"))
	p.line(`<table>`)
	p.line(`<tbody>`)
	for _, u := range a.Unseen {
		p.line(`<tr><td class="n">%s</td><td>%s</td></tr>`, p.ui(u.Section), u.Reason)
	}
	p.line(`</tbody>`)
	p.line(`</table>`)
	p.line(`</section>`)
}
