// Package chart draws the console's charts as SVG, with go-analyze/charts: it is pure Go, maintained, needs no browser, and draws lines,
// stacked bars and their axes well enough. The pages show them as pictures, so that what the module writes into an SVG is subject to
// no page's policy, with the figures in a table beside them for those who do not see pictures.
package chart

import (
	"fmt"
	"time"

	"github.com/go-analyze/charts"
)

// Series is one line, or one part of each bar.
type Series struct {
	Name   string
	Values []float64
}

// Chart is what is drawn.
type Chart struct {
	Labels []string
	Series []Series
	Dark   bool
	// Bars draws stacked bars instead of lines.
	Bars bool
	// Format writes a value at the axis; nil for whole numbers.
	Format func(float64) string
}

// The size of every chart, in its own units: pages scale it.
const (
	width  = 760
	height = 260
)

// SVG draws it.
func (c Chart) SVG() ([]byte, error) {
	names, values := make([]string, len(c.Series)), make([][]float64, len(c.Series))
	for i, s := range c.Series {
		names[i], values[i] = s.Name, s.Values
	}
	painter := charts.NewPainter(charts.PainterOptions{OutputFormat: charts.ChartOutputSVG, Width: width, Height: height})
	err := c.draw(painter, names, values)
	if err != nil {
		return nil, fmt.Errorf("draw a chart: %w", err)
	}
	svg, err := painter.Bytes()
	if err != nil {
		return nil, fmt.Errorf("draw a chart: %w", err)
	}
	return svg, nil
}

func (c Chart) draw(painter *charts.Painter, names []string, values [][]float64) error {
	format := c.Format
	if format == nil {
		format = func(v float64) string { return fmt.Sprintf("%.0f", v) }
	}
	padding := charts.NewBoxEqual(12)
	if c.Bars {
		o := charts.NewBarChartOptionWithData(values)
		o.Theme, o.Padding, o.ValueFormatter, o.StackSeries = c.theme(), padding, format, charts.Ptr(true)
		o.CategoryAxis.Labels, o.CategoryAxis.LabelCount = c.Labels, labelCount(c.Labels)
		o.Legend.SeriesNames = names
		return painter.BarChart(o)
	}
	o := charts.NewLineChartOptionWithData(values)
	o.Theme, o.Padding, o.ValueFormatter, o.LineStrokeWidth = c.theme(), padding, format, 2
	o.Symbol.Shape = charts.SymbolNone
	o.XAxis.Labels, o.XAxis.LabelCount = c.Labels, labelCount(c.Labels)
	o.Legend.SeriesNames = names
	return painter.LineChart(o)
}

// theme has a background that lets the card's through.
func (c Chart) theme() charts.ColorPalette {
	name := charts.ThemeLight
	if c.Dark {
		name = charts.ThemeDark
	}
	return charts.GetTheme(name).WithBackgroundColor(charts.ColorTransparent)
}

func labelCount(labels []string) int { return min(len(labels), 6) }

// Duration writes a number of seconds.
func Duration(seconds float64) string {
	return time.Duration(seconds * float64(time.Second)).Round(10 * time.Millisecond).String()
}
