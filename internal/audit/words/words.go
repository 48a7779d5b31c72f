// Package words has the words in which findings are told: for each check a title,
// the reason in one sentence, what to do, and a long form, in each language. It is
// pure: texts are embedded.
//
// A language is a file for each section of the audit, with entries such as
//
//	= ssh-password
//	title: …
//	why: …
//	remedy: …
//
//	The long form, in paragraphs, up to the next entry.
//
// Entries whose id begins with "ui." have a title alone: the words of screens.
package words

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

//go:embed en/*.txt ja/*.txt
var texts embed.FS

// Entry is the words about one check.
type Entry struct {
	// Title says what was found, Why why it matters, each in one sentence. Remedy is
	// what to do.
	Title, Why, Remedy string
	// Long is the long form: paragraphs, separated by empty lines.
	Long string
}

// Table is all entries of one language.
type Table struct {
	language string
	entries  map[string]Entry
}

// Languages are those that there are, English first.
func Languages() []string { return []string{"en", "ja"} }

// Of gives the language of a locale's name, as LANG has it ("ja_JP.UTF-8"):
// English where it is none of ours.
func Of(locale string) string {
	name, _, _ := strings.Cut(locale, "_")
	name, _, _ = strings.Cut(name, ".")
	if slices.Contains(Languages(), name) {
		return name
	}
	return "en"
}

// Load reads the table of a language.
func Load(language string) (*Table, error) {
	if !slices.Contains(Languages(), language) {
		return nil, fmt.Errorf("there are no words in %q: %s", language, strings.Join(Languages(), ", "))
	}
	t := &Table{language, map[string]Entry{}}
	files, err := fs.Glob(texts, path.Join(language, "*.txt"))
	if err != nil {
		return nil, err
	}
	for _, name := range files {
		data, err := texts.ReadFile(name)
		if err != nil {
			return nil, err
		}
		if err := t.read(name, string(data)); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// Language is the name of the table's language.
func (t *Table) Language() string { return t.language }

// Entry gives the words about a check; false if there are none.
func (t *Table) Entry(id string) (Entry, bool) {
	e, ok := t.entries[id]
	return e, ok
}

// UI gives a word of the screens; the key itself where there is none.
func (t *Table) UI(key string) string {
	if e, ok := t.entries["ui."+key]; ok {
		return e.Title
	}
	return key
}

// IDs are the ids of all entries about checks, sorted.
func (t *Table) IDs() []string {
	var ids []string
	for id := range t.entries {
		if !strings.HasPrefix(id, "ui.") {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// read adds the entries of one file.
func (t *Table) read(name, text string) error {
	id := ""
	var e Entry
	end := func() error {
		if id == "" {
			return nil
		}
		if _, dup := t.entries[id]; dup {
			return fmt.Errorf("%s: %s stands there twice", name, id)
		}
		e.Long = strings.TrimSpace(e.Long)
		t.entries[id] = e
		return nil
	}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if next, ok := strings.CutPrefix(line, "= "); ok {
			if err := end(); err != nil {
				return err
			}
			id, e = next, Entry{}
			continue
		}
		switch key, value, ok := strings.Cut(line, ": "); {
		case ok && key == "title" && e.Title == "":
			e.Title = value
		case ok && key == "why" && e.Why == "":
			e.Why = value
		case ok && key == "remedy" && e.Remedy == "":
			e.Remedy = value
		case id == "" && line != "":
			return fmt.Errorf("%s: %q stands before the first entry", name, line)
		default:
			e.Long += line + "\n"
		}
	}
	return end()
}
