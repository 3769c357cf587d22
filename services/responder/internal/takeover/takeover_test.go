package takeover_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/parley-dm/parley/pkg/accounts"
	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/pipeline"
	"github.com/parley-dm/parley/pkg/pipeline/holds"
	"github.com/parley-dm/parley/pkg/pipeline/holds/holdstest"
	"github.com/parley-dm/parley/pkg/telemetry"
	"github.com/parley-dm/parley/services/responder/internal/takeover"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	shop    = "17841400000000001"
	archive = "17841400000000002"
	ourApp  = "1001"
	quiet   = 12 * time.Hour
	other   = 24 * time.Hour
)

var conversation = dm.Conversation{Channel: dm.ChannelInstagram, Account: shop, Customer: "7001"}

type book map[string]accounts.Account

func (b book) Get(_ dm.Channel, id string) (accounts.Account, bool) {
	a, ok := b[id]
	return a, ok
}

// streams plays what is sent and what the ledger says.
type streams struct {
	mu     sync.Mutex
	spoken []pipeline.Spoken
	waited []pipeline.Spoken
	looks  int
	// earlier is what was sent before the watch began, and reads how often some of it was read; stored is what was sent just now.
	earlier []dm.Delivery
	stored  []dm.Delivery
	reads   int
	err     error
	sent    func(dm.Delivery)
	behind  func(bool)
	// heard is what the customer said, since and before when it was last asked for.
	heard  []dm.Event
	since  time.Time
	before uint64
}

func (s *streams) HeardBefore(_ context.Context, _ dm.Conversation, since time.Time, sequence uint64) ([]dm.Event, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.since, s.before = since, sequence
	return s.heard, s.err
}

func (s *streams) FollowSent(ctx context.Context, _ time.Duration, sent func(dm.Delivery), behind func(bool)) error {
	s.mu.Lock()
	s.sent, s.behind = sent, behind
	s.mu.Unlock()
	behind(false)
	<-ctx.Done()
	return nil
}

func (s *streams) SentBetween(_ context.Context, from, to time.Time, sent func(dm.Delivery)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	for _, d := range s.earlier {
		if !d.SentAt.Before(from) && d.SentAt.Before(to) {
			sent(d)
		}
	}
	return s.err
}

func (s *streams) Sent(_ context.Context, c dm.Conversation, since time.Time) ([]dm.Delivery, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []dm.Delivery
	for _, d := range s.stored {
		if d.Conversation == c && !d.SentAt.Before(since) {
			out = append(out, d)
		}
	}
	return out, s.err
}

func (s *streams) Spoken(context.Context, dm.Conversation, time.Time, time.Time) ([]pipeline.Spoken, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.looks++
	return s.spoken, s.err
}

func (s *streams) Unsettled(context.Context, dm.Conversation, time.Time) ([]pipeline.Spoken, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waited, s.err
}

func (s *streams) ledger(spoken ...pipeline.Spoken) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spoken = spoken
}

type bundle struct {
	*takeover.Watch
	t       *testing.T
	streams *streams
	held    *holds.Holds
	// ours are the echoes that are told to be ours; fails is how many of the next tellings do.
	ours  chan known
	fails atomic.Int32
	// changing is called before the next change of who has the conversation is written.
	changing func()
	stop     func()
}

func (b *bundle) Change(ctx context.Context, c dm.Conversation, h dm.Hold) (holds.Change, error) {
	if f := b.changing; f != nil {
		b.changing = nil
		f()
	}
	return b.held.Change(ctx, c, h)
}

func (b *bundle) Get(ctx context.Context, c dm.Conversation) (holds.Record, error) {
	return b.held.Get(ctx, c)
}

func (b *bundle) Took(c dm.Conversation, mid string) (time.Time, bool) { return b.held.Took(c, mid) }

// known is an echo that is known to be ours, and how.
type known struct {
	dm.Event

	cause string
}

// setup runs in a bubble, where time passes as fast as nobody needs it.
func setup(t *testing.T, appID string) *bundle {
	t.Helper()
	b := &bundle{t: t, streams: &streams{}, held: holds.New(holdstest.New(), holds.Options{}), ours: make(chan known, 10)}
	var err error
	b.Watch, err = takeover.New(takeover.Deps{
		Streams: b.streams, Holds: b, Accounts: book{shop: {ID: shop, Reply: true}, archive: {ID: archive}}, Telemetry: telemetry.Discard(),
		Ours: func(_ context.Context, e dm.Event, cause string) error {
			if b.fails.Add(-1) >= 0 {
				return bus.ErrUnavailable
			}
			b.ours <- known{e, cause}
			return nil
		},
	}, takeover.Options{AppID: appID, Quiet: quiet, OtherApp: other})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 2)
	go func() { done <- b.Run(ctx) }()
	go func() { done <- b.held.Run(ctx) }()
	b.stop = func() {
		cancel()
		require.NoError(t, errors.Join(<-done, <-done))
	}
	synctest.Wait()
	return b
}

func event(kind dm.EventKind, mid string) *dm.Event {
	now := time.Now()
	return &dm.Event{ID: "ev_" + mid, Conversation: conversation, Kind: kind, MID: mid, Text: "It is 5 €.", KnownAccount: true, Time: now.Add(-50 * time.Millisecond), ReceivedAt: now}
}

// hear plays the bus: it tries again when it is told to.
func (b *bundle) hear(e *dm.Event) (change *dm.Event, took time.Duration) {
	b.t.Helper()
	began := time.Now()
	for range 1000 {
		change, err := b.Heard(b.t.Context(), e)
		if err == nil {
			return change, time.Since(began)
		}
		class, at := bus.Classify(err)
		require.Equal(b.t, bus.Deferred, class, "%v", err)
		pause := time.NewTimer(max(time.Until(at), 100*time.Millisecond))
		<-pause.C
	}
	require.FailNow(b.t, "it is never decided")
	return nil, 0
}

func (b *bundle) holder() dm.Holder {
	b.t.Helper()
	h, _, err := b.held.Holder(b.t.Context(), conversation, time.Time{})
	require.NoError(b.t, err)
	return h.Holder
}

func (b *bundle) delivered(mid string) dm.Delivery {
	d := dm.Delivery{ID: "de_" + mid, Conversation: conversation, MID: mid, Outcome: dm.OutcomeSent, SentAt: time.Now()}
	b.streams.sent(d)
	return d
}

func TestAnEchoThatIsNotOursPutsTheBotToSleep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, "")
		e := event(dm.KindEcho, "m1")
		change, took := b.hear(e)
		require.Equal(t, &dm.Hold{
			Holder: dm.HolderPerson, Reason: dm.HoldTakeover, At: e.Time.UTC().Truncate(time.Microsecond), Until: e.Time.Add(quiet).UTC().Truncate(time.Microsecond), MID: "m1", Cause: "ev_m1",
		}, change.Hold)
		require.Less(t, took, 3*time.Second)
		require.Equal(t, dm.HolderPerson, b.holder())
		again, _ := b.hear(e)
		require.Equal(t, change, again, "told with the same id when it comes again")
		b.stop()
	})
}

func TestAnEchoOfOursChangesNothing(t *testing.T) {
	t.Parallel()
	for name, play := range map[string]func(b *bundle, e *dm.Event){
		"after its delivery":  func(b *bundle, e *dm.Event) { b.delivered(e.MID) },
		"before its delivery": func(b *bundle, e *dm.Event) { time.AfterFunc(300*time.Millisecond, func() { b.delivered(e.MID) }) },
		"with our app's id":   func(_ *bundle, e *dm.Event) { e.AppID = ourApp },
		"without a mid":       func(_ *bundle, e *dm.Event) { e.MID = "" },
		"its delivery was not heard of": func(b *bundle, _ *dm.Event) {
			b.streams.ledger(pipeline.Spoken{MID: "m0"}, pipeline.Spoken{MID: "m1", Text: "x"})
		},
		"what came of it is never known": func(b *bundle, e *dm.Event) { b.streams.ledger(pipeline.Spoken{Text: e.Text, Unknown: true}) },
		"its sender is never heard of again": func(b *bundle, e *dm.Event) {
			b.streams.ledger(pipeline.Spoken{Text: " " + e.Text + "\n", InFlight: true})
		},
		"its sender was killed, and the next one finds out": func(b *bundle, e *dm.Event) {
			b.streams.ledger(pipeline.Spoken{Text: e.Text, InFlight: true})
			time.AfterFunc(40*time.Second, func() { b.streams.ledger(pipeline.Spoken{Text: e.Text, MID: e.MID}) })
		},
		"Meta has changed its text, and its call is slow": func(b *bundle, e *dm.Event) {
			b.streams.ledger(pipeline.Spoken{Text: "another", InFlight: true})
			time.AfterFunc(8*time.Second, func() { b.delivered(e.MID) })
			time.AfterFunc(8*time.Second, func() { b.streams.ledger(pipeline.Spoken{Text: "another", MID: e.MID}) })
		},
		"it was settled a moment ago, and is not heard of yet": func(b *bundle, e *dm.Event) {
			b.streams.stored = []dm.Delivery{{ID: "de_m0", Conversation: conversation, MID: "m0", SentAt: time.Now()}, {ID: "de_m1", Conversation: conversation, MID: e.MID, SentAt: time.Now()}}
		},
		"what is sent is known late": func(b *bundle, e *dm.Event) {
			b.streams.behind(true)
			time.AfterFunc(20*time.Second, func() { b.delivered(e.MID); b.streams.behind(false) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := setup(t, ourApp)
				e := event(dm.KindEcho, "m1")
				play(b, e)
				change, _ := b.hear(e)
				require.Nil(t, change)
				require.Empty(t, b.holder())
				b.stop()
			})
		})
	}
}

func TestAPersonIsHeardWhileSomethingOfOursIsInFlight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, "")
		b.streams.ledger(pipeline.Spoken{Text: "It is 5 €.", InFlight: true})
		// The person says what the bot says at the same moment; the bot's has another mid.
		time.AfterFunc(2*time.Second, func() { b.delivered("m0"); b.streams.ledger(pipeline.Spoken{Text: "It is 5 €.", MID: "m0"}) })
		change, took := b.hear(event(dm.KindEcho, "m1"))
		require.NotNil(t, change)
		require.Less(t, took, 5*time.Second)

		b.streams.ledger(pipeline.Spoken{Text: "another", InFlight: true}) // parked for hours, claimed never
		_, took = b.hear(event(dm.KindEcho, "m2"))
		require.Less(t, took, 3*time.Minute, "it does not wait for ever")
		require.Equal(t, dm.HolderPerson, b.holder())
		b.stop()
	})
}

// A message may be sent long after it was decided: its sender was behind, or its account was paused.
func TestAnEchoOfWhatHasWaitedForLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, "")
		b.streams.mu.Lock()
		b.streams.waited = []pipeline.Spoken{{Text: "It is 5 €.", InFlight: true}}
		b.streams.mu.Unlock()
		time.AfterFunc(40*time.Second, func() { b.delivered("m1") })
		change, took := b.hear(event(dm.KindEcho, "m1"))
		require.Nil(t, change)
		require.GreaterOrEqual(t, took, 40*time.Second, "it waits until it is known")
		require.Empty(t, b.holder())
		b.stop()
	})
}

func TestWhatDoesNotConcernTheBot(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(e *dm.Event){
		"not ours":                func(e *dm.Event) { e.Account = "999" },
		"unknown to ingress":      func(e *dm.Event) { e.KnownAccount = false },
		"archive only":            func(e *dm.Event) { e.Account = archive },
		"to an account of ours":   func(e *dm.Event) { e.Customer = archive },
		"to nobody":               func(e *dm.Event) { e.Customer = "" },
		"a customer's message":    func(e *dm.Event) { e.Kind = dm.KindMessage },
		"to itself":               func(e *dm.Event) { e.Kind = dm.KindSelf },
		"over before it came":     func(e *dm.Event) { e.Time = e.Time.Add(-quiet) },
		"the thread is asked for": func(e *dm.Event) { e.Kind, e.Control, e.NewOwner = dm.KindThreadControl, "request", "2" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := setup(t, "")
				e := event(dm.KindEcho, "m1")
				change(e)
				got, _ := b.hear(e)
				require.Nil(t, got)
				require.Zero(t, b.streams.looks, "and costs nothing")
				b.stop()
			})
		})
	}
}

func TestAnotherAppHasTheThread(t *testing.T) {
	t.Parallel()
	pass := func(from, to string) func(e *dm.Event) {
		return func(e *dm.Event) { e.Control, e.OldOwner, e.NewOwner = "pass", from, to }
	}
	take := func(from string) func(e *dm.Event) {
		return func(e *dm.Event) { e.Control, e.OldOwner = "take", from }
	}
	standby := func(e *dm.Event) { e.Kind, e.Standby = dm.KindStandby, true }
	standbyEcho := func(e *dm.Event) { e.Kind, e.Standby = dm.KindEcho, true }
	for name, c := range map[string]struct {
		appID  string
		events []func(e *dm.Event)
		want   dm.Holder
	}{
		"passed away":                   {ourApp, []func(e *dm.Event){pass(ourApp, "2")}, dm.HolderApp},
		"passed to us":                  {ourApp, []func(e *dm.Event){pass("2", ourApp)}, ""},
		"passed away and back":          {ourApp, []func(e *dm.Event){pass(ourApp, "2"), pass("2", ourApp)}, ""},
		"passed on between others":      {ourApp, []func(e *dm.Event){pass(ourApp, "2"), pass("2", "3")}, dm.HolderApp},
		"taken from us":                 {ourApp, []func(e *dm.Event){take(ourApp)}, dm.HolderApp},
		"taken, and passed back":        {ourApp, []func(e *dm.Event){take(ourApp), pass("2", ourApp)}, ""},
		"standby":                       {ourApp, []func(e *dm.Event){standby}, dm.HolderApp},
		"standby, and passed to us":     {ourApp, []func(e *dm.Event){standby, pass("2", ourApp)}, ""},
		"another app's echo in standby": {ourApp, []func(e *dm.Event){standbyEcho}, dm.HolderApp},
		"our id is not known: away":     {"", []func(e *dm.Event){pass("1", "2")}, dm.HolderApp},
		"our id is not known: back":     {"", []func(e *dm.Event){pass("1", "2"), pass("2", "1")}, ""},
		"our id is not known: twice":    {"", []func(e *dm.Event){pass("1", "2"), pass("1", "2")}, dm.HolderApp},
		"our id is not known: to us":    {"", []func(e *dm.Event){standby, pass("2", "1")}, ""},
		"our id is not known: taken":    {"", []func(e *dm.Event){take("1")}, dm.HolderApp},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := setup(t, c.appID)
				for n, change := range c.events {
					e := event(dm.KindThreadControl, fmt.Sprint("m", n))
					change(e)
					b.hear(e)
					pause := time.NewTimer(time.Second)
					<-pause.C
				}
				require.Equal(t, c.want, b.holder())
				pause := time.NewTimer(other)
				<-pause.C
				require.Empty(t, b.holder(), "not for ever")
				b.stop()
			})
		})
	}
}

// Hundreds of echoes at once that nothing is known of hold up few handlers, and all are decided.
func TestManyEchoesAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, "")
		var wg sync.WaitGroup
		for n := range 300 {
			wg.Go(func() {
				e := event(dm.KindEcho, fmt.Sprint("m", n))
				e.Customer = fmt.Sprint(n)
				if change, _ := b.hear(e); change == nil {
					t.Errorf("echo %d changed nothing", n)
				}
			})
		}
		wg.Wait()
		b.stop()
	})
}
