package profiles_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/parley-dm/parley/pkg/accounts"
	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/bus/bustest"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/meta/graph"
	"github.com/parley-dm/parley/pkg/topology"
	"github.com/parley-dm/parley/services/sender/internal/limit"
	"github.com/parley-dm/parley/services/sender/internal/profiles"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	account  = "17841400000000001"
	patience = 20 * time.Second
)

// world is Meta, the accounts, the clock and what is published.
type world struct {
	mu     sync.Mutex
	now    time.Time
	asked  []string
	answer func(customer string) (dm.Profile, error)
	events []dm.Event
	away   bool
	// looking hears of each look-up that has begun; hold keeps them.
	hold chan struct{}
}

func (w *world) Get(dm.Channel, string) (accounts.Account, bool) {
	return accounts.Account{ID: account, Channel: dm.ChannelInstagram, Login: accounts.LoginFacebook, Token: "token"}, true
}

func (w *world) Profile(_ context.Context, _ graph.Credentials, customer string) (dm.Profile, error) {
	w.mu.Lock()
	w.asked = append(w.asked, customer)
	hold := w.hold
	w.mu.Unlock()
	if hold != nil {
		<-hold
	}
	return w.answer(customer)
}

func (w *world) publish(_ context.Context, e dm.Event) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.away {
		return bus.ErrUnavailable
	}
	w.events = append(w.events, e)
	return nil
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) set(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

func (w *world) told() (asked []string, events []dm.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.asked...), append([]dm.Event(nil), w.events...)
}

type testBundle struct {
	*world
	t      *testing.T
	server *bustest.Server
	bucket *bus.Bucket
	gate   *limit.Gate
	ttl    time.Duration
	// metrics are those of the last keeper.
	metrics *prometheus.Registry
}

func setup(t *testing.T) *testBundle {
	t.Helper()
	b := &testBundle{t: t, server: bustest.Start(t), gate: limit.NewGate(nil), ttl: time.Hour, world: &world{now: time.Now()}}
	b.answer = func(customer string) (dm.Profile, error) { return dm.Profile{Name: "Ada " + customer}, nil }
	conn := b.server.Connect()
	_, err := topology.Ensure(t.Context(), conn.JetStream(), topology.Options{})
	require.NoError(t, err)
	b.bucket, err = bus.OpenBucket(t.Context(), conn, topology.Profiles.Name)
	require.NoError(t, err)
	return b
}

// keeper is one process's.
func (b *testBundle) keeper() *profiles.Keeper {
	b.t.Helper()
	b.metrics = prometheus.NewRegistry()
	k, err := profiles.New(profiles.Deps{
		Accounts: b.world, Graph: b.world, Bucket: b.bucket, Gate: b.gate, Log: slog.New(slog.DiscardHandler), Metrics: b.metrics, Publish: b.publish,
	}, profiles.Options{TTL: b.ttl, Credentials: func(accounts.Account) graph.Credentials { return graph.Credentials{} }, Now: b.clock})
	require.NoError(b.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- k.Run(ctx) }()
	b.t.Cleanup(func() {
		cancel()
		require.NoError(b.t, <-done)
	})
	return k
}

func customer(id string) dm.Conversation {
	return dm.Conversation{Channel: dm.ChannelInstagram, Account: account, Customer: id}
}

// kept is what the bucket has of a customer.
func (b *testBundle) kept(id string) (p dm.Profile, ok bool) {
	e, err := b.bucket.Get(b.t.Context(), topology.ConversationKey(customer(id)))
	if errors.Is(err, bus.ErrKeyNotFound) {
		return p, false
	}
	require.NoError(b.t, err)
	require.NoError(b.t, json.Unmarshal(e.Value, &p))
	return p, true
}

// awaitLooks waits until so many customers were looked at with a result.
func (b *testBundle) awaitLooks(result string, n float64) {
	b.t.Helper()
	require.Eventually(b.t, func() bool {
		families, err := b.metrics.Gather()
		require.NoError(b.t, err)
		for _, family := range families {
			for _, m := range family.GetMetric() {
				if family.GetName() == "parley_profile_lookups_total" && m.GetLabel()[0].GetValue() == result {
					return m.GetCounter().GetValue() == n
				}
			}
		}
		return false
	}, patience, time.Millisecond, result)
}

func (b *testBundle) awaitKept(id string) (p dm.Profile) {
	b.t.Helper()
	require.Eventually(b.t, func() bool {
		var ok bool
		p, ok = b.kept(id)
		return ok
	}, patience, time.Millisecond)
	return p
}

func TestACustomerIsLookedUpOnceInAWhile(t *testing.T) {
	t.Parallel()
	b := setup(t)
	k := b.keeper()
	for range 100 {
		k.Want(customer("7001"))
	}
	p := b.awaitKept("7001")
	require.Equal(t, "Ada 7001", p.Name)
	asked, events := b.told()
	require.Equal(t, []string{"7001"}, asked)
	require.Len(t, events, 1)
	require.Equal(t, []any{dm.KindProfile, dm.SourceParley, customer("7001"), p}, []any{events[0].Kind, events[0].Source, events[0].Conversation, *events[0].Profile})

	// Another process knows it from the bucket; the marker says when it has looked.
	other := b.keeper()
	other.Want(customer("7001"))
	other.Want(customer("7002"))
	b.awaitKept("7002")
	asked, _ = b.told()
	require.Equal(t, []string{"7001", "7002"}, asked)

	b.set(func() { b.now = b.now.Add(b.ttl + time.Second) })
	other.Want(customer("7001"))
	require.Eventually(t, func() bool { p, _ := b.kept("7001"); return p.FetchedAt.After(b.clock().Add(-time.Second)) }, patience, time.Millisecond)
}

func TestWithoutConsentThereIsNoNameAndNoSecondQuestion(t *testing.T) {
	t.Parallel()
	for _, code := range []int{230, 9010} {
		b := setup(t)
		b.answer = func(string) (dm.Profile, error) {
			return dm.Profile{}, &graph.Error{Code: code, Rule: graph.Classify(400, code, 0, false)}
		}
		b.keeper().Want(customer("7001"))
		p := b.awaitKept("7001")
		require.Equal(t, dm.Profile{NoConsent: true, FetchedAt: p.FetchedAt}, p)
		k := b.keeper()
		k.Want(customer("7001"))
		b.set(func() { b.answer = func(string) (dm.Profile, error) { return dm.Profile{}, nil } })
		k.Want(customer("7002"))
		b.awaitKept("7002")
		asked, events := b.told()
		require.Equal(t, []string{"7001", "7002"}, asked)
		require.True(t, events[0].Profile.NoConsent)
	}
}

func TestAPausedAccountIsNotAsked(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.gate.Pause(limit.Account(account), limit.Pause{Reason: "dead", For: time.Nanosecond, Token: "token"})
	k := b.keeper()
	k.Want(customer("7001"))
	b.awaitLooks("put_off", 1)
	b.gate.Clear(limit.Account(account))
	b.gate.Pause(limit.Account(account), limit.Pause{Reason: "dead", For: time.Hour, Token: "an older token"})
	k.Want(customer("7002"))
	b.awaitKept("7002")
	asked, _ := b.told()
	require.Equal(t, []string{"7002"}, asked)
	require.True(t, b.gate.Shut(limit.Account(account), "an older token"), "a look-up ends no pause")
}

// What Meta refuses for the account's sake is not asked at once for the next customer; a strange customer is nobody's trouble.
func TestRefusalsAreNotRepeated(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.answer = func(id string) (dm.Profile, error) {
		if id == "7000" {
			return dm.Profile{}, &graph.Error{Code: 100, Subcode: 33, Rule: graph.Classify(400, 100, 33, false)}
		}
		return dm.Profile{}, &graph.Error{Code: 80002, RetryAfter: 10 * time.Minute, Rule: graph.Classify(400, 80002, 0, false)}
	}
	k := b.keeper()
	count := func(n int) func() bool {
		return func() bool { asked, _ := b.told(); return len(asked) == n }
	}
	k.Want(customer("7000"))
	require.Eventually(t, count(1), patience, time.Millisecond)
	k.Want(customer("7001"))
	require.Eventually(t, count(2), patience, time.Millisecond)
	b.set(func() {
		b.now = b.now.Add(11 * time.Minute)
		b.answer = func(string) (dm.Profile, error) { return dm.Profile{Name: "Ada"}, nil }
	})
	k.Want(customer("7000"))
	k.Want(customer("7001"))
	b.awaitKept("7001")
	asked, _ := b.told()
	require.Equal(t, []string{"7000", "7001", "7001"}, asked, "the stranger is left alone for longer")
}

func TestWhatCannotBeToldIsNotNoted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.away = true
	k := b.keeper()
	k.Want(customer("7001"))
	b.awaitLooks("failed", 1)
	_, ok := b.kept("7001")
	require.False(t, ok)
	b.set(func() { b.away, b.now = false, b.now.Add(2*time.Minute) })
	require.Eventually(t, func() bool {
		k.Want(customer("7001"))
		_, ok := b.kept("7001")
		return ok
	}, patience, time.Millisecond)
}

// Want never waits, however slow Meta is and however many customers there are.
func TestWantingTakesNoTime(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.hold = make(chan struct{})
	k := b.keeper()
	for n := range 5000 {
		k.Want(customer(fmt.Sprint(n)))
	}
	require.Eventually(t, func() bool { asked, _ := b.told(); return len(asked) >= 1 }, patience, time.Millisecond)
	close(b.hold)
	b.awaitKept("0")
	var off *profiles.Keeper
	off.Want(customer("1"))
}
