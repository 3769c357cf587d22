package measure

import "fmt"

// means are those of the four quarters of a time.
type means [4]float64

// quarters sums up what was seen, evenly spaced in time, at least four times.
func quarters(seen []float64) (m means) {
	for n := range m {
		part := seen[n*len(seen)/4 : (n+1)*len(seen)/4]
		for _, v := range part {
			m[n] += v / float64(len(part))
		}
	}
	return m
}

func (m means) String() string { return fmt.Sprintf("%.0f, %.0f, %.0f, %.0f", m[0], m[1], m[2], m[3]) }

// each is one thing of all that was seen.
func each[T any](seen []T, of func(T) float64) []float64 {
	out := make([]float64, len(seen))
	for i, v := range seen {
		out[i] = of(v)
	}
	return out
}
