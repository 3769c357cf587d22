package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// rollupLock keeps two consoles from counting the same hours.
const rollupLock = 0x7061726c

// Slice is what is counted at once, and counted again while it may still change. An hour is the sum of its slices.
const Slice = 5 * time.Minute

// rollupSample is how many replies of a slice and account are looked at for how long customers waited: ids are derived by a hash,
// so that the first ones by id are a fair choice. It makes 500 of an hour at most.
const rollupSample = 41

// rollupSlices reads each message once: where there are many, reading them is what it takes.
const rollupSlices = `
WITH m AS (
    SELECT id, account, conversation_id, date_bin('5 minutes', timestamp, $1) AS slice, direction, status, sent_at,
        direction = 'outbound' AND status IN ('sent', 'delivered', 'read') AS sent,
        metadata #>> '{intent,origin}' AS origin, metadata #>> '{intent,part}' AS part, metadata #>> '{intent,rule_id}' AS rule_id,
        metadata #>> '{intent,rule_name}' AS rule_name, metadata #>> '{intent,trace,language}' AS language
    FROM messages WHERE timestamp >= $1 AND timestamp < $2
), names AS (
    INSERT INTO stats_slice_names (account, slice, kind, id, name, count)
    SELECT m.account, m.slice, n.kind, n.id, max(n.name), count(*)
    FROM m
    CROSS JOIN LATERAL (VALUES
        ('rule', CASE WHEN m.part = '0' THEN m.rule_id END, coalesce(m.rule_name, '')),
        ('language', m.language, '')) n (kind, id, name)
    WHERE m.direction = 'outbound' AND n.id IS NOT NULL
    GROUP BY m.account, m.slice, n.kind, n.id
), waits AS (
    SELECT account, slice, jsonb_object_agg(bucket, n) AS delays
    FROM (
        SELECT account, slice, least(80, greatest(0, ceil(ln(greatest(ms, 1) / 10.0) / ln(1.25))))::int AS bucket, count(*) AS n
        FROM (
            SELECT r.account, r.slice, extract(epoch FROM r.sent_at - asked.timestamp) * 1000 AS ms
            FROM (
                SELECT account, slice, conversation_id, sent_at, row_number() OVER (PARTITION BY account, slice ORDER BY id) AS nth
                FROM m WHERE direction = 'outbound' AND sent_at IS NOT NULL AND origin IN ('rule', 'engine', 'fallback')
            ) r
            JOIN LATERAL (
                SELECT i.timestamp FROM messages i
                WHERE i.conversation_id = r.conversation_id AND i.direction = 'inbound' AND i.timestamp <= r.sent_at
                ORDER BY i.timestamp DESC, i.id DESC LIMIT 1
            ) asked ON true
            WHERE r.nth <= $3
        ) waited
        GROUP BY account, slice, bucket
    ) buckets
    GROUP BY account, slice
)
INSERT INTO stats_slices (account, slice, inbound, by_rule, fallback, by_person, failed, delays)
SELECT account, slice, n.inbound, n.by_rule, n.fallback, n.by_person, n.failed, coalesce(waits.delays, '{}')
FROM (
    SELECT account, slice,
        count(*) FILTER (WHERE direction = 'inbound') AS inbound,
        count(*) FILTER (WHERE sent AND origin IN ('rule', 'engine')) AS by_rule,
        count(*) FILTER (WHERE sent AND origin = 'fallback') AS fallback,
        count(*) FILTER (WHERE sent AND coalesce(origin, 'operator') NOT IN ('rule', 'engine', 'fallback')) AS by_person,
        count(*) FILTER (WHERE status IN ('failed', 'expired', 'unknown')) AS failed
    FROM m GROUP BY account, slice
) n
LEFT JOIN waits USING (account, slice)`

const rollupHours = `
INSERT INTO stats_hours (account, hour, inbound, by_rule, fallback, by_person, failed, delays)
SELECT account, $1, n.inbound, n.by_rule, n.fallback, n.by_person, n.failed, coalesce(d.delays, '{}')
FROM (
    SELECT account, sum(inbound) AS inbound, sum(by_rule) AS by_rule, sum(fallback) AS fallback, sum(by_person) AS by_person, sum(failed) AS failed
    FROM stats_slices WHERE slice >= $1 AND slice < $2 GROUP BY account
) n
LEFT JOIN (
    SELECT account, jsonb_object_agg(bucket, n) AS delays
    FROM (SELECT s.account, e.key AS bucket, sum(e.value::bigint) AS n FROM stats_slices s CROSS JOIN LATERAL jsonb_each_text(s.delays) e
          WHERE s.slice >= $1 AND s.slice < $2 GROUP BY s.account, e.key) b
    GROUP BY account
) d USING (account)`

const rollupNames = `
INSERT INTO stats_names (account, hour, kind, id, name, count)
SELECT account, $1, kind, id, max(name), sum(count) FROM stats_slice_names WHERE slice >= $1 AND slice < $2 GROUP BY account, kind, id`

const rollupDays = `
INSERT INTO stats_days (account, day, inbound, by_rule, fallback, by_person, failed, delays, busy)
SELECT d.account, $1, d.inbound, d.by_rule, d.fallback, d.by_person, d.failed,
    coalesce((SELECT jsonb_object_agg(b.bucket, b.n) FROM (
        SELECT e.key AS bucket, sum(e.value::bigint) AS n FROM stats_hours h CROSS JOIN LATERAL jsonb_each_text(h.delays) e
        WHERE h.account = d.account AND h.hour >= $1 AND h.hour < $2 GROUP BY e.key) b), '{}'),
    ARRAY (SELECT coalesce(h.inbound, 0) FROM generate_series(0, 23) n
        LEFT JOIN stats_hours h ON h.account = d.account AND h.hour = $1 + n * interval '1 hour' ORDER BY n)
FROM (
    SELECT account, sum(inbound) AS inbound, sum(by_rule) AS by_rule, sum(fallback) AS fallback, sum(by_person) AS by_person, sum(failed) AS failed
    FROM stats_hours WHERE hour >= $1 AND hour < $2 GROUP BY account
) d`

const rollupDayNames = `
INSERT INTO stats_day_names (account, day, kind, id, name, count)
SELECT account, $1, kind, id, max(name), sum(count) FROM stats_names WHERE hour >= $1 AND hour < $2 GROUP BY account, kind, id`

// staleSlices are the slices to count: never counted, not since this console began, or half of its age ago, a minute at least.
const staleSlices = `
SELECT s FROM generate_series($1::timestamptz, $3::timestamptz, '5 minutes') s LEFT JOIN stats_counted c ON c.slice = s
WHERE c.slice IS NULL OR c.at < $2 OR $3 - c.at >= greatest(interval '1 minute', (c.at - (s + interval '5 minutes')) / 2)
ORDER BY s`

// missingSlices is whether a slice of an hour, beside those that are being counted, is not there to be summed.
const missingSlices = `
SELECT EXISTS (SELECT FROM generate_series($1::timestamptz, least($2::timestamptz, $5::timestamptz) - interval '1 microsecond', '5 minutes') s
    WHERE NOT (s >= $3 AND s < $4) AND NOT EXISTS (SELECT FROM stats_counted c WHERE c.slice = s))`

// Stretch is slices that follow each other within one hour; From is included, To is not.
type Stretch struct{ From, To time.Time }

// Stale is what of the time between from, the beginning of a slice, and now is to be counted: what never was, or not since began, or
// is old enough to be counted again. That grows with the age that it was counted at, for the older it was the less is likely to change.
func (s *Store) Stale(ctx context.Context, from, began, now time.Time) ([]Stretch, error) {
	rows, err := s.pool.Query(ctx, staleSlices, from, began, now)
	if err != nil {
		return nil, fmt.Errorf("find what is to be counted: %w", err)
	}
	slices, err := pgx.CollectRows(rows, pgx.RowTo[time.Time])
	if err != nil {
		return nil, fmt.Errorf("find what is to be counted: %w", err)
	}
	return stretches(slices), nil
}

// stretches puts slices together.
func stretches(slices []time.Time) (all []Stretch) {
	for _, slice := range slices {
		slice = slice.UTC()
		if n := len(all) - 1; n >= 0 && all[n].To.Equal(slice) && !slice.Equal(slice.Truncate(time.Hour)) {
			all[n].To = slice.Add(Slice)
			continue
		}
		all = append(all, Stretch{slice, slice.Add(Slice)})
	}
	return all
}

// RollUp counts a stretch anew, and sums its hour and its day, in UTC, from their beginnings. It is false when another console is counting.
func (s *Store) RollUp(ctx context.Context, at Stretch, now time.Time) (counted bool, err error) {
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, `SELECT pg_try_advisory_xact_lock($1)`, rollupLock).Scan(&counted); err != nil || !counted {
			return err
		}
		hour := at.From.UTC().Truncate(time.Hour)
		var missing bool
		if err := tx.QueryRow(ctx, missingSlices, hour, hour.Add(time.Hour), at.From, at.To, now).Scan(&missing); err != nil {
			return err
		}
		if missing {
			at = Stretch{hour, hour.Add(time.Hour)}
		}
		for _, step := range rollUpSteps(at, now) {
			if _, err := tx.Exec(ctx, step.sql, step.args...); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("count from %s to %s: %w", at.From.UTC().Format(time.RFC3339), at.To.UTC().Format(time.RFC3339), err)
	}
	return counted, nil
}

// step is one statement of a roll-up.
type step struct {
	sql  string
	args []any
}

func rollUpSteps(at Stretch, now time.Time) []step {
	slices := []any{at.From, at.To}
	hour := at.From.UTC().Truncate(time.Hour)
	hours := []any{hour, hour.Add(time.Hour)}
	day := hour.Truncate(24 * time.Hour)
	days := []any{day, day.Add(24 * time.Hour)}
	return []step{
		{`DELETE FROM stats_slices WHERE slice >= $1 AND slice < $2`, slices},
		{`DELETE FROM stats_slice_names WHERE slice >= $1 AND slice < $2`, slices},
		{rollupSlices, []any{at.From, at.To, rollupSample}},
		{`INSERT INTO stats_counted (slice, at) SELECT s, $3 FROM generate_series($1::timestamptz, $2::timestamptz - interval '1 microsecond', '5 minutes') s
			ON CONFLICT (slice) DO UPDATE SET at = excluded.at`, []any{at.From, at.To, now}},
		{`DELETE FROM stats_hours WHERE hour = $1`, hours[:1]},
		{`DELETE FROM stats_names WHERE hour = $1`, hours[:1]},
		{rollupHours, hours},
		{rollupNames, hours},
		{`DELETE FROM stats_days WHERE day = $1`, days[:1]},
		{`DELETE FROM stats_day_names WHERE day = $1`, days[:1]},
		{rollupDays, days},
		{rollupDayNames, days},
		{`INSERT INTO stats_done (until) VALUES ($1) ON CONFLICT (single) DO UPDATE SET until = greatest(stats_done.until, excluded.until)`, hours[1:]},
	}
}

// ForgetSlices removes what was counted of the time before, whose hours remain.
func (s *Store) ForgetSlices(ctx context.Context, before time.Time) error {
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		for _, table := range []string{"stats_slices", "stats_slice_names", "stats_counted"} {
			if _, err := tx.Exec(ctx, `DELETE FROM `+table+` WHERE slice < $1`, before); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("forget what was counted before %s: %w", before.UTC().Format(time.RFC3339), err)
	}
	return nil
}

// RolledUpUntil is until when every hour was counted; where none was, the hour of the oldest message, and the zero time where
// there is none.
func (s *Store) RolledUpUntil(ctx context.Context) (until time.Time, err error) {
	err = s.pool.QueryRow(ctx, `SELECT until FROM stats_done`).Scan(&until)
	if errors.Is(err, pgx.ErrNoRows) {
		var oldest *time.Time
		if err = s.pool.QueryRow(ctx, `SELECT min(timestamp) FROM messages WHERE isfinite(timestamp)`).Scan(&oldest); err == nil && oldest != nil {
			until = oldest.UTC().Truncate(time.Hour)
		}
	}
	if err != nil {
		return until, fmt.Errorf("read until when it was counted: %w", err)
	}
	return until, nil
}
