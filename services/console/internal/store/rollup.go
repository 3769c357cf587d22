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

// rollupSample is how many replies of an hour and account are looked at for how long customers waited: ids are derived by a
// hash, so that the first ones by id are a fair choice.
const rollupSample = 500

const rollupHours = `
INSERT INTO stats_hours (account, hour, inbound, by_rule, fallback, by_person, failed)
SELECT account, $1,
    count(*) FILTER (WHERE direction = 'inbound'),
    count(*) FILTER (WHERE sent AND origin IN ('rule', 'engine')),
    count(*) FILTER (WHERE sent AND origin = 'fallback'),
    count(*) FILTER (WHERE sent AND coalesce(origin, 'operator') NOT IN ('rule', 'engine', 'fallback')),
    count(*) FILTER (WHERE status IN ('failed', 'expired', 'unknown'))
FROM (SELECT account, direction, status, metadata #>> '{intent,origin}' AS origin,
             direction = 'outbound' AND status IN ('sent', 'delivered', 'read') AS sent
      FROM messages WHERE timestamp >= $1 AND timestamp < $2) m
GROUP BY account`

const rollupDelays = `
UPDATE stats_hours h SET delays = d.delays
FROM (
    SELECT account, jsonb_object_agg(bucket, n) AS delays
    FROM (
        SELECT account, least(80, greatest(0, ceil(ln(greatest(ms, 1) / 10.0) / ln(1.25))))::int AS bucket, count(*) AS n
        FROM (
            SELECT r.account, extract(epoch FROM r.sent_at - asked.timestamp) * 1000 AS ms
            FROM (
                SELECT account, conversation_id, sent_at, row_number() OVER (PARTITION BY account ORDER BY id) AS nth
                FROM messages
                WHERE timestamp >= $1 AND timestamp < $2 AND direction = 'outbound' AND sent_at IS NOT NULL
                  AND metadata #>> '{intent,origin}' IN ('rule', 'engine', 'fallback')
            ) r
            JOIN LATERAL (
                SELECT i.timestamp FROM messages i
                WHERE i.conversation_id = r.conversation_id AND i.direction = 'inbound' AND i.timestamp <= r.sent_at
                ORDER BY i.timestamp DESC, i.id DESC LIMIT 1
            ) asked ON true
            WHERE r.nth <= $3
        ) waited
        GROUP BY account, bucket
    ) buckets
    GROUP BY account
) d
WHERE h.account = d.account AND h.hour = $1`

const rollupNames = `
INSERT INTO stats_names (account, hour, kind, id, name, count)
SELECT account, $1, 'rule', metadata #>> '{intent,rule_id}', max(coalesce(metadata #>> '{intent,rule_name}', '')), count(*)
FROM messages
WHERE timestamp >= $1 AND timestamp < $2 AND direction = 'outbound' AND metadata #>> '{intent,rule_id}' IS NOT NULL
  AND metadata #>> '{intent,part}' = '0'
GROUP BY account, metadata #>> '{intent,rule_id}'
UNION ALL
SELECT account, $1, 'language', metadata #>> '{intent,trace,language}', '', count(*)
FROM messages
WHERE timestamp >= $1 AND timestamp < $2 AND direction = 'outbound' AND metadata #>> '{intent,trace,language}' IS NOT NULL
GROUP BY account, metadata #>> '{intent,trace,language}'`

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

// step is one statement of a roll-up.
type step struct {
	sql  string
	args []any
}

// RollUp counts one hour anew, from its beginning. It is false when another console is counting.
func (s *Store) RollUp(ctx context.Context, hour time.Time) (counted bool, err error) {
	end := hour.Add(time.Hour)
	counted, err = s.rollUp(ctx, []step{
		{`DELETE FROM stats_hours WHERE hour = $1`, []any{hour}},
		{`DELETE FROM stats_names WHERE hour = $1`, []any{hour}},
		{rollupHours, []any{hour, end}},
		{rollupDelays, []any{hour, end, rollupSample}},
		{rollupNames, []any{hour, end}},
		{`INSERT INTO stats_done (until) VALUES ($1) ON CONFLICT (single) DO UPDATE SET until = greatest(stats_done.until, excluded.until)`, []any{end}},
	})
	if err != nil {
		return false, fmt.Errorf("count the hour %s: %w", hour.UTC().Format(time.RFC3339), err)
	}
	return counted, nil
}

// RollUpDay sums the hours of a day in UTC, as they were counted so far, from its beginning. It is false when another console is counting.
func (s *Store) RollUpDay(ctx context.Context, day time.Time) (counted bool, err error) {
	end := day.Add(24 * time.Hour)
	counted, err = s.rollUp(ctx, []step{
		{`DELETE FROM stats_days WHERE day = $1`, []any{day}},
		{`DELETE FROM stats_day_names WHERE day = $1`, []any{day}},
		{rollupDays, []any{day, end}},
		{rollupDayNames, []any{day, end}},
	})
	if err != nil {
		return false, fmt.Errorf("sum the day %s: %w", day.UTC().Format(time.DateOnly), err)
	}
	return counted, nil
}

// rollUp takes steps in one transaction, unless another console is counting.
func (s *Store) rollUp(ctx context.Context, steps []step) (counted bool, err error) {
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, `SELECT pg_try_advisory_xact_lock($1)`, rollupLock).Scan(&counted); err != nil || !counted {
			return err
		}
		for _, step := range steps {
			if _, err := tx.Exec(ctx, step.sql, step.args...); err != nil {
				return err
			}
		}
		return nil
	})
	return counted && err == nil, err
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
