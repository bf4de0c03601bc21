package config

import "strings"

// nearest returns the candidate that was probably meant by word, "" when none
// is near enough. Case does not count, swapped neighbours count as one mistake,
// and so does an abbreviation of three letters or more.
func nearest(word string, candidates []string) string {
	if len(word) > 64 {
		return ""
	}
	lower := strings.ToLower(word)
	best, bestDistance := "", 1<<30
	for _, c := range candidates {
		lc := strings.ToLower(c)
		limit := max(1, min(len(lower), len(lc))/3)
		prefix := len(lower) >= 3 && strings.HasPrefix(lc, lower) || len(lc) >= 3 && strings.HasPrefix(lower, lc)
		if !prefix && max(len(lower), len(lc))-min(len(lower), len(lc)) > limit {
			continue // the lengths alone differ by more
		}
		d := distance(lower, lc)
		if prefix {
			d = min(d, limit)
		}
		if d <= limit && d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

// distance is the number of insertions, deletions, replacements and swaps of
// neighbours that turn a into b.
func distance(a, b string) int {
	before := make([]int, len(b)+1) // the row before the last
	last := make([]int, len(b)+1)
	row := make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
