package repository_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/postgres/pgtest"
	"github.com/parley-dm/parley/pkg/repository"
	"github.com/parley-dm/parley/pkg/repository/repositorytest"
	"github.com/parley-dm/parley/pkg/rules"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestRules(t *testing.T) {
	t.Parallel()
	for name, empty := range map[string]func(*testing.T) repository.RuleRepository{
		"PostgreSQL": func(t *testing.T) repository.RuleRepository { t.Helper(); return repository.NewRules(pgtest.Pool(t)) },
		"memory": func(t *testing.T) repository.RuleRepository {
			t.Helper()
			return repository.NewMemory(time.Now).Rules()
		},
		"cache": func(t *testing.T) repository.RuleRepository {
			t.Helper()
			return repository.NewCache(repository.NewMemory(time.Now).Rules(), time.Hour, time.Now)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			repositorytest.Rules(t, empty)
		})
	}
}

// What somebody writes with psql may be odd in many ways, and keeps no other rule from being read.
func TestOddRowsAreToldOfAndKeepNothingFromBeingRead(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	repo := repository.NewRules(pool)
	_, err := pool.Exec(t.Context(), `INSERT INTO response_rules (name, keywords, priority, is_active, created_at, conditions, actions, limits) VALUES
		('fine', '{NULL,{a},NULL}', 9, true, 'infinity', '{}', '{ }', '{}')`)
	require.Error(t, err, "no array at all")
	_, err = pool.Exec(t.Context(), `INSERT INTO response_rules (name, keywords, priority, is_active, created_at, conditions, actions, limits) VALUES
		('fine', '{NULL,a}', 9, true, '-infinity', '{"on": ["text"]}', '{}', '{"cooldown": "90m"}'),
		('square', '{{a,b},{c,d}}', 8, true, 'infinity', '{}', '{"reply": [{"kind": "text", "text": "x"}]}', '{}'),
		('unknown condition', '{a}', 7, true, now(), '{"moon": "full", "on": ["text"]}', '{}', '{}'),
		('wrong type', '{a}', 6, true, now(), '{}', '{"reply": "hello"}', '{}'),
		('wrong time', '{a}', 5, true, now(), '{}', '{}', '{"cooldown": "often"}'),
		('off and wrong', '{a}', 4, false, now(), '{"moon": 1}', '{}', '{}')`)
	require.NoError(t, err)
	ready, broken, err := repo.Active(t.Context())
	require.NoError(t, err)
	require.Len(t, ready, 2)
	require.Equal(t, []string{"a"}, ready[0].Keywords)
	require.Equal(t, []string{"a", "b", "c", "d"}, ready[1].Keywords)
	require.Len(t, broken, 3)
	for i, want := range []string{`conditions: json: unknown field "moon"`, "actions: json:", `limits: time: invalid duration "often"`} {
		require.ErrorContains(t, broken[i].Err, want)
	}
	require.Equal(t, "unknown condition", broken[0].Rule.Name)
	all, err := repo.List(t.Context())
	require.NoError(t, err)
	require.Len(t, all, 6)
	require.Error(t, all[5].Broken)

	_, err = pool.Exec(t.Context(), `UPDATE response_rules SET conditions = '{}', keywords = '{{x},{y}}' WHERE name = 'off and wrong'`)
	require.NoError(t, err)
	past, err := repo.History(t.Context(), repository.HistoryQuery{RuleID: all[5].ID})
	require.NoError(t, err)
	require.Len(t, past, 2)
	for _, v := range past {
		require.Error(t, v.Rule.Broken)
		_, err = repo.Restore(t.Context(), v.RuleID, v.Version, "ann")
		require.Error(t, err, "what cannot be read cannot be restored")
	}
	back, err := repo.Import(t.Context(), repository.Import{Rules: []repository.Rule{repositorytest.Plain("wrong type", 6)}, By: "ann"})
	require.NoError(t, err)
	require.Len(t, back.Changed, 1, "an import mends it")
	ready, _, err = repo.Active(t.Context())
	require.NoError(t, err)
	require.Len(t, ready, 3)
}

// counted counts how often the rules are read.
type counted struct {
	repository.RuleRepository
	reads int
	err   error
}

func (c *counted) Active(ctx context.Context) ([]rules.Rule, []rules.Problem, error) {
	if c.reads++; c.err != nil {
		return nil, nil, c.err
	}
	return c.RuleRepository.Active(ctx)
}

func TestTheCacheReadsAgainWhenItMust(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	inner := &counted{RuleRepository: repository.NewMemory(time.Now).Rules()}
	cache := repository.NewCache(inner, time.Minute, func() time.Time { return now })
	read := func(wantRules, wantReads int, why string) {
		t.Helper()
		ready, _, err := cache.Active(t.Context())
		require.NoError(t, err)
		require.Len(t, ready, wantRules, why)
		require.Equal(t, wantReads, inner.reads, why)
	}
	inner.err = errors.New("away")
	_, _, err := cache.Active(t.Context())
	require.ErrorIs(t, err, inner.err)
	inner.err = nil
	read(0, 2, "an error is not remembered")
	read(0, 2, "what was read is")
	_, err = cache.Create(t.Context(), repositorytest.Plain("a", 1), "ann")
	require.NoError(t, err)
	read(1, 3, "what is changed through it is seen")
	_, err = inner.Create(t.Context(), repositorytest.Plain("b", 1), "ann")
	require.NoError(t, err)
	now = now.Add(59 * time.Second)
	read(1, 3, "what others change is not")
	now = now.Add(time.Second)
	read(2, 4, "until the time is over")
	_, err = inner.Create(t.Context(), repositorytest.Plain("c", 1), "ann")
	require.NoError(t, err)
	cache.Forget()
	read(3, 5, "or it is told to forget")
}
