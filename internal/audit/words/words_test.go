package words_test

import (
	"testing"

	"sekimori/internal/audit/words"
)

func TestLanguages(t *testing.T) {
	en, err := words.Load("en")
	if err != nil {
		t.Fatal(err)
	}
	for _, language := range words.Languages() {
		w, err := words.Load(language)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := w.IDs(), en.IDs(); len(got) != len(want) {
			t.Errorf("%s: %d entries, English has %d", language, len(got), len(want))
		}
		for _, id := range en.IDs() {
			e, ok := w.Entry(id)
			if !ok || e.Title == "" || e.Why == "" || e.Remedy == "" {
				t.Errorf("%s: %s: %+v", language, id, e)
			}
		}
	}
	if _, err := words.Load("tlh"); err == nil {
		t.Error("there are words in Klingon")
	}
}

func TestOf(t *testing.T) {
	for locale, want := range map[string]string{"": "en", "C": "en", "C.UTF-8": "en", "ja_JP.UTF-8": "ja", "ja": "ja", "ja.UTF-8": "ja", "de_DE@euro": "en", "POSIX": "en"} {
		if got := words.Of(locale); got != want {
			t.Errorf("%q: %s, want %s", locale, got, want)
		}
	}
}
