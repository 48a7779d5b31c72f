package report

import (
	"fmt"
	"io"
	"strings"
	"time"

	"sekimori/internal/compile"
	"sekimori/packet"
)

// Compiled is the answer of `sekimori compile`.
type Compiled struct {
	File   string `json:"file"`
	Target string `json:"target"`
	// Equivalent is true where the text means exactly what the policy means, false
	// where it admits less because something was left out.
	Equivalent bool `json:"equivalent"`
	// Families and Ways are what was compared, Limits how many rate limits.
	Families list[string] `json:"families"`
	Ways     list[string] `json:"ways"`
	Limits   int          `json:"limits"`
	// Less are packets that the policy admits and the text does not.
	Less list[string] `json:"less"`
	// Milliseconds is how long writing and proving took.
	Milliseconds int64          `json:"milliseconds"`
	Texts        list[TextFile] `json:"texts"`
	// Written are the files that were written.
	Written list[string] `json:"written"`
}

// TextFile is one file that was compiled; the first is the one to load.
type TextFile struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// NewCompiled is the answer about a text that was proven in the given time.
func NewCompiled(file string, r *compile.Result, took time.Duration) Compiled {
	c := Compiled{
		File: file, Target: string(r.Target), Equivalent: r.Proof.Equivalent, Limits: r.Proof.Limits, Milliseconds: took.Milliseconds(),
	}
	for _, f := range r.Proof.Families {
		name := "IPv4"
		if f == packet.V6 {
			name = "IPv6"
		}
		c.Families = append(c.Families, name)
	}
	for _, w := range r.Proof.Ways {
		c.Ways = append(c.Ways, w.String())
	}
	for _, l := range r.Proof.Less {
		c.Less = append(c.Less, ofAnyHost(shortPacket(l.Packet)))
	}
	for _, f := range r.Files {
		c.Texts = append(c.Texts, TextFile{f.Name, string(f.Text)})
	}
	return c
}

// ofAnyHost leaves out of a packet what was said to tell the question from others:
// interfaces that stand for none, or for all that no rule names, and limits.
func ofAnyHost(p string) string {
	p, _, _ = strings.Cut(p, ` if  "`)
	return strings.NewReplacer(" in :other", "", " in :none", "", " out :other", "", " out :none", "").Replace(p)
}

// Text says what was proven; the text itself is not shown.
func (c Compiled) Text(w io.Writer, s Style) error {
	var b strings.Builder
	about := fmt.Sprintf("%s packets %s", strings.Join(c.Families, " and "), strings.Join(c.Ways, ", "))
	if c.Limits > 0 {
		about += ", " + counted(c.Limits, "rate limit")
	}
	if c.Equivalent {
		fmt.Fprintf(&b, "%s: what the text admits is exactly what %s says (%s; %d ms)\n", s.paint(green, "proven"), c.File, about, c.Milliseconds)
	} else {
		fmt.Fprintf(&b, "%s to %s: it admits less, and nothing more, which is proven (%s; %d ms)\n", s.paint(red, "NOT EQUIVALENT"), c.File, about, c.Milliseconds)
		for _, l := range c.Less {
			fmt.Fprintf(&b, "  refused, for example: %s\n", l)
		}
	}
	for _, f := range c.Written {
		fmt.Fprintf(&b, "  %s\n", f)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
