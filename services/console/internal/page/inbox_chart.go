package page

import (
	"time"
)

// The chart's measures, in units of its own: it is as wide as the page lets it be.
const (
	chartWidth = 720
	chartLabel = 170 // where bars begin
	chartBar   = 22
	chartEnd   = 90 // room for the last bar's figure
	chartTicks = 4
)

// timeChart gathers bars on one axis of time.
type timeChart struct{ bars []timeBar }

type timeBar struct {
	name, tone string
	from, to   time.Time
}

func newChart() *timeChart { return &timeChart{} }

// add adds a bar; one that ends before it begins, because clocks differ, has no length.
func (c *timeChart) add(name, tone string, from, to time.Time) {
	if to.Before(from) {
		to = from
	}
	c.bars = append(c.bars, timeBar{name, tone, from, to})
}

// drawing is what the template draws: bars and lines with their places.
type drawing struct {
	Width, Height int
	Bars          []chartLine
	Ticks         []chartTick
	Total         string
}

type chartLine struct {
	Name, Tone, Took    string
	X, Y, W, TextX, Mid int
}

type chartTick struct {
	X    int
	Text string
}

// draw gives every bar its place.
func (c *timeChart) draw() drawing {
	out := drawing{Width: chartWidth, Height: chartBar*len(c.bars) + 30}
	if len(c.bars) == 0 {
		return out
	}
	from, to := c.bars[0].from, c.bars[0].to
	for _, b := range c.bars {
		if b.from.Before(from) {
			from = b.from
		}
		if b.to.After(to) {
			to = b.to
		}
	}
	span := max(to.Sub(from), time.Millisecond)
	room := float64(chartWidth - chartLabel - chartEnd)
	place := func(d time.Duration) int { return int(room * float64(d) / float64(span)) }
	for i, b := range c.bars {
		line := chartLine{Name: b.name, Tone: b.tone, Took: spell(b.to.Sub(b.from)), X: chartLabel + place(b.from.Sub(from)), Y: i*chartBar + 4, W: max(place(b.to.Sub(b.from)), 3)}
		line.TextX, line.Mid = line.X+line.W+6, line.Y+12
		out.Bars = append(out.Bars, line)
	}
	for i := range chartTicks + 1 {
		at := span * time.Duration(i) / chartTicks
		out.Ticks = append(out.Ticks, chartTick{X: chartLabel + place(at), Text: spell(at.Round(time.Millisecond))})
	}
	out.Total = spell(span)
	return out
}
