package measure

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/parley-dm/parley/bench/internal/machine"
	"github.com/parley-dm/parley/bench/internal/report"
	"github.com/parley-dm/parley/bench/internal/site"
)

const (
	// soakRate is messages a second, of so many customers that none writes more than MAX_REPLIES_PER_MINUTE.
	soakRate, soakCustomers = 100, 1000
	// looks are how many footprints are taken.
	looks = 60
)

// Soak has the one process answer the simulator's customers for a long time, and says of all that it takes whether it grows. Nothing
// of it is taken twice: it is a matter of an hour.
func (b *Bench) Soak(ctx context.Context) (err error) {
	b.say("soak: %d messages a second for %s", soakRate, b.o.Soak)
	entry, err := b.ledger(ctx)
	if err != nil {
		return fmt.Errorf("measure the ledger: %w", err)
	}
	in, err := b.site.Simulated(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Stop()) }()
	first, err := look(ctx, in)
	if err != nil {
		return err
	}
	meter := machine.Start()
	judged, seen, err := b.soaked(ctx, in)
	use := meter.Stop()
	if err != nil {
		return err
	}
	row := report.Row{
		Measure: fmt.Sprintf("soak at %d/s for %s", soakRate, b.o.Soak), Got: fmt.Sprintf("%d of %d answered", judged.Answered, judged.Sent), Use: use, Tries: 1,
		Detail: fmt.Sprintf("p50 %s, p99 %s, from the message to its reply", milliseconds(time.Duration(judged.P50)), milliseconds(time.Duration(judged.P99))),
	}
	if !judged.Good {
		row.Broken = fmt.Sprintf("%d missing, %d doubled, %d out of order, %d wrong", judged.Missing, judged.Doubled, judged.Swapped, judged.Wrong)
		for _, f := range judged.Faults {
			b.say("  %s", f)
		}
	}
	b.add(row)
	b.add(b.held(seen, judged.Sent, entry)...)
	b.add(grown(first, seen, judged.Sent)...)
	return nil
}

// soaked has the customers write, and looks at Parley meanwhile.
func (b *Bench) soaked(ctx context.Context, in *site.Installation) (site.Judged, []footprint, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watched := make(chan []footprint, 1)
	go func() {
		var seen []footprint
		wait := b.o.Soak / looks / 2 // each in the middle of its time: the last one while the customers still write
		for range looks {
			if pause(ctx, wait) != nil {
				break
			}
			wait = b.o.Soak / looks
			f, err := look(ctx, in)
			if err != nil {
				cancel(err)
				break
			}
			seen = append(seen, f)
			b.say("  %.0f MB resident, %.0f in the heap; %.0f goroutines, %.0f files; bus %.0f MB, spool %.1f, database %.0f, its log %.0f", megabytes(f.resident), megabytes(f.heap),
				f.goroutines, f.files, megabytes(f.bus), megabytes(f.spool), megabytes(f.rows), megabytes(f.wal))
		}
		watched <- seen
	}()
	judged, err := b.site.Customers(ctx, in, soakCustomers, soakRate, b.o.Soak)
	if err != nil {
		cancel(err)
		return judged, nil, errors.Join(err, context.Cause(ctx))
	}
	seen := <-watched
	if len(seen) < looks {
		return judged, nil, fmt.Errorf("looked %d times of %d: %w", len(seen), looks, context.Cause(ctx))
	}
	return judged, seen, nil
}

// held are the figures of what must not grow. Of the heap that is all but NATS's index of the ledger, which has entry bytes for each of
// the messages.
func (b *Bench) held(seen []footprint, sent int, entry float64) []report.Row {
	var rows []report.Row
	for _, part := range []struct {
		name, unit string
		of         func(footprint) float64
	}{
		{"memory, resident", " MB", func(f footprint) float64 { return megabytes(f.resident) }},
		{"goroutines", "", func(f footprint) float64 { return f.goroutines }},
		{"open files", "", func(f footprint) float64 { return f.files }},
	} {
		rows = append(rows, b.steady("soak: "+part.name, part.unit, each(seen, part.of), nil))
	}
	index := make([]float64, len(seen))
	for n := range seen {
		index[n] = megabytes(entry * float64(sent) * (float64(n) + 0.5) / float64(len(seen)))
	}
	return append(rows, b.steady("soak: memory, heap", " MB", each(seen, func(f footprint) float64 { return megabytes(f.heap) }), index))
}

// grown are the figures of what is kept, and grows with every message until it is old enough: how much a message takes, early and
// late.
func grown(first footprint, seen []footprint, sent int) []report.Row {
	var rows []report.Row
	half, last := seen[len(seen)/2-1], seen[len(seen)-1]
	for _, part := range []struct {
		name string
		of   func(footprint) float64
	}{
		{"files of the bus", func(f footprint) float64 { return f.bus }},
		{"database", func(f footprint) float64 { return f.rows }},
	} {
		kilobytes := func(from, to footprint) float64 { return (part.of(to) - part.of(from)) / float64(sent) * 2 / 1024 }
		rows = append(rows, report.Row{
			Measure: "soak: " + part.name, Got: fmt.Sprintf("%.0f MB", megabytes(part.of(last))), Use: anyUse, Tries: 1,
			Detail: fmt.Sprintf("%.0f MB at the begin; %.2f kB a message in the first half, %.2f in the second", megabytes(part.of(first)), kilobytes(first, half), kilobytes(half, last)),
		})
	}
	for _, part := range []struct {
		name, why string
		of        func(footprint) float64
	}{
		{"log of the database", "; PostgreSQL keeps max_wal_size of it, which is 1 GB", func(f footprint) float64 { return f.wal }},
		{"spool", "", func(f footprint) float64 { return f.spool }},
	} {
		size := each(seen, func(f footprint) float64 { return megabytes(part.of(f)) })
		rows = append(rows, report.Row{
			Measure: "soak: " + part.name, Got: fmt.Sprintf("%.1f MB", size[len(size)-1]), Use: anyUse, Tries: 1, Detail: fmt.Sprintf("by quarters %s MB%s", quarters(size, mean), part.why),
		})
	}
	return rows
}

// steady is the figure of something that is to stay as it is, but for a part that is known to grow; nil is none. It is judged by the
// least that was seen in each quarter. A time too short to tell has no verdict.
func (b *Bench) steady(name, unit string, seen, known []float64) report.Row {
	stays, but := slices.Clone(seen), ""
	if known != nil {
		for n := range stays {
			stays[n] -= known[n]
		}
		but = fmt.Sprintf(", without the ledger's index, up to %.0f%s of it,", slices.Max(known), unit)
	}
	q := quarters(stays, least)
	row := report.Row{
		Measure: name, Got: fmt.Sprintf("%.0f%s", mean(seen[len(seen)*3/4:]), unit), Value: q.grown(), Less: true, Unit: " times", Use: anyUse, Tries: 1,
		Detail: fmt.Sprintf("by quarters %s%s, %.0f at most; the least%s %s: the last is %.2f times the one before", quarters(seen, mean), unit, slices.Max(seen), but, q, q.grown()),
	}
	if b.o.Soak >= judged {
		row.Floor = flat
	}
	return row
}
