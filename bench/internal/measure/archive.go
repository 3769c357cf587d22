package measure

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parley-dm/parley/bench/internal/machine"
	"github.com/parley-dm/parley/bench/internal/report"
	"github.com/parley-dm/parley/bench/internal/site"
	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/postgres"
)

const (
	batchRows, writers = 500, 2
	// archivePoll is how often the archiver is asked how far it is.
	archivePoll = 50 * time.Millisecond
	// archiveTimeout bounds a drain.
	archiveTimeout = 2 * time.Minute
)

// Archive compares the rows that the archiver writes a second, from messages that wait on the bus, with a bare INSERT …
// SELECT unnest of 500 rows by two writers into the same table: nothing decoded, nothing looked up, no conversation kept.
func (b *Bench) Archive(ctx context.Context) error {
	b.say("archiver: bare inserts, then the archiver")
	raw, rawUse, rawTries, err := quiet(ctx, b, func() (float64, error) { return b.rawInserts(ctx) })
	if err != nil {
		return err
	}
	b.add(report.Row{
		Measure: "rows/s, bare unnest", Got: fmt.Sprintf("%.0f/s", raw), Use: rawUse, Tries: rawTries, Detail: fmt.Sprintf("%d rows at once, %d writers", batchRows, writers),
	})
	for _, kind := range []struct {
		name        string
		mix         mix
		floor, goal float64
	}{{"events", mix{events: true}, 25, 40}, {"events, intents, deliveries", mix{events: true, replies: true}, 0, 0}} {
		got, use, tries, err := b.drained(ctx, kind.mix)
		if err != nil {
			return err
		}
		share := 100 * got / raw
		b.add(report.Row{
			Measure: "archiver ÷ bare unnest, " + kind.name, Got: fmt.Sprintf("%.0f %%", share), Value: share, Floor: kind.floor, Goal: kind.goal, Unit: " %",
			Detail: fmt.Sprintf("%.0f messages/s", got), Use: worse(use, rawUse), Tries: max(tries, rawTries),
		})
	}
	return nil
}

// rawInserts is rows a second of the statement that the archiver is compared with.
func (b *Bench) rawInserts(ctx context.Context) (float64, error) {
	url, err := b.site.Database(ctx)
	if err != nil {
		return 0, err
	}
	pool, err := postgres.Open(ctx, config.Database{URL: config.Secret(url)}, postgres.Options{Name: "bench", MaxConns: writers})
	if err != nil {
		return 0, err
	}
	defer pool.Close()
	var conversation string
	const begin = `INSERT INTO conversations (page_id, instagram_user_id) VALUES ($1, '1') RETURNING id::text`
	if err := pool.QueryRow(ctx, begin, site.Account).Scan(&conversation); err != nil {
		return 0, fmt.Errorf("insert a conversation: %w", err)
	}
	var serial, count atomic.Int64
	until := time.Now().Add(b.o.Each)
	errs := make([]error, writers)
	var wg sync.WaitGroup
	start := time.Now()
	for i := range writers {
		wg.Go(func() {
			for time.Now().Before(until) && errs[i] == nil {
				errs[i] = insert(ctx, pool, conversation, int(serial.Add(1)))
				count.Add(batchRows)
			}
		})
	}
	wg.Wait()
	return float64(count.Load()) / time.Since(start).Seconds(), errors.Join(errs...)
}

func insert(ctx context.Context, pool *pgxpool.Pool, conversation string, serial int) error {
	const statement = `INSERT INTO messages (conversation_id, account, mid, sender_id, recipient_id, message_text, direction, status, metadata)
		SELECT $1::uuid, $2, mid, sender, $2, body, 'inbound', 'received', meta::jsonb
		FROM unnest($3::text[], $4::text[], $5::text[], $6::text[]) AS k (mid, sender, body, meta)`
	var columns [4][]string
	for n := range batchRows {
		m := written(serial*batchRows + n)
		for i, v := range []string{m.mid, m.customer, m.text, `{"raw":` + m.raw + `}`} {
			columns[i] = append(columns[i], v)
		}
	}
	if _, err := pool.Exec(ctx, statement, conversation, site.Account, columns[0], columns[1], columns[2], columns[3]); err != nil {
		return fmt.Errorf("insert rows: %w", err)
	}
	return nil
}

// drained is messages a second of an archiver that finds them waiting. Each try has a bus and a database of its own.
func (b *Bench) drained(ctx context.Context, m mix) (float64, machine.Use, int, error) {
	// Only the drain is metered, not the filling of the streams before it.
	type drain struct {
		rate float64
		use  machine.Use
	}
	var best drain
	for tries := 1; ; tries++ {
		in, err := b.site.Separate(ctx, b.stub.URL())
		if err != nil {
			return 0, machine.Use{}, tries, err
		}
		var got drain
		n, err := preload(ctx, in.NATS, m, b.o.Each)
		if err == nil {
			meter := machine.Start()
			got.rate, err = b.drain(ctx, in, n)
			got.use = meter.Stop()
		}
		if err := errors.Join(err, in.Stop()); err != nil {
			return 0, machine.Use{}, tries, err
		}
		if tries == 1 || got.use.Foreign < best.use.Foreign {
			best = got
		}
		if !report.Noisy(best.use) || !best.use.Known || tries >= b.o.Tries || time.Now().After(b.o.Until) {
			return best.rate, best.use, tries, nil
		}
	}
}

// drain starts an archiver and counts from the first rows that it says it has committed to the last ones.
func (b *Bench) drain(ctx context.Context, in *site.Installation, n int) (float64, error) {
	if err := b.site.Add(ctx, in, "archiver", b.stub.URL()); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, archiveTimeout)
	defer cancel()
	var first time.Time
	var before float64
	for {
		committed, err := metric(ctx, in.Admin("archiver"), "parley_archive_rows_total")
		if err != nil {
			return 0, err
		}
		now := time.Now()
		switch {
		case committed == 0:
		case first.IsZero() && committed >= float64(n):
			return 0, fmt.Errorf("the archiver was done with %d messages before it was first asked: measure for longer", n)
		case first.IsZero():
			first, before = now, committed
		case committed >= float64(n):
			return (committed - before) / now.Sub(first).Seconds(), nil
		default:
		}
		if err := pause(ctx, archivePoll); err != nil {
			return 0, fmt.Errorf("the archiver has %.0f of %d rows: %w", committed, n, err)
		}
	}
}

// metric reads the sum of one of a service's metrics.
func metric(ctx context.Context, admin, name string) (sum float64, err error) {
	resp, err := site.Get(ctx, "http://"+admin+"/metrics")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		line := lines.Text()
		if !strings.HasPrefix(line, name+"{") && !strings.HasPrefix(line, name+" ") {
			continue
		}
		v, err := strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64)
		if err != nil {
			return 0, fmt.Errorf("metric %s: %w", name, err)
		}
		sum += v
	}
	return sum, lines.Err()
}
