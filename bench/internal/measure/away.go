package measure

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/parley-dm/parley/bench/internal/machine"
	"github.com/parley-dm/parley/bench/internal/report"
	"github.com/parley-dm/parley/bench/internal/site"
	"github.com/parley-dm/parley/bench/internal/traffic"
)

const (
	// awayRate is the load under which PostgreSQL goes away.
	awayRate = 200
	// patience is how long rows may be waited for when PostgreSQL is back, in multiples of the time that it was away.
	patience = 2
)

// Away measures the replies of one process before, while and after PostgreSQL is away, and waits for the rows. Nothing of it is
// taken twice: the phases are compared with each other.
func (b *Bench) Away(ctx context.Context) (err error) {
	b.say("PostgreSQL away for %s", b.o.Away)
	in, err := b.site.Single(ctx, b.stub.URL(), b.o.ProfileDir != "")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Stop()) }()
	if err := b.makeRules(ctx, in); err != nil {
		return err
	}
	if _, err := b.answered(ctx, in, load{rate: awayRate, lasts: b.o.Each}); err != nil { // warms up
		return err
	}
	posted, err := rows(ctx, in)
	if err != nil {
		return err
	}
	var first time.Duration
	for _, phase := range []struct {
		name  string
		begin func(context.Context) error
	}{
		{"before", func(context.Context) error { return nil }},
		{"away", b.site.TakePostgresAway},
		{"catching up", b.site.BringPostgresBack},
	} {
		if err := phase.begin(ctx); err != nil {
			return err
		}
		profiled := b.profile(ctx, in, "postgres-"+phase.name)
		meter := machine.Start()
		got, err := b.replied(ctx, in, load{rate: awayRate, lasts: b.o.Away})
		use := meter.Stop()
		if err := errors.Join(err, profiled()); err != nil {
			return err
		}
		posted += 2 * got.Posted
		row, p99, err := awayRow(phase.name, in, got, first, use)
		if err != nil {
			return err
		}
		if first == 0 {
			first = p99
		}
		b.add(row)
	}
	return b.complete(ctx, in, posted)
}

// awayRow is the figure of one phase, compared with the first one's.
func awayRow(name string, in *site.Installation, got answers, first time.Duration, use machine.Use) (report.Row, time.Duration, error) {
	resident, err := machine.Resident(in.One.PID())
	p50, p99 := traffic.Percentile(got.Latencies, 50), traffic.Percentile(got.Latencies, 99)
	detail := fmt.Sprintf("p50 %s, p99.9 %s; %.0f MB", milliseconds(p50), milliseconds(traffic.Percentile(got.Latencies, 99.9)), megabytes(float64(resident)))
	if first > 0 {
		detail = fmt.Sprintf("%.1f times that before; %s", float64(p99)/float64(first), detail)
	}
	return report.Row{
		Measure: fmt.Sprintf("p99 at %d/s, PostgreSQL %s", awayRate, name), Got: milliseconds(p99), Detail: detail, Broken: got.broken(), Use: use, Tries: 1,
	}, p99, err
}

// complete waits for the rows of all that was posted.
func (b *Bench) complete(ctx context.Context, in *site.Installation, wanted int) error {
	took, err := archived(ctx, in, wanted, patience*b.o.Away)
	if err != nil {
		return err
	}
	got, err := rows(ctx, in)
	if err != nil {
		return err
	}
	row := report.Row{
		Measure: "rows after PostgreSQL was away", Got: fmt.Sprintf("%d of %d", got, wanted), Use: anyUse, Tries: 1,
		Detail: fmt.Sprintf("complete %s after the last phase", took.Round(100*time.Millisecond)),
	}
	if got != wanted {
		row.Broken = fmt.Sprintf("expected %d rows", wanted)
	}
	b.add(row)
	return nil
}
