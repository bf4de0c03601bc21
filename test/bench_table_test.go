package test

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// benchEnv must be set for the tests that measure director beside keepalived, and take minutes.
const benchEnv = "DIRECTOR_BENCH"

// A contest is one line of the table of results: what was measured of director and of another program, in turns.
type contest struct {
	name, unit   string
	rival        string  // empty: keepalived
	goal         float64 // the ratio, director to the other, that is wanted; 0: none
	limit        float64 // what director's median must stay below, in the unit; 0: none
	ours, theirs []float64
}

// add notes what was measured of one of the two.
func (c *contest) add(who string, value float64) {
	if who == "director" {
		c.ours = append(c.ours, value)
	} else {
		c.theirs = append(c.theirs, value)
	}
}

// benchMark begins each line of the table, so that it is found in the output of many tests, also from within User Mode Linux.
const benchMark = "bench| "

// tell prints a table.
func tell(t testing.TB, list ...*contest) {
	t.Helper()
	var w strings.Builder
	fmt.Fprintln(&w, benchMark+benchHead)
	for _, c := range list {
		fmt.Fprintln(&w, benchMark+c.line())
	}
	_, _ = os.Stdout.WriteString(w.String())
}

// benchHead is the table's heading.
var benchHead = fmt.Sprintf("%-58s %-8s %-24s %-24s %-11s %6s  %s", "", "unit", "director min/med/max", "other min/med/max", "other", "ratio", "goal")

func (c *contest) line() string {
	rival := c.rival
	if rival == "" {
		rival = "keepalived"
	}
	ratio, goal := "", ""
	if len(c.theirs) > 0 && middle(c.theirs) > 0 {
		r := middle(c.ours) / middle(c.theirs)
		ratio = fmt.Sprintf("%.2f", r)
		if c.goal > 0 {
			goal = fmt.Sprintf("at most %.2f: %s", c.goal, reached(r <= c.goal))
		}
	} else if len(c.theirs) == 0 {
		rival = ""
	}
	if c.limit > 0 {
		goal = strings.TrimPrefix(goal+fmt.Sprintf("; below %g %s: %s", c.limit, c.unit, reached(middle(c.ours) < c.limit)), "; ")
	}
	return strings.TrimRight(fmt.Sprintf("%-58s %-8s %-24s %-24s %-11s %6s  %s", c.name, c.unit, spread(c.ours), spread(c.theirs), rival, ratio, goal), " ")
}

func reached(yes bool) string {
	if yes {
		return "reached"
	}
	return "MISSED"
}

func middle(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

// spread is the least, the middle and the greatest of the values.
func spread(v []float64) string {
	if len(v) == 0 {
		return "-"
	}
	digits := 0
	if slices.Max(v) < 100 {
		digits = 1
	}
	return fmt.Sprintf("%.*f / %.*f / %.*f", digits, slices.Min(v), digits, middle(v), digits, slices.Max(v))
}

// benching says whether measurements are asked for.
func benching() bool { return os.Getenv(benchEnv) != "" }

// benchRounds is how often everything is measured: BENCH_ROUNDS, else usual.
func benchRounds(usual int) int {
	if n, err := strconv.Atoi(os.Getenv("BENCH_ROUNDS")); err == nil && n > 0 {
		return n
	}
	return usual
}
