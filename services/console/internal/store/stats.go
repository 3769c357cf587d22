package store

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// StatsFilter is which hours of which accounts are looked at; From is included, To is not.
type StatsFilter struct {
	Scope    Scope
	Account  string // one account; empty for all in the scope
	From, To time.Time
	// Daily reads the sums of whole days in UTC, which is much quicker over a long time: of each day whose beginning is in the range.
	Daily bool
}

// inRange is the WHERE of every query here on a column of times, for the arguments of [StatsFilter.args].
func inRange(column string) string {
	return column + ` >= $1 AND ` + column + ` < $2 AND (cardinality($3::text[]) = 0 OR account = ANY ($3)) AND ($4 = '' OR account = $4)`
}

func (f StatsFilter) args(more ...any) []any {
	return append([]any{f.From, f.To, f.Scope, f.Account}, more...)
}

// Stats is what was counted in one stretch of time.
type Stats struct { //nolint:recvcheck // only Add changes it; templates call the others on values
	At                                          time.Time
	Inbound, ByRule, Fallback, ByPerson, Failed int64
	Delays                                      Delays
}

// Delays is a distribution of how long customers waited: how many in each bucket, of which number n ends at 10 ms times 1.25^n.
type Delays [81]int64

// read adds what was stored, such as {"20": 3, "21": 1}. A quarter has tens of thousands of them: reading them as any JSON would take
// most of the time of a page.
func (d *Delays) read(stored string) {
	for stored != "" {
		var bucket, n int64
		bucket, stored = nextNumber(stored)
		n, stored = nextNumber(stored)
		if bucket >= 0 && bucket < int64(len(d)) {
			d[bucket] += n
		}
	}
}

// nextNumber is the next whole number in a text, zero at its end, and what follows it.
func nextNumber(s string) (n int64, rest string) {
	from := strings.IndexFunc(s, isDigit)
	if from < 0 {
		return 0, ""
	}
	to := from
	for to < len(s) && isDigit(rune(s[to])) {
		to++
	}
	n, err := strconv.ParseInt(s[from:to], 10, 64)
	if err != nil {
		n = 0
	}
	return n, s[to:]
}

func isDigit(r rune) bool { return r >= '0' && r <= '9' }

// Quantile is how long the share q of the replies took at most; zero without any. It is exact to a quarter.
func (d *Delays) Quantile(q float64) time.Duration {
	total := int64(0)
	for _, n := range d {
		total += n
	}
	if total == 0 {
		return 0
	}
	rest := int64(math.Ceil(q * float64(total)))
	for i, n := range d {
		if rest -= n; rest <= 0 {
			return time.Duration(10 * math.Pow(1.25, float64(i)) * float64(time.Millisecond))
		}
	}
	return 0
}

// Add adds another distribution to it.
func (d *Delays) Add(other *Delays) {
	for bucket, n := range other {
		d[bucket] += n
	}
}

// Sent is how many outbound messages were sent.
func (s Stats) Sent() int64 { return s.ByRule + s.Fallback + s.ByPerson }

// ByBot is the share of what was sent that was sent by the bot, 0 to 1.
func (s Stats) ByBot() float64 {
	if s.Sent() == 0 {
		return 0
	}
	return float64(s.ByRule+s.Fallback) / float64(s.Sent())
}

// Add adds what was counted in another stretch.
func (s *Stats) Add(o *Stats) {
	s.Inbound, s.ByRule, s.Fallback = s.Inbound+o.Inbound, s.ByRule+o.ByRule, s.Fallback+o.Fallback
	s.ByPerson, s.Failed = s.ByPerson+o.ByPerson, s.Failed+o.Failed
	s.Delays.Add(&o.Delays)
}

// Stats reads what was counted, hour by hour or day by day over all accounts, oldest first; those in which nothing was said are left
// out. The accounts' distributions are put one behind the other, which [Delays.read] adds up.
func (s *Store) Stats(ctx context.Context, f StatsFilter) ([]Stats, error) {
	table, at := "stats_hours", "hour"
	if f.Daily {
		table, at = "stats_days", "day"
	}
	rows, err := s.pool.Query(ctx, `SELECT `+at+`, sum(inbound)::bigint, sum(by_rule)::bigint, sum(fallback)::bigint, sum(by_person)::bigint,
			sum(failed)::bigint, string_agg(delays::text, '')
		FROM `+table+` WHERE `+inRange(at)+` GROUP BY 1 ORDER BY 1`, f.args()...)
	if err != nil {
		return nil, fmt.Errorf("read the statistics: %w", err)
	}
	out, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (h Stats, err error) {
		var delays string
		err = row.Scan(&h.At, &h.Inbound, &h.ByRule, &h.Fallback, &h.ByPerson, &h.Failed, &delays)
		h.At = h.At.UTC()
		h.Delays.read(delays)
		return h, err
	})
	if err != nil {
		return nil, fmt.Errorf("read the statistics: %w", err)
	}
	return out, nil
}

// Busy is how many customers' messages there were by the day of the week, Monday first, and the hour, in UTC.
type Busy [7][24]int64

// BusyHours reads when customers wrote.
func (s *Store) BusyHours(ctx context.Context, f StatsFilter) (busy Busy, err error) {
	sql := `SELECT extract(isodow FROM hour AT TIME ZONE 'UTC')::int - 1, extract(hour FROM hour AT TIME ZONE 'UTC')::int, sum(inbound)::bigint
		FROM stats_hours WHERE ` + inRange("hour") + ` GROUP BY 1, 2`
	if f.Daily {
		sql = `SELECT extract(isodow FROM day AT TIME ZONE 'UTC')::int - 1, h.nth::int - 1, sum(h.inbound)::bigint
		FROM stats_days CROSS JOIN LATERAL unnest(busy) WITH ORDINALITY h (inbound, nth) WHERE ` + inRange("day") + ` GROUP BY 1, 2`
	}
	rows, err := s.pool.Query(ctx, sql, f.args()...)
	if err != nil {
		return busy, fmt.Errorf("read the busy hours: %w", err)
	}
	counts, err := pgx.CollectRows(rows, pgx.RowToStructByPos[struct {
		Weekday, Hour int
		Inbound       int64
	}])
	if err != nil {
		return busy, fmt.Errorf("read the busy hours: %w", err)
	}
	for _, c := range counts {
		busy[c.Weekday][c.Hour] = c.Inbound
	}
	return busy, nil
}

// Named is how often something with a name was counted.
type Named struct {
	ID, Name string
	Count    int64
}

// The kinds of what has a name.
const (
	NamedRules     = "rule"
	NamedLanguages = "language"
)

// TopNamed lists the most frequent of a kind.
func (s *Store) TopNamed(ctx context.Context, f StatsFilter, kind string, limit int) ([]Named, error) {
	table, at := "stats_names", "hour"
	if f.Daily {
		table, at = "stats_day_names", "day"
	}
	rows, err := s.pool.Query(ctx, `SELECT id, max(name), sum(count)::bigint FROM `+table+` WHERE `+inRange(at)+` AND kind = $5
		GROUP BY id ORDER BY 3 DESC, id LIMIT $6`, f.args(kind, limit)...)
	if err != nil {
		return nil, fmt.Errorf("read the statistics by %s: %w", kind, err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Named])
	if err != nil {
		return nil, fmt.Errorf("read the statistics by %s: %w", kind, err)
	}
	return out, nil
}

// HandOffs counts the conversations that a rule gave to a person.
func (s *Store) HandOffs(ctx context.Context, f StatsFilter) (n int64, err error) {
	err = s.pool.QueryRow(ctx, `SELECT count(*) FROM events WHERE time >= $1 AND time < $2
		AND (cardinality($3::text[]) = 0 OR account = ANY ($3)) AND ($4 = '' OR account = $4)
		AND kind = 'hold' AND data #>> '{hold,reason}' = 'hand_off' AND data #>> '{hold,holder}' = 'person'`, f.args()...).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count hand-offs: %w", err)
	}
	return n, nil
}

// Unmatched reads the newest messages that were answered with the fallback, newest first.
func (s *Store) Unmatched(ctx context.Context, f StatsFilter, limit int) ([]string, error) {
	rows, err := s.pool.Query(ctx, `SELECT asked.message_text
		FROM (SELECT conversation_id, timestamp, metadata #>> '{intent,event_id}' AS event_id FROM messages
			WHERE direction = 'outbound' AND metadata #>> '{intent,origin}' = 'fallback' AND timestamp >= $1 AND timestamp < $2
			  AND (cardinality($3::text[]) = 0 OR account = ANY ($3)) AND ($4 = '' OR account = $4)
			ORDER BY timestamp DESC, id LIMIT $5) said
		JOIN LATERAL (SELECT i.message_text, i.metadata ->> 'event_id' AS event_id FROM messages i
			WHERE i.conversation_id = said.conversation_id AND i.direction = 'inbound' AND i.timestamp <= said.timestamp + interval '1 minute'
			ORDER BY i.timestamp DESC, i.id DESC LIMIT 10) asked ON asked.event_id = said.event_id
		WHERE asked.message_text IS NOT NULL
		ORDER BY said.timestamp DESC`, f.args(limit)...)
	if err != nil {
		return nil, fmt.Errorf("read unmatched messages: %w", err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("read unmatched messages: %w", err)
	}
	return out, nil
}

// StatsAccounts lists the accounts that anything was counted of, within a scope.
func (s *Store) StatsAccounts(ctx context.Context, scope Scope) ([]string, error) {
	rows, err := s.pool.Query(ctx, `WITH RECURSIVE a AS (
			(SELECT account FROM stats_hours ORDER BY account LIMIT 1)
			UNION ALL SELECT (SELECT n.account FROM stats_hours n WHERE n.account > a.account ORDER BY n.account LIMIT 1) FROM a WHERE a.account IS NOT NULL)
		SELECT account FROM a WHERE account IS NOT NULL AND (cardinality($1::text[]) = 0 OR account = ANY ($1)) LIMIT 1000`, scope)
	if err != nil {
		return nil, fmt.Errorf("list accounts: %w", err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("list accounts: %w", err)
	}
	return out, nil
}
