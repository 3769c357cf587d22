package view_test

import (
	"math"
	"os"
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// shade is a colour in the light and in the dark.
type shade [2]string

// palette reads the colours of the design's custom properties.
func palette(t *testing.T) map[string]shade {
	t.Helper()
	css, err := os.ReadFile("assets/console.css")
	require.NoError(t, err)
	colours := map[string]shade{"white": {"#ffffff", "#ffffff"}}
	for _, m := range regexp.MustCompile(`--([a-z-]+): (?:light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)|(#[0-9a-f]{6}));`).FindAllStringSubmatch(string(css), -1) {
		if m[4] != "" {
			m[2], m[3] = m[4], m[4]
		}
		colours[m[1]] = shade{m[2], m[3]}
	}
	return colours
}

// luminance is the relative luminance of a colour (WCAG 2.2).
func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	sum := 0.0
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		n, err := strconv.ParseUint(hex[1+2*i:3+2*i], 16, 8)
		require.NoError(t, err)
		c := float64(n) / 255
		if c <= 0.04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		sum += weight * c
	}
	return sum
}

// contrast is the ratio of two colours, 1 to 21.
func contrast(t *testing.T, a, b string) float64 {
	t.Helper()
	x, y := luminance(t, a), luminance(t, b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

// What is read has 4.5 to 1 against what it is on, what is only seen (borders of fields, focus rings, bars) 3 to 1: WCAG 2.2, 1.4.3
// and 1.4.11, level AA. In the light and in the dark.
func TestColoursHaveContrast(t *testing.T) {
	t.Parallel()
	grounds := []string{"bg", "surface", "raised", "sunken", "accent-soft", "good-soft"}
	colours := palette(t)
	for _, c := range []struct {
		least  float64
		colour string
		on     []string
	}{
		{4.5, "text", append(grounds, "warn-soft", "bad-soft")},
		{4.5, "muted", append(grounds, "warn-soft", "bad-soft")},
		{4.5, "accent", grounds},
		{4.5, "good", []string{"bg", "surface", "raised", "sunken", "good-soft"}},
		{4.5, "warn", []string{"bg", "surface", "raised", "sunken", "warn-soft"}},
		{4.5, "bad", []string{"bg", "surface", "raised", "sunken", "bad-soft"}},
		{4.5, "on-accent", []string{"accent-fill"}},
		{4.5, "white", []string{"accent-fill", "bad-fill"}},
		{3, "line-strong", []string{"bg", "surface", "raised", "sunken"}},
		{3, "accent-fill", []string{"bg", "surface", "sunken"}},
		{3, "accent", []string{"bg", "surface", "raised", "sunken", "accent-soft", "good-soft"}}, // focus rings
	} {
		for _, on := range c.on {
			for i, where := range []string{"light", "dark"} {
				require.Contains(t, colours, c.colour)
				require.Contains(t, colours, on)
				ratio := contrast(t, colours[c.colour][i], colours[on][i])
				require.GreaterOrEqualf(t, ratio, c.least, "%s on %s, %s: %.2f", c.colour, on, where, ratio)
			}
		}
	}
}
