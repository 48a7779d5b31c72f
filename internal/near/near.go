// Package near tells how far a word is from one that somebody may have meant.
// Which distance is near enough is for those to say who know the words.
package near

// longest is the length from which words are not compared: nobody mistypes one of
// that length by a few letters.
const longest = 64

// Distance counts the bytes to insert, remove, replace or swap with their
// neighbour to make b of a (optimal string alignment); for words of more than 64
// bytes it is 64.
func Distance(a, b string) int {
	if len(a) > longest || len(b) > longest {
		return longest
	}
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			d := min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d = min(d, rows[i-2][j-2]+1)
			}
			rows[i][j] = d
		}
	}
	return rows[len(a)][len(b)]
}
