// Package repositorytest has the suites that every implementation of a repository passes.
package repositorytest

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/repository"
	"github.com/parley-dm/parley/pkg/rules"
)

// Rules tries a repository of rules; empty makes one without rules.
func Rules(t *testing.T, empty func(t *testing.T) repository.RuleRepository) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, repository.RuleRepository){
		"what is stored comes back":         comesBack,
		"active ones in order":              activeInOrder,
		"an update names its version":       updateNamesVersion,
		"a deletion may name its version":   deletionNamesVersion,
		"what cannot be stored is named":    refused,
		"what is not there":                 notThere,
		"every version is kept":             history,
		"pages of the history":              pages,
		"a version is restored":             restore,
		"an order is made with few changes": reorder,
		"a set is imported":                 importSet,
		"a set replaces":                    importReplaces,
		"the order of a set counts":         importOrder,
		"a dry run changes nothing":         importDryRun,
		"what is handed out is a copy":      copies,
		"of two at once one wins":           twoAtOnce,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, empty(t))
		})
	}
}

// Full is a rule with something in every field.
func Full(name string) repository.Rule {
	return repository.Rule{
		Rule: rules.Rule{
			Name: name, Keywords: []string{"price", "سعر", "🕯️"}, MatchType: rules.MatchWord, Response: "It is 5 €,\n{{customer.first_name|there}}.", Priority: -3,
			CreatedAt: time.Date(2026, 1, 2, 3, 4, 5, 678000, time.UTC),
			When: rules.When{
				On: []rules.Occasion{rules.OnText, rules.OnStoryReply}, Payloads: []string{"PRICE"}, Languages: []string{"en", "ar"}, Intents: []string{"buy"},
				Sentiments: []string{"good"}, Accounts: []string{"17841400000000001"}, Customers: rules.NewCustomers, Labels: []string{"vip"},
				Hours:     &rules.Hours{Zone: "Europe/Berlin", Days: []string{"mon"}, From: "09:00", To: "18:00", Holidays: []string{"2026-12-25"}, Outside: true},
				Otherwise: true, IgnoreAccents: true,
			},
			Then: rules.Then{
				Reply:      []rules.Part{{Part: dm.Part{Kind: dm.PartText, QuickReplies: []dm.QuickReply{{Title: "Yes", Payload: "YES"}}}, Variants: []string{"a", "b"}, Choose: rules.ChooseTurn}},
				ByLanguage: map[string][]rules.Part{"ar": {{Part: dm.Part{Kind: dm.PartImage, Media: []dm.Media{{URL: "https://example.com/a.png"}}}}}},
				HandOff:    true, Like: true, Labels: []string{"asked"},
			},
			Limits: rules.Limits{
				OncePerCustomer: true, Cooldown: rules.Duration(90 * time.Minute),
				From: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Until: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC),
			},
			Active: true,
		},
	}
}

// Plain is a rule with a keyword and a text.
func Plain(name string, priority int) repository.Rule {
	return repository.Rule{Rule: rules.Rule{Name: name, Keywords: []string{name}, MatchType: rules.MatchContains, Response: "answer of " + name, Priority: priority, Active: true}}
}

func create(t *testing.T, repo repository.RuleRepository, all ...repository.Rule) []repository.Rule {
	t.Helper()
	out := make([]repository.Rule, len(all))
	for i, r := range all {
		var err error
		out[i], err = repo.Create(t.Context(), r, "ann")
		require.NoError(t, err)
	}
	return out
}

func names(all []repository.Rule) []string {
	out := make([]string, len(all))
	for i, r := range all {
		out[i] = r.Name
	}
	return out
}

func list(t *testing.T, repo repository.RuleRepository) []repository.Rule {
	t.Helper()
	all, err := repo.List(t.Context())
	require.NoError(t, err)
	return all
}

func comesBack(t *testing.T, repo repository.RuleRepository) {
	t.Helper()
	want := Full("full")
	got := create(t, repo, want)[0]
	require.Len(t, got.ID, 36)
	require.Equal(t, 1, got.Version)
	require.Equal(t, "ann", got.UpdatedBy)
	require.WithinDuration(t, time.Now(), got.UpdatedAt, time.Minute)
	want.ID, want.Version, want.UpdatedAt, want.UpdatedBy = got.ID, got.Version, got.UpdatedAt, got.UpdatedBy
	require.Equal(t, want, got)
	again, err := repo.Get(t.Context(), got.ID)
	require.NoError(t, err)
	require.Equal(t, want, again)
	require.Equal(t, []repository.Rule{want}, list(t, repo))

	bare := create(t, repo, repository.Rule{Rule: rules.Rule{Name: "bare"}})[0]
	require.Equal(t, rules.MatchContains, bare.MatchType, "the table's default")
	require.Empty(t, bare.Keywords)
	require.False(t, bare.Active)
	require.WithinDuration(t, time.Now(), bare.CreatedAt, time.Minute)
}

func activeInOrder(t *testing.T, repo repository.RuleRepository) {
	t.Helper()
	ready, broken, err := repo.Active(t.Context())
	require.NoError(t, err)
	require.Empty(t, ready)
	require.Empty(t, broken)
	off := Plain("off", 99)
	off.Active = false
	older, newer := Plain("older", 5), Plain("newer", 5)
	older.CreatedAt, newer.CreatedAt = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	otherwise := Plain("otherwise", 99)
	otherwise.When.Otherwise = true
	all := create(t, repo, Plain("low", -1), newer, off, older, Plain("high", 9), otherwise)
	ready, broken, err = repo.Active(t.Context())
	require.NoError(t, err)
	require.Empty(t, broken)
	require.Equal(t, []rules.Rule{all[4].Rule, all[3].Rule, all[1].Rule, all[0].Rule, all[5].Rule}, ready)
	require.Equal(t, []string{"off", "high", "older", "newer", "low", "otherwise"}, names(list(t, repo)))

	require.NoError(t, repo.Delete(t.Context(), all[4].ID, 0, "ann"))
	ready, _, err = repo.Active(t.Context())
	require.NoError(t, err)
	require.Len(t, ready, 4, "what is changed here is seen at once")
}

func updateNamesVersion(t *testing.T, repo repository.RuleRepository) {
	t.Helper()
	r := create(t, repo, Plain("a", 1))[0]
	changed := r
	changed.Response, changed.When.Languages, changed.Active = "other", []string{"de"}, false
	second, err := repo.Update(t.Context(), changed, "ben")
	require.NoError(t, err)
	require.Equal(t, 2, second.Version)
	require.Equal(t, "ben", second.UpdatedBy)
	require.Equal(t, []string{"de"}, second.When.Languages)
	require.True(t, second.CreatedAt.Equal(r.CreatedAt))

	_, err = repo.Update(t.Context(), changed, "cid")
	require.ErrorIs(t, err, repository.ErrConflict)
	var conflict *repository.ConflictError
	require.ErrorAs(t, err, &conflict)
	require.Equal(t, second, conflict.Current)
	require.ErrorContains(t, err, "changed meanwhile by ben: it has version 2, expected 1")

	same, err := repo.Update(t.Context(), second, "cid")
	require.NoError(t, err)
	require.Equal(t, second, same, "what changes nothing makes no version")
}

func deletionNamesVersion(t *testing.T, repo repository.RuleRepository) {
	t.Helper()
	all := create(t, repo, Plain("a", 1), Plain("b", 2))
	require.ErrorIs(t, repo.Delete(t.Context(), all[0].ID, 2, "ben"), repository.ErrConflict)
	require.NoError(t, repo.Delete(t.Context(), all[0].ID, 1, "ben"))
	require.NoError(t, repo.Delete(t.Context(), all[1].ID, 0, "ben"))
	require.Empty(t, list(t, repo))
}

func refused(t *testing.T, repo repository.RuleRepository) {
	t.Helper()
	for want, change := range map[string]func(*repository.Rule){
		"name":       func(r *repository.Rule) { r.Name = " " },
		"match_type": func(r *repository.Rule) { r.MatchType = "fuzzy" },
		"text":       func(r *repository.Rule) { r.Response = "a\x00b" },
		"UTF-8":      func(r *repository.Rule) { r.Keywords = []string{"\xff"} },
		"conditions": func(r *repository.Rule) { r.When.Labels = []string{"\x00"} },
	} {
		r := Plain("a", 1)
		change(&r)
		_, err := repo.Create(t.Context(), r, "ann")
		require.ErrorIs(t, err, repository.ErrInvalid)
		require.ErrorContains(t, err, want)
		_, err = repo.Import(t.Context(), repository.Import{Rules: []repository.Rule{Plain("fine", 1), r}, By: "ann"})
		require.ErrorIs(t, err, repository.ErrInvalid)
		require.Empty(t, list(t, repo), "all of a set or nothing")
	}
	r := create(t, repo, Plain("a", 1))[0]
	_, err := repo.Create(t.Context(), r, "ann")
	require.ErrorIs(t, err, repository.ErrConflict, "its id is taken")
}

func notThere(t *testing.T, repo repository.RuleRepository) {
	t.Helper()
	for _, id := range []string{"00000000-0000-4000-8000-000000000000", "no uuid at all", ""} {
		_, err := repo.Get(t.Context(), id)
		require.ErrorIs(t, err, repository.ErrNotFound)
		missing := Plain("a", 1)
		missing.ID, missing.Version = id, 1
		_, err = repo.Update(t.Context(), missing, "ann")
		require.ErrorIs(t, err, repository.ErrNotFound)
		require.ErrorIs(t, repo.Delete(t.Context(), id, 0, "ann"), repository.ErrNotFound)
		_, err = repo.Restore(t.Context(), id, 1, "ann")
		require.ErrorIs(t, err, repository.ErrNotFound)
		require.ErrorIs(t, repo.Reorder(t.Context(), []string{id}, "ann"), repository.ErrNotFound)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := repo.List(ended)
	require.ErrorIs(t, err, context.Canceled)
	_, _, err = repo.Active(ended)
	require.ErrorIs(t, err, context.Canceled)
}

func history(t *testing.T, repo repository.RuleRepository) {
	t.Helper()
	first := create(t, repo, Full("a"))[0]
	second := first
	second.Response = "new"
	second, err := repo.Update(t.Context(), second, "ben")
	require.NoError(t, err)
	require.NoError(t, repo.Delete(t.Context(), first.ID, 2, "cid"))
	got, err := repo.History(t.Context(), repository.HistoryQuery{RuleID: first.ID})
	require.NoError(t, err)
	require.Len(t, got, 3)
	for i, want := range []repository.RuleVersion{
		{Version: 3, Change: repository.Deleted, By: "cid", Rule: second},
		{Version: 2, Change: repository.Updated, By: "ben", Rule: second},
		{Version: 1, Change: repository.Created, By: "ann", Rule: first},
	} {
		want.RuleID, want.At = first.ID, got[i].At
		require.Equal(t, want, got[i])
		require.WithinDuration(t, time.Now(), got[i].At, time.Minute)
	}
}

func pages(t *testing.T, repo repository.RuleRepository) {
	t.Helper()
	r := create(t, repo, Plain("a", 0), Plain("other", 0))[0]
	for i := range 9 {
		r.Response = strconv.Itoa(i)
		var err error
		r, err = repo.Update(t.Context(), r, "ann")
		require.NoError(t, err)
	}
	for id, want := range map[string]int{r.ID: 10, "": 11} {
		q := repository.HistoryQuery{RuleID: id, Limit: 4}
		seen := map[string]bool{}
		last := 0
		for {
			page, err := repo.History(t.Context(), q)
			require.NoError(t, err)
			if len(page) == 0 {
				break
			}
			last = len(page)
			for i := range page {
				key := page[i].RuleID + " " + strconv.Itoa(page[i].Version)
				require.False(t, seen[key], "once each")
				seen[key] = true
			}
			q.Before = &page[len(page)-1]
		}
		require.Len(t, seen, want)
		require.Equal(t, want%4, last)
	}
}

func restore(t *testing.T, repo repository.RuleRepository) {
	t.Helper()
	first := create(t, repo, Full("a"))[0]
	second := first
	second.Name, second.Then, second.Active = "b", rules.Then{}, false
	_, err := repo.Update(t.Context(), second, "ben")
	require.NoError(t, err)
	back, err := repo.Restore(t.Context(), first.ID, 1, "cid")
	require.NoError(t, err)
	want := first
	want.Version, want.UpdatedBy, want.UpdatedAt = 3, "cid", back.UpdatedAt
	require.Equal(t, want, back)
	_, err = repo.Restore(t.Context(), first.ID, 9, "cid")
	require.ErrorIs(t, err, repository.ErrNotFound)

	require.NoError(t, repo.Delete(t.Context(), first.ID, 3, "ben"))
	back, err = repo.Restore(t.Context(), first.ID, 4, "dee")
	require.NoError(t, err)
	want.Version, want.UpdatedBy, want.UpdatedAt = 5, "dee", back.UpdatedAt
	require.Equal(t, want, back, "a deletion is undone, under the same id")
}

func reorder(t *testing.T, repo repository.RuleRepository) {
	t.Helper()
	all := create(t, repo, Plain("a", 30), Plain("b", 20), Plain("c", 10), Plain("d", 10))
	id := map[string]string{}
	for _, r := range all {
		id[r.Name] = r.ID
	}
	for _, step := range []struct {
		order   []string
		changes int
	}{
		{[]string{"a", "b", "d", "c"}, 1},
		{[]string{"b", "d", "c", "a"}, 1},
		{[]string{"c", "b", "d", "a"}, 1},
		{[]string{"a", "b", "c", "d"}, 3},
	} {
		ids := make([]string, len(step.order))
		for i, n := range step.order {
			ids[i] = id[n]
		}
		before := list(t, repo)
		require.NoError(t, repo.Reorder(t.Context(), ids, "ben"))
		after := list(t, repo)
		require.Equal(t, step.order, names(after))
		changes := 0
		for _, r := range after {
			for _, old := range before {
				if old.ID == r.ID && old.Version != r.Version {
					require.Equal(t, "ben", r.UpdatedBy)
					changes++
				}
			}
		}
		require.LessOrEqual(t, changes, step.changes)
	}
	require.ErrorIs(t, repo.Reorder(t.Context(), []string{id["a"], id["b"]}, "ben"), repository.ErrConflict, "there are others")
	require.ErrorIs(t, repo.Reorder(t.Context(), []string{id["a"], id["a"], id["b"], id["c"]}, "ben"), repository.ErrNotFound, "twice")
}

func copies(t *testing.T, repo repository.RuleRepository) {
	t.Helper()
	want := create(t, repo, Full("a"))[0]
	got := list(t, repo)[0]
	got.Keywords[0], got.When.On[0], got.When.Hours.Zone, got.Then.Reply[0].Variants[0] = "x", "x", "x", "x"
	got.Then.ByLanguage["de"] = nil
	require.Equal(t, []repository.Rule{want}, list(t, repo))
}

func twoAtOnce(t *testing.T, repo repository.RuleRepository) {
	t.Helper()
	r := create(t, repo, Plain("a", 1))[0]
	const writers = 8
	errs := make(chan error, writers)
	for i := range writers {
		go func() {
			mine := r
			mine.Response = strconv.Itoa(i)
			_, err := repo.Update(t.Context(), mine, "writer "+strconv.Itoa(i))
			errs <- err
		}()
	}
	won := 0
	for range writers {
		if err := <-errs; err == nil {
			won++
		} else {
			require.ErrorIs(t, err, repository.ErrConflict)
		}
	}
	require.Equal(t, 1, won)
	got, err := repo.Get(t.Context(), r.ID)
	require.NoError(t, err)
	require.Equal(t, 2, got.Version)
}
