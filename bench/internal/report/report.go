// Package report prints what was measured, with what is demanded of it.
package report

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/parley-dm/parley/bench/internal/machine"
)

// Row is one figure.
type Row struct {
	Measure string
	// Got is the figure as people read it; Detail what else there is to it.
	Got, Detail string
	// Value is compared with Floor and Goal, which are in the same unit; without them there is no verdict.
	Value       float64
	Floor, Goal float64
	// Less says that the value is to be below them.
	Less bool
	// Unit is for floor and goal.
	Unit string
	// Broken says what makes the figure worthless: messages that were not answered.
	Broken string
	Use    machine.Use
	// Tries is how often it was measured, because of foreign work.
	Tries int
}

// NoisyAbove is the share of foreign CPU above which a figure says little.
const NoisyAbove = 0.15

// Noisy says whether foreign work was in the way.
func Noisy(u machine.Use) bool { return !u.Known || u.Foreign > NoisyAbove }

func (r Row) verdict() string {
	reached := func(bound float64) bool {
		if r.Less {
			return r.Value < bound
		}
		return r.Value >= bound
	}
	switch {
	case r.Broken != "":
		return "BROKEN: " + r.Broken
	case r.Floor == 0 && r.Goal == 0:
		return ""
	case r.Goal != 0 && reached(r.Goal):
		return "GOAL reached"
	case r.Floor == 0:
		return "below the goal"
	case reached(r.Floor):
		return "floor reached"
	default:
		return "BELOW THE FLOOR"
	}
}

func (r Row) bound(v float64) string {
	if v == 0 {
		return ""
	}
	sign := "≥ "
	if r.Less {
		sign = "< "
	}
	return fmt.Sprintf("%s%g%s", sign, v, r.Unit)
}

func foreign(r Row) string {
	if !r.Use.Known {
		return "not known"
	}
	s := fmt.Sprintf("%.0f %% (ours %.0f %%)", 100*r.Use.Foreign, 100*r.Use.Own)
	if Noisy(r.Use) {
		s += fmt.Sprintf(" NOISY, %d tries", r.Tries)
	}
	return s
}

// Write prints the rows as a table.
func Write(w io.Writer, rows []Row) error {
	t := tabwriter.NewWriter(w, 2, 8, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "measure\tgot\tfloor\tgoal\tverdict\tforeign CPU\tdetail")
	for _, r := range rows {
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Measure, r.Got, r.bound(r.Floor), r.bound(r.Goal), r.verdict(), foreign(r), r.Detail)
	}
	return t.Flush()
}
