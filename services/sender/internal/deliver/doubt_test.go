package deliver_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/meta/graph"
	"github.com/parley-dm/parley/services/sender/internal/deliver"
	"github.com/parley-dm/parley/services/sender/internal/ledger"
	"github.com/parley-dm/parley/services/sender/internal/limit"
	"github.com/parley-dm/parley/services/sender/internal/reconcile"
)

const (
	inFlight = 20 * time.Second
	doubt    = 2 * time.Minute
)

// oracle is a reconciler that says what a test wants it to.
type oracle struct {
	mu     sync.Mutex
	answer reconcile.Answer
	err    error
	asked  []reconcile.Question
}

func (o *oracle) Look(_ context.Context, q reconcile.Question) (reconcile.Answer, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asked = append(o.asked, q)
	return o.answer, o.err
}

func (o *oracle) says(a reconcile.Answer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.answer = a
}

// plays changes the answers; no answer may have come that would say that the call before it is over.
func (m *meta) plays(answer func(n int, text string, w http.ResponseWriter)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.answer = answer
}

// inDoubt leaves a message in doubt, as a broken connection or a killed process does.
func (b *testBundle) inDoubt(how string, i dm.ReplyIntent) {
	b.t.Helper()
	switch how {
	case "killed":
		_, err := ledger.New(b.bucket, ledger.Options{}).Claim(b.t.Context(), i.ID+".0")
		require.NoError(b.t, err)
	case "reset":
		b.meta.plays(func(_ int, _ string, w http.ResponseWriter) { reset(w) })
	case "sent all the same":
		b.meta.plays(func(_ int, _ string, w http.ResponseWriter) { refuse(w, 500, 1, 1357046) })
	}
	before := b.now()
	until := b.deferred(i)
	require.WithinRange(b.t, until, before.Add(500*time.Millisecond), b.now().Add(1500*time.Millisecond), "its echo is looked for soon")
	b.meta.plays(nil)
}

func TestADoubtEndsWithTheEvidence(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"killed", "reset", "sent all the same"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			i := intent("a", "hello")
			b.inDoubt(how, i)
			calls := len(b.meta.sent())
			b.oracle.says(reconcile.Answer{Fate: reconcile.Sent, MID: "found", How: reconcile.ByEcho})

			for range 2 {
				out := b.deliver(i)
				require.Equal(t, []any{dm.OutcomeSent, "found"}, []any{out[0].Outcome, out[0].MID})
				b.d = b.process()
			}
			require.Len(t, b.meta.sent(), calls)
			require.Contains(t, b.log.String(), `"msg":"delivery.reconciled"`)
		})
	}
}

// What is provably not there is sent again, but not while the call may still arrive.
func TestWhatIsNotThereIsSentAgain(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"killed", "reset"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			i := intent("a", "hello")
			b.inDoubt(how, i)
			calls := len(b.meta.sent())
			b.oracle.says(reconcile.Answer{Fate: reconcile.Absent, How: reconcile.ByConversation})
			b.deferred(i)
			b.advance(inFlight / 2)
			b.deferred(i)
			require.Len(t, b.meta.sent(), calls, "its call may be under way")

			b.advance(inFlight)
			b.deferred(i) // it is open again
			out := b.deliver(i)
			require.Equal(t, []any{dm.OutcomeSent, "mid-" + map[string]string{"killed": "1", "reset": "2"}[how]}, []any{out[0].Outcome, out[0].MID})
			require.Len(t, b.meta.sent(), calls+1)
		})
	}
}

func TestWhatMetaSaysWasSentIsNeverSentAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	i := intent("a", "hello")
	b.inDoubt("sent all the same", i)
	b.oracle.says(reconcile.Answer{Fate: reconcile.Absent, How: reconcile.ByConversation})
	for elapsed := time.Duration(0); elapsed < doubt; elapsed += 10 * time.Second {
		b.deferred(i)
		b.advance(10 * time.Second)
	}
	require.Equal(t, dm.OutcomeUnknown, b.deliver(i)[0].Outcome)
	require.Equal(t, []string{"hello"}, b.meta.sent())
}

// A host that loses every message after it has taken it is not called for ever, and what is known is told.
func TestLostAgainAndAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.meta.answer = func(_ int, _ string, w http.ResponseWriter) { reset(w) }
	b.oracle.says(reconcile.Answer{Fate: reconcile.Absent, How: reconcile.ByConversation})
	i := intent("a", "hello")
	var out []dm.Delivery
	for range 50 {
		var err error
		if out, err = b.d.Deliver(t.Context(), i); err == nil {
			break
		}
		b.advance(10 * time.Second)
	}
	require.Equal(t, []dm.Outcome{dm.OutcomeFailed}, outcomes(out))
	require.Contains(t, out[0].Reason, "given up after 4 attempts")
	require.Len(t, b.meta.sent(), 4)
	since := b.oracle.asked[0].Since
	require.Equal(t, since, b.oracle.asked[len(b.oracle.asked)-1].Since, "a first call that arrives late is still recognised")
}

// Looks come ever more rarely, ask Meta only when the echo has had its time, and tell what must not be taken for the message.
func TestLooks(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.meta.answer = func(n int, text string, w http.ResponseWriter) {
		if text == "two" {
			reset(w)
			return
		}
		ok(w, n)
	}
	i := intent("a", "one", "two", "three")
	_, err := b.d.Deliver(t.Context(), i)
	require.Error(t, err)
	b.oracle.err = errors.New("away")
	var pauses []time.Duration
	for len(pauses) < 20 {
		out, err := b.d.Deliver(t.Context(), i)
		if err == nil {
			require.Equal(t, []dm.Outcome{dm.OutcomeSent, dm.OutcomeUnknown, dm.OutcomeSent}, outcomes(out))
			break
		}
		require.Equal(t, []dm.Outcome{dm.OutcomeSent}, outcomes(out), "what is settled is told")
		_, until := bus.Classify(err)
		pause := until.Sub(b.now())
		pauses = append(pauses, pause.Round(time.Second))
		b.advance(pause)
	}
	require.Equal(t, []time.Duration{time.Second, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 4 * time.Second, 15 * time.Second}, pauses[:7])
	require.Less(t, len(pauses), 20)
	first, last := b.oracle.asked[0], b.oracle.asked[len(b.oracle.asked)-1]
	require.Equal(t, []any{"two", i.Conversation, []string{"mid-1"}, false, true}, []any{first.Part.Text, first.Conversation, first.Taken, first.Ask, last.Ask})
	require.WithinDuration(t, time.Now().Add(-5*time.Second), first.Since, 5*time.Second)
}

// Many messages of one account in doubt at once wait for each other, because Meta takes two questions a second. None becomes
// unknown for that: it is asked about when its turn comes. Nor does one that Meta does not tell of for the number of the questions,
// nor while the bus is away, where its echo would be looked for, nor while the account goes to and fro between senders.
func TestADoubtIsNotGivenUpBeforeItsTurn(t *testing.T) {
	t.Parallel()
	tooMany := &graph.Error{Status: 400, Code: 613, Subcode: 2534040, Rule: graph.Classify(400, 613, 2534040, false)}
	for _, why := range []error{reconcile.ErrBusy, reconcile.ErrAway, limit.ErrStopped, tooMany} {
		b := setup(t)
		i := intent("a", "hello")
		b.inDoubt("reset", i)
		b.oracle.err = fmt.Errorf("ask for the conversation: %w", why)
		for waited := time.Duration(0); waited < 3*doubt; waited += 15 * time.Second {
			b.deferred(i)
			b.advance(15 * time.Second)
		}
		b.oracle.err = nil
		b.oracle.says(reconcile.Answer{Fate: reconcile.Absent, How: reconcile.ByConversation})
		b.deferred(i) // it is open again
		require.Equal(t, dm.OutcomeSent, b.deliver(i)[0].Outcome)
	}
}

// A process that stood still between claim and call does not call: others may have found that nothing was sent.
func TestAStaleClaimIsNotUsed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.at = func(s deliver.Step) {
		if s == deliver.AfterClaim {
			b.advance(time.Minute)
		}
	}
	b.d = b.process()
	i := intent("a", "hello")
	b.deferred(i)
	require.Empty(t, b.meta.sent())
	b.at = nil
	b.d = b.process()
	require.Equal(t, dm.OutcomeSent, b.deliver(i)[0].Outcome)
}
