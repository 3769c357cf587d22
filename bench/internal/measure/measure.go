// Package measure takes the measures. Each starts what it needs, is bounded in time, and says how much of the machine's CPU
// was foreign meanwhile; a figure taken while others worked is taken again, a few times at most.
package measure

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/parley-dm/parley/bench/internal/machine"
	"github.com/parley-dm/parley/bench/internal/report"
	"github.com/parley-dm/parley/bench/internal/site"
	"github.com/parley-dm/parley/bench/internal/traffic"
)

// Options says how long and how often.
type Options struct {
	// Each is how long one load lasts, Steady how long the one does that memory is watched under.
	Each, Steady time.Duration
	// Away is how long PostgreSQL is away, and how long the phases before and after it last.
	Away time.Duration
	// Soak is how long the long load lasts.
	Soak time.Duration
	// Tries bounds how often a figure is taken when others work on the machine; Until is when no more tries begin.
	Tries int
	Until time.Time
	// Connections that webhooks come on.
	Connections int
	// Brief leaves out of the replies all but how many a second there are at most.
	Brief bool
	// ProfileDir is where CPU profiles of the one process go; none are taken if it is empty.
	ProfileDir string
	// Progress is told what goes on.
	Progress io.Writer
}

// Bench takes measures on a site.
type Bench struct {
	o     Options
	site  *site.Site
	stub  *traffic.Stub
	begin time.Time
	// first is the id of the next run's first customer.
	first int64
	rows  []report.Row
}

// New makes a bench.
func New(s *site.Site, stub *traffic.Stub, o Options) *Bench {
	return &Bench{o: o, site: s, stub: stub, begin: time.Now(), first: 7_000_000_000}
}

// Rows are the figures so far.
func (b *Bench) Rows() []report.Row { return b.rows }

func (b *Bench) add(rows ...report.Row) {
	for _, r := range rows {
		b.say("%s: %s (%s)", r.Measure, r.Got, r.Detail)
	}
	b.rows = append(b.rows, rows...)
}

func (b *Bench) say(format string, args ...any) {
	_, _ = fmt.Fprintf(b.o.Progress, "%6.1fs  %s\n", time.Since(b.begin).Seconds(), fmt.Sprintf(format, args...))
}

// author writes as customers who have never written before.
func (b *Bench) author(texts ...string) *traffic.Author {
	a := &traffic.Author{Account: site.Account, Secret: site.Secret, First: b.first, Texts: texts}
	b.first += 10_000_000
	return a
}

// quiet takes a figure until little foreign CPU was in it, a few times at most, and gives the one with the least.
func quiet[T any](ctx context.Context, b *Bench, take func() (T, error)) (best T, use machine.Use, tries int, err error) {
	for tries = 1; ; tries++ {
		meter := machine.Start()
		got, err := take()
		u := meter.Stop()
		if err != nil {
			return got, u, tries, err
		}
		if tries == 1 || u.Foreign < use.Foreign {
			best, use = got, u
		}
		if !report.Noisy(use) || !u.Known || tries >= b.o.Tries || time.Now().After(b.o.Until) || ctx.Err() != nil {
			return best, use, tries, ctx.Err()
		}
		b.say("  %.0f %% foreign CPU: once more", 100*u.Foreign)
	}
}

// cost is the CPU time of a load: of Parley with its bus, of PostgreSQL, and of who plays Meta.
type cost struct{ parley, postgres, bench time.Duration }

func (b *Bench) spent(ctx context.Context, in *site.Installation) cost {
	c := cost{parley: in.CPU(), postgres: b.site.PostgresCPU(ctx)}
	c.bench = machine.Own()
	return c
}

func (c cost) since(before cost) cost {
	return cost{c.parley - before.parley, c.postgres - before.postgres, c.bench - before.bench}
}

// each is the cost of one of n.
func (c cost) each(n int) string {
	us := func(d time.Duration) int64 { return d.Microseconds() / int64(max(n, 1)) }
	return fmt.Sprintf("CPU each: %d µs, PostgreSQL %d, bench %d", us(c.parley), us(c.postgres), us(c.bench))
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
}
