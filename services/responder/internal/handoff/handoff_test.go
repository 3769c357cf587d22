package handoff_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/parley-dm/parley/pkg/alert"
	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/repository"
	"github.com/parley-dm/parley/pkg/signed"
	"github.com/parley-dm/parley/pkg/telemetry"
	"github.com/parley-dm/parley/pkg/telemetry/logtest"
	"github.com/parley-dm/parley/services/responder/internal/engine"
	"github.com/parley-dm/parley/services/responder/internal/handoff"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	noon = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	conv = dm.Conversation{Channel: dm.ChannelInstagram, Account: "17841400000000001", Customer: "7001"}
)

// bundle is a desk with a help desk behind it that answers as it is told to.
type bundle struct {
	*handoff.Desk
	t   *testing.T
	log logtest.Buffer
	tel *telemetry.Telemetry
	now time.Time
	// heard is what the customer said; away what reading it ends with.
	heard []dm.Event
	away  error
	reads int

	mu     sync.Mutex
	posts  []*http.Request
	bodies []string
	answer func(http.ResponseWriter, *http.Request)
}

func setup(t *testing.T, change ...func(*handoff.Options)) *bundle {
	t.Helper()
	b := &bundle{t: t, now: noon.Add(time.Second)}
	tel, err := telemetry.Start(t.Context(), telemetry.Options{Service: "responder", Common: config.Common{}, LogTo: &b.log, NoAdmin: true})
	require.NoError(t, err)
	b.tel = tel
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		b.mu.Lock()
		b.posts, b.bodies = append(b.posts, r), append(b.bodies, string(body))
		answer := b.answer
		b.mu.Unlock()
		if answer != nil {
			answer(w, r)
		}
	}))
	t.Cleanup(server.Close)
	alerts, err := alert.New(alert.Settings{}, alert.Options{Service: "responder", Log: tel.Log, Metrics: tel.Metrics})
	require.NoError(t, err)
	o := handoff.Options{URL: config.Secret(server.URL + "/in?token=hidden"), Secret: "s", Reach: signed.Reach{Private: true, Setting: "HANDOFF_PRIVATE"}, Timeout: 5 * time.Second}
	for _, f := range change {
		f(&o)
	}
	b.Desk, err = handoff.New(handoff.Deps{
		Heard: b, History: b.history, Alerts: alerts, Telemetry: tel, Now: func() time.Time { return b.now },
	}, o)
	require.NoError(t, err)
	t.Cleanup(b.Close)
	return b
}

func (b *bundle) Heard(context.Context, dm.Conversation, time.Time) ([]dm.Event, error) {
	b.reads++
	return b.heard, b.away
}

func (b *bundle) history(_ context.Context, e *dm.Event) ([]engine.Said, error) {
	return []engine.Said{{From: engine.FromCustomer, At: e.Time.Add(-time.Minute), MID: "m_0", Type: "text", Text: "hello"}}, b.away
}

func (b *bundle) answers(f func(http.ResponseWriter, *http.Request)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answer = f
}

func (b *bundle) told() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.bodies...)
}

func handedOff() *dm.Event {
	return &dm.Event{
		ID: "ev_hold", Conversation: conv, Kind: dm.KindHold, KnownAccount: true, Time: noon, Source: dm.SourceParley,
		Hold: &dm.Hold{Holder: dm.HolderPerson, Reason: dm.HoldHandOff, By: "rule A person, please", At: noon, Until: noon.Add(12 * time.Hour), Cause: "ev_1"},
	}
}

func TestTheDeskIsTold(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.heard = []dm.Event{{ID: "ev_0", Text: "hello"}, {ID: "ev_1", MID: "m_1", MessageType: "text", Text: "a human please", Time: noon}}
	require.NoError(t, b.Tell(t.Context(), handedOff()))
	bodies := b.told()
	require.Len(t, bodies, 1)
	require.JSONEq(t, `{
		"version": 1, "id": "ev_hold", "event": "conversation.handed_off", "time": "2026-11-26T12:00:00Z",
		"conversation": {"id": "`+repository.ConversationID(conv)+`", "channel": "instagram", "account": "17841400000000001", "customer": "7001"},
		"holder": {"who": "person", "reason": "hand_off", "by": "rule A person, please", "until": "2026-11-27T00:00:00Z"},
		"message": {"mid": "m_1", "type": "text", "text": "a human please", "at": "2026-11-26T12:00:00Z"},
		"history": [{"from": "customer", "at": "2026-11-26T11:59:00Z", "mid": "m_0", "type": "text", "text": "hello"}]
	}`, bodies[0])
	h := b.posts[0].Header
	require.Equal(t, []string{signed.Sign("s", []byte(bodies[0])), "conversation.handed_off", "ev_hold"}, []string{h.Get(signed.Header), h.Get(signed.EventHeader), h.Get(signed.DeliveryHeader)})
	require.NotContains(t, b.log.String(), "human please", "no text is logged")
	require.NotContains(t, b.log.String(), "hidden")
}

func TestOnlyHandOffsAreTold(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, h := range []*dm.Hold{
		nil, {Holder: dm.HolderPerson, Reason: dm.HoldTakeover, At: noon}, {Holder: dm.HolderPerson, Reason: dm.HoldOperator, At: noon},
		{Holder: dm.HolderBot, Reason: dm.HoldHandOff, At: noon}, {Holder: dm.HolderApp, Reason: dm.HoldStandby, At: noon},
	} {
		e := handedOff()
		e.Hold = h
		require.NoError(t, b.Tell(t.Context(), e))
	}
	require.Empty(t, b.told())
}

func TestWithoutWhatWasSaidItIsStillTold(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.away = errors.New("the archive is away")
	require.NoError(t, b.Tell(t.Context(), handedOff()))
	require.Contains(t, b.told()[0], `"id":"ev_hold"`)
	require.NotContains(t, b.told()[0], `"message"`)
	require.Contains(t, b.log.String(), "handoff.without_history")
}

func TestADeskThatIsAwayIsAskedAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	refuse := func(status int, header ...string) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i+1 < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(status)
		}
	}
	for _, status := range []int{http.StatusInternalServerError, http.StatusUnauthorized, http.StatusFound} {
		b.answers(refuse(status, "Location", "/elsewhere"))
		class, at := bus.Classify(b.Tell(t.Context(), handedOff()))
		require.Equal(t, bus.Deferred, class, status)
		require.Zero(t, at, "with growing pauses, for as long as it takes")
	}
	b.answers(refuse(http.StatusTooManyRequests, "Retry-After", "30"))
	class, at := bus.Classify(b.Tell(t.Context(), handedOff()))
	require.Equal(t, bus.Deferred, class)
	require.Equal(t, b.now.Add(30*time.Second), at)
	require.NotContains(t, b.log.String(), "alert.raised")

	b.now = noon.Add(6 * time.Minute)
	require.Error(t, b.Tell(t.Context(), handedOff()))
	require.Contains(t, b.log.String(), "hand_off_not_told", "a person is told that it does not work")
	b.answers(nil)
	require.NoError(t, b.Tell(t.Context(), handedOff()))
	bodies := b.told()
	for _, body := range bodies {
		require.Equal(t, bodies[0], body, "the same each time")
	}
	require.Equal(t, 1, b.reads, "and read once")

	b.now = noon.Add(25 * time.Hour)
	b.answers(refuse(http.StatusInternalServerError))
	err := b.Tell(t.Context(), handedOff())
	class, _ = bus.Classify(err)
	require.Equal(t, bus.Poison, class, "it is given up after a day, as a dead letter")
	require.NotContains(t, err.Error(), "hidden")
	b.answers(nil)
	require.NoError(t, b.Tell(t.Context(), handedOff()), "which may be replayed")
}

func TestADeskThatHangsIsNotWaitedForForLong(t *testing.T) {
	t.Parallel()
	b := setup(t, func(o *handoff.Options) { o.Timeout = 50 * time.Millisecond })
	b.answers(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	err := b.Tell(t.Context(), handedOff())
	require.ErrorIs(t, err, context.DeadlineExceeded)
	class, _ := bus.Classify(err)
	require.Equal(t, bus.Deferred, class)
}

func TestAPrivateAddressIsNotCalled(t *testing.T) {
	t.Parallel()
	b := setup(t, func(o *handoff.Options) { o.Reach.Private = false })
	require.ErrorIs(t, b.Tell(t.Context(), handedOff()), signed.ErrPrivate)
	require.Empty(t, b.told())
}
