package filter

import "strings"

// near returns the name that word was probably meant to be: the same but for
// upper and lower case, or at most two edits away (one if it is short); "" if
// there is none.
func near(word string, names []string) string {
	best, least := "", 3
	if len(word) < 4 {
		least = 2
	}
	for _, n := range names {
		if strings.EqualFold(n, word) {
			return n
		}
		if d := edits(word, n, least); d < least {
			best, least = n, d
		}
	}
	return best
}

// edits returns how many bytes have to be put in, left out or changed to make b
// of a, or limit if it is no less.
func edits(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
