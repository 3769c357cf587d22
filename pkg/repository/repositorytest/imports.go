package repositorytest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/repository"
)

func importSet(t *testing.T, repo repository.RuleRepository) {
	t.Helper()
	stored := create(t, repo, Plain("kept", 1), Plain("changed", 2), Plain("same", 3))
	changed := Full("changed")
	plan, err := repo.Import(t.Context(), repository.Import{Rules: []repository.Rule{changed, Plain("same", 3), Plain("new", 4)}, By: "ben"})
	require.NoError(t, err)
	require.Equal(t, []string{"new"}, names(plan.Created))
	require.Equal(t, []string{"changed"}, names(plan.Changed))
	require.Equal(t, []string{"same"}, names(plan.Unchanged))
	require.Equal(t, []string{"kept"}, names(plan.Kept))
	require.Empty(t, plan.Removed)
	all := list(t, repo)
	require.Equal(t, []string{"new", "same", "kept", "changed"}, names(all))
	require.Equal(t, stored[1].ID, all[3].ID, "a rule of the same name keeps its id")
	require.True(t, all[3].CreatedAt.Equal(stored[1].CreatedAt), "and its place among equals")
	require.Equal(t, 2, all[3].Version)
	require.Equal(t, changed.When, all[3].When)
	require.Equal(t, "ben", all[3].UpdatedBy)
	require.Equal(t, all[0], plan.Created[0])
	require.Equal(t, all[3], plan.Changed[0])
	_, err = repo.Import(t.Context(), repository.Import{Rules: []repository.Rule{Plain("x", 1), Plain("x", 2)}, By: "ben"})
	require.ErrorIs(t, err, repository.ErrInvalid)
	require.ErrorContains(t, err, `"x" twice`)
}

func importReplaces(t *testing.T, repo repository.RuleRepository) {
	t.Helper()
	twice := Plain("twice", 5)
	first, second := twice, twice
	first.CreatedAt, second.CreatedAt = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	stored := create(t, repo, second, first, Plain("gone", 1))
	plan, err := repo.Import(t.Context(), repository.Import{Rules: []repository.Rule{twice}, Replace: true, By: "ben"})
	require.NoError(t, err)
	require.Equal(t, []string{"twice", "gone"}, names(plan.Removed))
	all := list(t, repo)
	require.Len(t, all, 1)
	require.Equal(t, stored[1].ID, all[0].ID, "of two with one name that which is asked first")
	past, err := repo.History(t.Context(), repository.HistoryQuery{RuleID: stored[2].ID})
	require.NoError(t, err)
	require.Equal(t, repository.Deleted, past[0].Change)
	require.Equal(t, "ben", past[0].By)
}

func importOrder(t *testing.T, repo repository.RuleRepository) {
	t.Helper()
	stored := create(t, repo, Plain("a", 1), Plain("b", 1), Plain("c", 1))
	renamed := Plain("renamed", 1)
	renamed.ID = stored[1].ID
	set := repository.Import{Rules: []repository.Rule{Plain("new", 1), Plain("c", 1), Plain("a", 1), renamed}, Replace: true, By: "ben"}
	plan, err := repo.Import(t.Context(), set)
	require.NoError(t, err)
	require.Empty(t, plan.Removed)
	all := list(t, repo)
	require.Equal(t, []string{"new", "c", "a", "renamed"}, names(all))
	require.Equal(t, stored[1].ID, all[3].ID, "by its id")
	plan, err = repo.Import(t.Context(), set)
	require.NoError(t, err)
	require.Len(t, plan.Unchanged, 4, "the second time nothing is different")
	odd := Plain("odd", 1)
	odd.ID = "17"
	_, err = repo.Import(t.Context(), repository.Import{Rules: []repository.Rule{odd}, By: "ben"})
	require.ErrorIs(t, err, repository.ErrInvalid)
}

func importDryRun(t *testing.T, repo repository.RuleRepository) {
	t.Helper()
	create(t, repo, Plain("gone", 1))
	before := list(t, repo)
	plan, err := repo.Import(t.Context(), repository.Import{Rules: []repository.Rule{Plain("new", 1)}, Replace: true, DryRun: true, By: "ben"})
	require.NoError(t, err)
	require.Equal(t, []string{"new"}, names(plan.Created))
	require.Equal(t, []string{"gone"}, names(plan.Removed))
	require.Equal(t, before, list(t, repo))
}
