package filter

import (
	"strings"

	"sekimori/internal/near"
)

// nearest returns the name that word was probably meant to be: the same but for
// upper and lower case, or at most two edits away (one if it is short); "" if
// there is none.
func nearest(word string, names []string) string {
	best, least := "", 3
	if len(word) < 4 {
		least = 2
	}
	for _, n := range names {
		if strings.EqualFold(n, word) {
			return n
		}
		if d := near.Distance(word, n); d < least {
			best, least = n, d
		}
	}
	return best
}
