package standing_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/parley-dm/parley/pkg/accounts"
	"github.com/parley-dm/parley/pkg/alert"
	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/bus/bustest"
	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/meta/graph"
	"github.com/parley-dm/parley/pkg/topology"
	"github.com/parley-dm/parley/services/sender/internal/deliver"
	"github.com/parley-dm/parley/services/sender/internal/limit"
	"github.com/parley-dm/parley/services/sender/internal/standing"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	account  = "17841400000000001"
	patience = 20 * time.Second
)

type book struct {
	mu    sync.Mutex
	token config.Secret
}

func (b *book) Get(dm.Channel, string) (accounts.Account, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return accounts.Account{Token: b.token, Name: "Shop"}, true
}

// process is one sender's side.
type process struct {
	*standing.Keeper
	gate    *limit.Gate
	book    *book
	metrics *prometheus.Registry
	stop    func()
}

func newProcess(t *testing.T, server *bustest.Server) *process {
	t.Helper()
	conn := server.Connect()
	_, err := topology.Ensure(t.Context(), conn.JetStream(), topology.Options{})
	require.NoError(t, err)
	bucket, err := bus.OpenBucket(t.Context(), conn, topology.Accounts.Name)
	require.NoError(t, err)
	p := &process{gate: limit.NewGate(nil), book: &book{token: "dead"}, metrics: prometheus.NewRegistry()}
	log := slog.New(slog.DiscardHandler)
	alerts, err := alert.New(alert.Settings{}, alert.Options{Log: log, Metrics: p.metrics})
	require.NoError(t, err)
	p.Keeper = standing.New(standing.Deps{Bucket: bucket, Accounts: p.book, Gate: p.gate, Alerts: alerts, Log: log})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	p.stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-done)
	})
	t.Cleanup(p.stop)
	return p
}

// pause is what a sender that meets a dead token does.
func (p *process) pause(k limit.Key, code int, token config.Secret) time.Time {
	why := limit.Pause{Reason: "refused", For: time.Minute, Token: token}
	until, _ := p.gate.Pause(k, why)
	p.Paused(k, deliver.Pause{Channel: dm.ChannelInstagram, Account: account, Until: until, Pause: why, Err: &graph.Error{Code: code, Rule: graph.Classify(400, code, 0, false)}})
	return until
}

func (p *process) closed(k limit.Key, token config.Secret) bool {
	return !p.gate.Closed(k, token).Until.IsZero()
}

func TestAPauseSurvivesAHandOverAndEndsForAll(t *testing.T) {
	t.Parallel()
	server := bustest.Start(t)
	a := newProcess(t, server)
	key, app := limit.Account(account), limit.App("facebook")
	until := a.pause(key, 190, "dead")
	a.pause(app, 4, "")
	a.Parked(dm.ChannelInstagram, account, 7)
	a.stop() // a graceful one: what was told is written

	bucket, err := bus.OpenBucket(t.Context(), server.Connect(), topology.Accounts.Name)
	require.NoError(t, err)
	read := func() (accounts.State, error) {
		e, err := bucket.Get(t.Context(), accounts.StateKey(dm.ChannelInstagram, account))
		if err != nil {
			return accounts.State{}, err
		}
		return accounts.ParseState(e.Value)
	}
	s, err := read()
	require.NoError(t, err)
	require.Equal(t, []any{"token_dead", 190, "refused", uint64(7), accounts.Fingerprint("dead")}, []any{s.Pause.Class, s.Pause.Code, s.Pause.Reason, s.Parked, s.Pause.Token})
	require.WithinDuration(t, until, s.Pause.Until, time.Millisecond)
	require.Contains(t, s.Pause.WhatToDo, "new token")

	b := newProcess(t, server)
	require.Eventually(t, func() bool { return b.gate.Size() == 2 }, patience, time.Millisecond, "the next sender needs no call to know")
	require.True(t, b.closed(key, "dead"))
	require.True(t, b.closed(app, ""))
	c := newProcess(t, server)
	require.Eventually(t, func() bool { return c.gate.Size() == 2 }, patience, time.Millisecond)

	require.True(t, b.gate.Closed(key, "fresh").Renewed)
	b.Resumed(key, dm.ChannelInstagram)
	b.Parked(dm.ChannelInstagram, account, 0)
	b.gate.Clear(app)
	b.Resumed(app, dm.ChannelInstagram)
	require.Eventually(t, func() bool { return c.gate.Size() == 0 }, patience, time.Millisecond, "and the others learn that it is over")
	require.Eventually(t, func() bool { _, err := read(); return err != nil }, patience, time.Millisecond, "nothing to tell is no key")
	_, err = read()
	require.ErrorIs(t, err, bus.ErrKeyNotFound)
}

func TestAPauseOfAnotherTokenDoesNotHold(t *testing.T) {
	t.Parallel()
	server := bustest.Start(t)
	a := newProcess(t, server)
	a.pause(limit.Account(account), 190, "dead")
	a.pause(limit.App("facebook"), 4, "")
	a.stop()
	b := newProcess(t, server)
	b.book.mu.Lock()
	b.book.token = "fresh"
	b.book.mu.Unlock()
	require.Eventually(t, func() bool { return b.gate.Size() == 2 }, patience, time.Millisecond)
	require.Equal(t, limit.Verdict{Renewed: true}, b.gate.Closed(limit.Account(account), "fresh"), "it is told that it has ended")
}

func TestATokenIsRemembered(t *testing.T) {
	t.Parallel()
	server := bustest.Start(t)
	a := newProcess(t, server)
	known := accounts.TokenState{Fingerprint: "f", Valid: true, Checked: time.Now().UTC().Truncate(time.Millisecond)}
	a.Token(dm.ChannelInstagram, account, known)
	b := newProcess(t, server)
	require.Eventually(t, func() bool { return b.State(dm.ChannelInstagram, account).Token != nil }, patience, time.Millisecond)
	require.Equal(t, known, *b.State(dm.ChannelInstagram, account).Token)
	b.Parked(dm.ChannelInstagram, account, 3) // the next owner adds what it knows, and loses nothing
	require.Eventually(t, func() bool { return a.State(dm.ChannelInstagram, account).Parked == 3 }, patience, time.Millisecond)
	require.Equal(t, known, *a.State(dm.ChannelInstagram, account).Token)
}

func TestUsageIsToldWhenItChanges(t *testing.T) {
	t.Parallel()
	server := bustest.Start(t)
	a, b := newProcess(t, server), newProcess(t, server)
	usage := func(p *process) *accounts.UsageState { return p.State(dm.ChannelInstagram, account).Usage }
	a.Used(dm.ChannelInstagram, account, 0, 1)
	require.Nil(t, usage(a), "what is not told is not known")
	a.Used(dm.ChannelInstagram, account, 40, 1)
	first := *usage(a)
	a.Used(dm.ChannelInstagram, account, 43, 1)
	require.Equal(t, first, *usage(a), "not with each answer")
	a.Used(dm.ChannelInstagram, account, 90, 0.25)
	require.Eventually(t, func() bool { u := usage(b); return u != nil && u.Percent == 90 && u.Rate == 0.25 }, patience, time.Millisecond)
	require.Equal(t, "Shop", b.State(dm.ChannelInstagram, account).Name)
	a.Used(dm.ChannelInstagram, account, 0, 1)
	require.Eventually(t, func() bool { return usage(b).Percent == 0 }, patience, time.Millisecond)
}
