package compile

import (
	_ "embed"
	"fmt"
	"strings"

	"sekimori/policy"
)

// Words for people stand in one table for each language: a key, =, and a sentence
// with names in braces for what is put in.
var (
	//go:embed words/en.txt
	wordsEN string
	//go:embed words/ja.txt
	wordsJA string
)

// words is the table of one language.
type words map[string]string

// wordsOf returns the table of a language; "" is English.
func wordsOf(lang string) (words, error) {
	text := wordsEN
	switch lang {
	case "", "en":
	case "ja":
		text = wordsJA
	default:
		return nil, fmt.Errorf("unknown language %q: there are en and ja", lang)
	}
	w := words{}
	for line := range strings.Lines(text) {
		if k, v, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " = "); ok {
			w[k] = v
		}
	}
	return w, nil
}

// say returns a sentence with pairs of a name and what to put in its place. Blanks
// around what is empty become one.
func (w words) say(key string, pairs ...string) string {
	var old []string
	for i := 0; i+1 < len(pairs); i += 2 {
		old = append(old, "{"+pairs[i]+"}", pairs[i+1])
	}
	return strings.Join(strings.Fields(strings.NewReplacer(old...).Replace(w[key])), " ")
}

// part is like say where there is something to put in, else "".
func (w words) part(key, value string) string {
	if value == "" {
		return ""
	}
	return strings.ReplaceAll(w[key], "{x}", value)
}

// rate says how much a rate lets through.
func (w words) rate(r policy.Rate) string {
	text, perSource := strings.CutSuffix(strings.Join(strings.Fields(string(r)), " "), " per source")
	if count, burst, ok := strings.Cut(text, " per source"); ok {
		text, perSource = count+burst, true
	}
	if perSource {
		text = w.part("per-source", text)
	}
	return w.part("part.rate", text)
}
