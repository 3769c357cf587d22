package repository

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parley-dm/parley/pkg/postgres"
	"github.com/parley-dm/parley/pkg/rules"
)

// The bounds of one call. Ten thousand rules are read in a few dozen milliseconds and written in a few seconds.
const (
	readTimeout  = 10 * time.Second
	writeTimeout = 60 * time.Second
)

const (
	uniqueViolation   = "23505"
	invalidTextFormat = "22P02"
)

// Rules keeps rules in the table response_rules.
type Rules struct {
	pool *pgxpool.Pool
	// current: the schema was found to be new enough. Migrations only add, so asking once is enough.
	current atomic.Bool
}

// NewRules keeps rules in the database of a pool, which the caller closes.
func NewRules(pool *pgxpool.Pool) *Rules { return &Rules{pool: pool} }

// Active reads the active rules in the order in which they are asked, and apart from them those that could not be read
// whole.
func (r *Rules) Active(ctx context.Context) ([]rules.Rule, []rules.Problem, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	if !r.current.Load() {
		if err := postgres.CheckSchema(ctx, r.pool); err != nil {
			return nil, nil, err
		}
		r.current.Store(true)
	}
	all, err := queryRules(ctx, r.pool, activeRules)
	if err != nil {
		return nil, nil, fmt.Errorf("read the active rules: %w", err)
	}
	ready, broken := split(all)
	return ready, broken, nil
}

// List reads all rules, in the order in which they are or would be asked.
func (r *Rules) List(ctx context.Context) ([]Rule, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	all, err := queryRules(ctx, r.pool, allRules)
	if err != nil {
		return nil, fmt.Errorf("read the rules: %w", err)
	}
	return all, nil
}

// Get reads one rule, or fails with [ErrNotFound].
func (r *Rules) Get(ctx context.Context, id string) (Rule, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	return one(ctx, r.pool, id, ruleByID, id)
}

// Create stores a new rule and returns it as it is stored. Without an ID it gets one; without a time of creation, now.
func (r *Rules) Create(ctx context.Context, rule Rule, by string) (Rule, error) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	return insert(ctx, r.pool, rule, by)
}

// Update stores a rule over the version that it carries, and returns it as it is stored then: with the next version, or
// the same one where nothing differs. It fails with [ErrConflict] when the stored one has another version, [ErrNotFound]
// when there is none.
func (r *Rules) Update(ctx context.Context, rule Rule, by string) (Rule, error) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	return update(ctx, r.pool, rule, nil, by)
}

// Delete removes a rule; its versions stay. A version other than 0 is the one it must have.
func (r *Rules) Delete(ctx context.Context, id string, version int, by string) error {
	return r.write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, setActor, by); err != nil {
			return fmt.Errorf("delete rule %s: %w", id, err)
		}
		tag, err := tx.Exec(ctx, deleteRule, id, version)
		if isCode(err, invalidTextFormat) {
			return missing(id)
		}
		if err != nil {
			return fmt.Errorf("delete rule %s: %w", id, err)
		}
		if tag.RowsAffected() > 0 {
			return nil
		}
		current, err := one(ctx, tx, id, ruleByID, id)
		if err != nil {
			return err
		}
		return &ConflictError{Expected: version, Current: current}
	})
}

// Reorder has the rules asked in the order of ids, which names all of them, by changing as few priorities as that takes. It
// fails with [ErrConflict] when there are others by now.
func (r *Rules) Reorder(ctx context.Context, ids []string, by string) error {
	return r.write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, lockRules); err != nil {
			return fmt.Errorf("reorder the rules: %w", err)
		}
		stored, err := queryRules(ctx, tx, allRules)
		if err != nil {
			return fmt.Errorf("reorder the rules: %w", err)
		}
		wanted, err := arrange(stored, ids)
		if err != nil {
			return err
		}
		changed, err := reorder(wanted)
		if err != nil {
			return err
		}
		var b pgx.Batch
		for i := range changed {
			b.Queue(setPriority, changed[i].ID, changed[i].Priority, by)
		}
		if err := tx.SendBatch(ctx, &b).Close(); err != nil {
			return fmt.Errorf("reorder the rules: %w", err)
		}
		return nil
	})
}

// History reads versions of rules, newest first.
func (r *Rules) History(ctx context.Context, q HistoryQuery) ([]RuleVersion, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	var rows pgx.Rows
	var err error
	if q.RuleID != "" {
		before := 0
		if q.Before != nil {
			before = q.Before.Version
		}
		rows, err = r.pool.Query(ctx, historyOfRule, q.RuleID, before, pageSize(q.Limit))
	} else {
		var at *time.Time
		var id *string
		version := 0
		if q.Before != nil {
			at, id, version = &q.Before.At, &q.Before.RuleID, q.Before.Version
		}
		rows, err = r.pool.Query(ctx, historyOfAll, at, id, version, pageSize(q.Limit))
	}
	var out []RuleVersion
	if err == nil {
		out, err = pgx.CollectRows(rows, scanVersion)
	}
	if isCode(err, invalidTextFormat) {
		return nil, missing(q.RuleID)
	}
	if err != nil {
		return nil, fmt.Errorf("read the history of rules: %w", err)
	}
	return out, nil
}

// Restore makes a rule again what it was in one of its versions, as a new version. A deleted rule comes back under its id;
// the version that says so is what it was before.
func (r *Rules) Restore(ctx context.Context, id string, version int, by string) (restored Rule, err error) {
	err = r.write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx, ruleVersion, id, version)
		if err != nil {
			return fmt.Errorf("read version %d of rule %s: %w", version, id, err)
		}
		old, err := pgx.CollectExactlyOneRow(rows, scanVersion)
		switch {
		case errors.Is(err, pgx.ErrNoRows) || isCode(err, invalidTextFormat):
			return fmt.Errorf("version %d of rule %s: %w", version, id, ErrNotFound)
		case err != nil:
			return fmt.Errorf("read version %d of rule %s: %w", version, id, err)
		case old.Rule.Broken != nil:
			return fmt.Errorf("version %d of rule %s: %w", version, id, old.Rule.Broken)
		}
		now, err := one(ctx, tx, id, lockRule, id)
		switch {
		case errors.Is(err, ErrNotFound):
			restored, err = insert(ctx, tx, old.Rule, by)
		case err == nil:
			old.Rule.Version = now.Version
			restored, err = update(ctx, tx, old.Rule, &old.Rule.CreatedAt, by)
		}
		return err
	})
	return restored, err
}

// Import stores a set of rules in one transaction, and says what that does or, for a dry run, would do.
func (r *Rules) Import(ctx context.Context, i Import) (p Plan, err error) {
	err = r.write(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, lockRules); err != nil {
			return fmt.Errorf("import rules: %w", err)
		}
		stored, err := queryRules(ctx, tx, allRules)
		if err != nil {
			return fmt.Errorf("import rules: %w", err)
		}
		if p, err = i.plan(stored, time.Now().UTC().Truncate(time.Microsecond)); err != nil || i.DryRun {
			return err
		}
		if _, err := tx.Exec(ctx, setActor, i.By); err != nil {
			return fmt.Errorf("import rules: %w", err)
		}
		for n := range p.Created {
			if p.Created[n], err = insert(ctx, tx, p.Created[n], i.By); err != nil {
				return err
			}
		}
		for n := range p.Changed {
			if p.Changed[n], err = update(ctx, tx, p.Changed[n], &p.Changed[n].CreatedAt, i.By); err != nil {
				return err
			}
		}
		for _, gone := range p.Removed {
			if _, err := tx.Exec(ctx, deleteRule, gone.ID, 0); err != nil {
				return fmt.Errorf("remove rule %q: %w", gone.Name, err)
			}
		}
		return nil
	})
	return p, err
}

func (r *Rules) write(ctx context.Context, f func(context.Context, pgx.Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	return postgres.InTx(ctx, r.pool, func(tx pgx.Tx) error { return f(ctx, tx) })
}

// querier is a pool or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

func queryRules(ctx context.Context, q querier, sql string, args ...any) ([]Rule, error) {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	all, err := pgx.CollectRows(rows, scanRule)
	slices.SortStableFunc(all, asked)
	return all, err
}

// one reads the rule that a statement is about.
func one(ctx context.Context, q querier, id, sql string, args ...any) (Rule, error) {
	all, err := queryRules(ctx, q, sql, args...)
	switch {
	case isCode(err, invalidTextFormat):
		return Rule{}, missing(id)
	case isCode(err, uniqueViolation):
		return Rule{}, fmt.Errorf("rule %s: %w: there is one already", id, ErrConflict)
	case err != nil:
		return Rule{}, fmt.Errorf("rule %s: %w", id, err)
	case len(all) == 0:
		return Rule{}, missing(id)
	default:
		return all[0], nil
	}
}

func insert(ctx context.Context, q querier, rule Rule, by string) (Rule, error) {
	if err := checkID(rule.ID); err != nil {
		return Rule{}, err
	}
	args, err := ruleArguments(&rule, by)
	if err != nil {
		return Rule{}, err
	}
	var created *time.Time
	if !rule.CreatedAt.IsZero() {
		created = &rule.CreatedAt
	}
	return one(ctx, q, rule.Name, insertRule, append(args, created)...)
}

// update stores a rule over a version; created, unless nil, is its time of creation from now on.
func update(ctx context.Context, q querier, rule Rule, created *time.Time, by string) (Rule, error) {
	args, err := ruleArguments(&rule, by)
	if err != nil {
		return Rule{}, err
	}
	stored, err := one(ctx, q, rule.ID, updateRule, append(args, created, rule.Version)...)
	if !errors.Is(err, ErrNotFound) {
		return stored, err
	}
	current, err := one(ctx, q, rule.ID, ruleByID, rule.ID)
	if err != nil {
		return Rule{}, err
	}
	return Rule{}, &ConflictError{Expected: rule.Version, Current: current}
}

// ruleArguments are the first eleven of insertRule and updateRule.
func ruleArguments(r *Rule, by string) ([]any, error) {
	if err := prepare(r); err != nil {
		return nil, err
	}
	s, err := encodeSpec(r)
	if err != nil {
		return nil, err
	}
	var id *string
	if r.ID != "" {
		id = &r.ID
	}
	return []any{id, r.Name, r.Keywords, string(r.MatchType), r.Response, r.Priority, r.Active, s.conditions, s.actions, s.limits, by}, nil
}

func scanRule(row pgx.CollectableRow) (Rule, error) {
	var r Rule
	var s spec
	err := row.Scan(&r.ID, &r.Name, &r.Keywords, &r.MatchType, &r.Response, &r.Priority, &r.CreatedAt,
		&s.conditions, &s.actions, &s.limits, &r.Version, &r.Active, &r.UpdatedAt, &r.UpdatedBy)
	if err != nil {
		return r, err
	}
	r.CreatedAt, r.UpdatedAt = r.CreatedAt.UTC(), r.UpdatedAt.UTC()
	r.Broken = decodeSpec(s, &r.Rule)
	return r, nil
}

// storedRule is a row of response_rules as response_rule_versions keeps it. Columns of later schemas are let pass.
type storedRule struct {
	ID         string          `json:"id"`
	Name       string          `json:"name"`
	Keywords   []string        `json:"keywords"`
	MatchType  rules.MatchType `json:"match_type"`
	Response   string          `json:"response_text"`
	Priority   int             `json:"priority"`
	Active     bool            `json:"is_active"`
	CreatedAt  time.Time       `json:"created_at"`
	Conditions json.RawMessage `json:"conditions"`
	Actions    json.RawMessage `json:"actions"`
	Limits     json.RawMessage `json:"limits"`
	Version    int             `json:"version"`
	UpdatedAt  time.Time       `json:"updated_at"`
	UpdatedBy  string          `json:"updated_by"`
}

func scanVersion(row pgx.CollectableRow) (RuleVersion, error) {
	var v RuleVersion
	var text string
	if err := row.Scan(&v.RuleID, &v.Version, &v.Change, &v.At, &v.By, &text); err != nil {
		return v, err
	}
	v.At = v.At.UTC()
	var s storedRule
	broken := json.Unmarshal([]byte(text), &s)
	v.Rule = Rule{
		Rule: rules.Rule{
			ID: v.RuleID, Name: s.Name, Keywords: s.Keywords, MatchType: s.MatchType, Response: s.Response, Priority: s.Priority,
			CreatedAt: s.CreatedAt.UTC(), Version: s.Version, Active: s.Active,
		},
		UpdatedAt: s.UpdatedAt.UTC(), UpdatedBy: s.UpdatedBy,
	}
	if broken == nil {
		broken = decodeSpec(spec{string(s.Conditions), string(s.Actions), string(s.Limits)}, &v.Rule.Rule)
	}
	v.Rule.Broken = broken
	return v, nil
}

func isCode(err error, code string) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == code
}
