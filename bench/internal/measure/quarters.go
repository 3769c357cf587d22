package measure

import (
	"fmt"
	"slices"
)

// four are what the four quarters of a time come to.
type four [4]float64

// quarters sums up, by what of says, what was seen, evenly spaced in time, at least four times.
func quarters(seen []float64, of func(part []float64) float64) (q four) {
	for n := range q {
		q[n] = of(seen[n*len(seen)/4 : (n+1)*len(seen)/4])
	}
	return q
}

func (q four) String() string { return fmt.Sprintf("%.0f, %.0f, %.0f, %.0f", q[0], q[1], q[2], q[3]) }

// grown is how many times the one before the last is.
func (q four) grown() float64 { return q[3] / q[2] }

func mean(seen []float64) float64 {
	sum := 0.0
	for _, v := range seen {
		sum += v
	}
	return sum / float64(len(seen))
}

// least is what stays when a burst is over, and garbage is collected: what leaks is in it.
func least(seen []float64) float64 { return slices.Min(seen) }

// each is one thing of all that was seen.
func each[T any](seen []T, of func(T) float64) []float64 {
	out := make([]float64, len(seen))
	for i, v := range seen {
		out[i] = of(v)
	}
	return out
}
