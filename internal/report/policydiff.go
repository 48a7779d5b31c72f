package report

import "strings"

// DiffLines returns the lines that differ between two texts, each run with so
// many lines around it that they share. The number of added and removed lines is
// the least possible unless very many lines differ.
func DiffLines(before, after string, around int) []LineDiff {
	a, b := splitLines(before), splitLines(after)
	all := diffAll(a, b)
	keep := make([]bool, len(all))
	for i, l := range all {
		if l.Op == "" {
			continue
		}
		for j := max(0, i-around); j <= min(len(all)-1, i+around); j++ {
			keep[j] = true
		}
	}
	var out []LineDiff
	for i, l := range all {
		if keep[i] {
			out = append(out, l)
		}
	}
	return out
}

func splitLines(text string) []string {
	var ls []string
	for l := range strings.Lines(text) {
		ls = append(ls, strings.TrimSuffix(l, "\n"))
	}
	return ls
}

// maxTable bounds the table of the comparison, whose size is the product of the
// numbers of lines that differ.
const maxTable = 1 << 22

// diffAll returns all lines of both texts.
func diffAll(a, b []string) []LineDiff {
	head := 0
	for head < len(a) && head < len(b) && a[head] == b[head] {
		head++
	}
	tail := 0
	for tail < len(a)-head && tail < len(b)-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	var out []LineDiff
	for i := range head {
		out = append(out, LineDiff{"", i + 1, a[i]})
	}
	out = append(out, diffMiddle(a[head:len(a)-tail], b[head:len(b)-tail], head)...)
	for i := range tail {
		n := len(a) - tail + i
		out = append(out, LineDiff{"", n + 1, a[n]})
	}
	return out
}

// diffMiddle is by the longest common subsequence.
func diffMiddle(a, b []string, offset int) []LineDiff {
	common := make([][]int, len(a)+1)
	if len(a)*len(b) <= maxTable {
		for i := range common {
			common[i] = make([]int, len(b)+1)
		}
		for i := len(a) - 1; i >= 0; i-- {
			for j := len(b) - 1; j >= 0; j-- {
				if a[i] == b[j] {
					common[i][j] = common[i+1][j+1] + 1
				} else {
					common[i][j] = max(common[i+1][j], common[i][j+1])
				}
			}
		}
	}
	var out []LineDiff
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && common[i] != nil && a[i] == b[j]:
			out = append(out, LineDiff{"", offset + i + 1, a[i]})
			i++
			j++
		case i < len(a) && (j == len(b) || common[i] == nil || common[i+1][j] >= common[i][j+1]):
			out = append(out, LineDiff{"-", offset + i + 1, a[i]})
			i++
		default:
			out = append(out, LineDiff{"+", offset + j + 1, b[j]})
			j++
		}
	}
	return out
}
