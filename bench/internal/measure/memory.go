package measure

import (
	"context"
	"fmt"
	"time"

	"github.com/parley-dm/parley/bench/internal/machine"
	"github.com/parley-dm/parley/bench/internal/report"
	"github.com/parley-dm/parley/bench/internal/site"
	"github.com/parley-dm/parley/pkg/topology"
)

const (
	// idleFor is how long a process does nothing before its memory is read.
	idleFor = 3 * time.Second
	// steadyRate is the load that memory is watched under.
	steadyRate = 1000
	// mostIdle is the floor for an idle process, in MB; flat is how much larger the last quarter of a steady load may be
	// than the one before.
	mostIdle, flat = 150, 1.1
	// judged is how long a load has to last to be judged: JetStream remembers message ids for a window, in memory, and the last
	// two quarters have to lie behind it.
	judged = 2 * topology.Window
)

// idleMemory reads what a process takes that has nothing to do.
func (b *Bench) idleMemory(ctx context.Context, in *site.Installation) error {
	if err := pause(ctx, idleFor); err != nil { // what a start leaves to be done is done
		return err
	}
	before := b.spent(ctx, in)
	if err := pause(ctx, idleFor); err != nil {
		return err
	}
	idle := b.spent(ctx, in).since(before)
	resident, err := machine.Resident(in.One.PID())
	if err != nil {
		return err
	}
	mb := megabytes(float64(resident))
	b.add(report.Row{
		Measure: "memory of parley serve, idle", Got: fmt.Sprintf("%.0f MB", mb), Value: mb, Floor: mostIdle, Less: true, Unit: " MB", Use: anyUse,
		Detail: fmt.Sprintf("resident, PostgreSQL apart; it uses %.1f %% of a core, PostgreSQL %.1f %%", share(idle.parley), share(idle.postgres)),
	})
	return nil
}

// steadyMemory watches it under a steady load. Less than the judged time is told without a verdict.
func (b *Bench) steadyMemory(ctx context.Context, in *site.Installation, name string) error {
	watch := machine.Watch(ctx, in.One.PID())
	meter := machine.Start()
	got, err := b.answered(ctx, in, load{rate: steadyRate, lasts: b.o.Steady})
	use := meter.Stop()
	seen := watch.Stop()
	if err != nil {
		return err
	}
	if len(seen) < 8 {
		return fmt.Errorf("memory was read %d times only", len(seen))
	}
	q := quarters(each(seen, func(bytes int64) float64 { return megabytes(float64(bytes)) }), mean)
	row := report.Row{
		Measure: fmt.Sprintf("memory at %d/s for %s, %s", steadyRate, b.o.Steady, name), Got: fmt.Sprintf("%.0f MB", q[3]), Use: use, Tries: 1,
		Value: q.grown(), Less: true, Unit: " times", Broken: got.broken(),
		Detail: fmt.Sprintf("by quarters %s MB: the last is %.2f times the one before", q, q.grown()),
	}
	if b.o.Steady >= judged {
		row.Floor = flat
	} else {
		row.Detail += "; not judged, because ids of messages are kept for a while and still gather"
	}
	b.add(row)
	return nil
}

// share is a percentage of one core during idleFor.
func share(cpu time.Duration) float64 { return 100 * cpu.Seconds() / idleFor.Seconds() }

func megabytes(bytes float64) float64 { return bytes / (1 << 20) }
