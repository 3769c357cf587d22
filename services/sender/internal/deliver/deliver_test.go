package deliver_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/accounts"
	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/services/sender/internal/deliver"
	"github.com/parley-dm/parley/services/sender/internal/ledger"
)

func TestSent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	i := intent("a", "hello")

	out := b.deliver(i)

	require.Len(t, out, 1)
	d := out[0]
	require.Equal(t, dm.OutcomeSent, d.Outcome)
	require.Equal(t, []any{"mid-1", 0, 1, i.ID, i.Parts[0], i.Conversation, dm.OriginRule}, []any{d.MID, d.Part, d.Of, d.IntentID, d.Message, d.Conversation, d.Origin})
	require.Equal(t, dm.DeliveryID(i.ID, 0, dm.OutcomeSent), d.ID)
	require.Len(t, d.Attempts, 1)
	require.Equal(t, 200, d.Attempts[0].Status)
	require.Equal(t, i.ReceivedAt, d.ReceivedAt)
}

func TestARedeliveredIntentSendsNothingAndSaysTheSame(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.meta.answer = func(n int, text string, w http.ResponseWriter) {
		if text == "bad" {
			refuse(w, 400, 100, 2534015)
			return
		}
		ok(w, n)
	}
	for _, i := range []dm.ReplyIntent{intent("a", "hello"), intent("b", "one", "bad", "never")} {
		first := b.deliver(i)
		calls := len(b.meta.sent())
		b.d = b.process()
		require.Equal(t, first, b.deliver(i))
		require.Len(t, b.meta.sent(), calls)
	}
}

func TestTransientThenSent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.meta.answer = func(n int, _ string, w http.ResponseWriter) {
		if n < 3 {
			refuse(w, 500, 2, 0)
			return
		}
		ok(w, n)
	}
	i := intent("a", "hello")
	b.deferred(i)
	b.d = b.process() // the attempts outlive the process that made them
	b.deferred(i)
	out := b.deliver(i)
	require.Equal(t, dm.OutcomeSent, out[0].Outcome)
	require.Len(t, out[0].Attempts, 3)
	require.Equal(t, []int{2, 2, 0}, []int{out[0].Attempts[0].Code, out[0].Attempts[1].Code, out[0].Attempts[2].Code})
	require.Equal(t, "Trace", out[0].Attempts[0].TraceID)
}

func TestTransientForTooLongFails(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.meta.answer = func(_ int, text string, w http.ResponseWriter) {
		if text == "unknown error" {
			refuse(w, 500, 1, 0)
			return
		}
		refuse(w, 500, 2, 0)
	}
	for text, calls := range map[string]int{"temporary": 4, "unknown error": 3} {
		i := intent(text[:3], text)
		for range calls - 1 {
			b.deferred(i)
		}
		out := b.deliver(i)
		require.Equal(t, dm.OutcomeFailed, out[0].Outcome)
		require.Len(t, out[0].Attempts, calls)
		require.Contains(t, out[0].Reason, "given up after")
		require.Contains(t, out[0].Reason, "Meta's words")
	}
}

func TestPermanent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.meta.answer = func(_ int, _ string, w http.ResponseWriter) { refuse(w, 403, 100, 2018109) }
	out := b.deliver(intent("a", "hello"))
	require.Equal(t, dm.OutcomeFailed, out[0].Outcome)
	require.Contains(t, out[0].Reason, "Meta's words")
	require.Contains(t, out[0].Reason, "the attachment is too large")
	require.Len(t, b.meta.sent(), 1)
}

func TestResetAfterTheRequestIsUnknownAndNeverSentAgain(t *testing.T) {
	t.Parallel()
	answers := map[string]func(http.ResponseWriter){
		"reset":             reset,
		"sent all the same": func(w http.ResponseWriter) { refuse(w, 500, 1, 1357046) },
		"gateway":           func(w http.ResponseWriter) { w.WriteHeader(http.StatusBadGateway) },
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.meta.answer = func(n int, text string, w http.ResponseWriter) {
				if text == "doubtful" {
					answer(w)
					return
				}
				ok(w, n)
			}
			i := intent("a", "doubtful", "next")
			b.deferred(i)
			require.Contains(t, b.log.String(), `"outcome":"in_doubt"`)
			b.d = b.process() // the doubt outlives the process that had it
			b.doubtPasses(i)
			for range 3 {
				require.Equal(t, []dm.Outcome{dm.OutcomeUnknown, dm.OutcomeSent}, outcomes(b.deliver(i)))
				b.d = b.process()
			}
			require.Equal(t, []string{"doubtful", "next"}, b.meta.sent())
			require.Contains(t, b.log.String(), `"level":"ERROR","msg":"delivery.unknown"`)
			require.Contains(t, b.log.String(), `"intent_id":"in_a"`)
		})
	}
}

func TestNothingListensThenSent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	good := b.url
	dead := httptest.NewServer(nil)
	dead.Close()
	b.url = dead.URL
	b.d = b.process()
	i := intent("a", "hello")
	for range 10 { // more than MaxAttempts: it says nothing of the message
		b.deferred(i)
	}
	b.url = good
	b.d = b.process()
	out := b.deliver(i)
	require.Equal(t, dm.OutcomeSent, out[0].Outcome)
	require.Equal(t, []string{"hello"}, b.meta.sent())
	require.Len(t, out[0].Attempts, 11)
}

func TestALaterPieceFails(t *testing.T) {
	t.Parallel()
	b := setup(t)
	long := strings.TrimSpace(strings.Repeat("First sentence here. ", 60)) + " " + strings.Repeat("Second sentence now. ", 80)
	b.meta.answer = func(n int, _ string, w http.ResponseWriter) {
		if n == 2 {
			refuse(w, 400, 100, 2534015)
			return
		}
		ok(w, n)
	}
	i := intent("a", long)
	for range 2 {
		out := b.deliver(i)
		require.Equal(t, []dm.Outcome{dm.OutcomeSent, dm.OutcomeFailed, dm.OutcomeFailed}, outcomes(out))
		require.Equal(t, []int{3, 3, 3}, []int{out[0].Of, out[1].Of, out[2].Of})
		require.Contains(t, out[2].Reason, "message 2 of 3")
		require.Empty(t, out[2].Attempts)
	}
	require.Len(t, b.meta.sent(), 2)
}

// While a later piece waits, what is settled is handed out with the error, so that it can be told.
func TestALaterPieceWaits(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.meta.answer = func(n int, _ string, w http.ResponseWriter) {
		if n == 2 {
			refuse(w, 500, 2, 0)
			return
		}
		ok(w, n)
	}
	out, err := b.d.Deliver(t.Context(), intent("a", "one", "two"))
	require.Error(t, err)
	require.Equal(t, []dm.Outcome{dm.OutcomeSent}, outcomes(out))
	require.Equal(t, []dm.Outcome{dm.OutcomeSent, dm.OutcomeSent}, outcomes(b.deliver(intent("a", "one", "two"))))
	require.Equal(t, []string{"one", "two", "two"}, b.meta.sent())
}

func TestTwoProcessesRaceForAnIntent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	release := make(chan struct{})
	b.meta.answer = func(n int, _ string, w http.ResponseWriter) {
		<-release
		ok(w, n)
	}
	i := intent("a", "hello")
	processes := []*deliver.Deliverer{b.process(), b.process(), b.process()}
	type result struct {
		out []dm.Delivery
		err error
	}
	results := make(chan result, len(processes))
	for _, d := range processes {
		go func() {
			out, err := d.Deliver(t.Context(), i)
			results <- result{out, err}
		}()
	}
	for range 2 { // the losers do not wait for the winner
		r := <-results
		class, until := bus.Classify(r.err)
		require.Equal(t, bus.Deferred, class)
		require.False(t, until.IsZero())
	}
	close(release)
	winner := <-results
	require.NoError(t, winner.err)
	for _, d := range processes {
		out, err := d.Deliver(t.Context(), i)
		require.NoError(t, err)
		require.Equal(t, winner.out, out)
	}
	require.Equal(t, []string{"hello"}, b.meta.sent())
}

func TestAClaimOfADeadProcessBecomesUnknown(t *testing.T) {
	t.Parallel()
	b := setup(t)
	i := intent("a", "hello")
	_, err := ledger.New(b.bucket, ledger.Options{}).Claim(t.Context(), i.ID+".0")
	require.NoError(t, err)

	b.doubtPasses(i)
	out := b.deliver(i)

	require.Equal(t, dm.OutcomeUnknown, out[0].Outcome)
	require.Empty(t, b.meta.sent())
	require.Contains(t, b.log.String(), `"level":"ERROR","msg":"delivery.unknown"`)
}

func TestAStopDoesNotTearACallApart(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx, stop := context.WithCancel(t.Context())
	b.meta.answer = func(n int, _ string, w http.ResponseWriter) {
		stop()
		ok(w, n)
	}
	out, err := b.d.Deliver(ctx, intent("a", "one", "two"))
	require.Error(t, err, "the second message is for whoever comes next")
	require.Equal(t, []dm.Outcome{dm.OutcomeSent}, outcomes(out))
	b.meta.answer = nil
	b.d = b.process()
	require.Equal(t, []dm.Outcome{dm.OutcomeSent, dm.OutcomeSent}, outcomes(b.deliver(intent("a", "one", "two"))))
	require.Equal(t, []string{"one", "two"}, b.meta.sent())
}

func TestExpired(t *testing.T) {
	t.Parallel()
	b := setup(t)
	i := intent("a", "hello", "again")
	i.Expires = b.now().Add(-time.Second)
	out := b.deliver(i)
	require.Equal(t, dm.OutcomeExpired, out[0].Outcome)
	require.Contains(t, out[0].Reason, "messaging window")
	require.NotEqual(t, dm.OutcomeSent, out[1].Outcome)
	require.Empty(t, b.meta.sent())
}

func TestRefusedWithoutACall(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.book.set(accounts.Account{ID: "99", Channel: dm.ChannelInstagram})
	unknown, tokenless, empty, image, hologram := intent("a", "hi"), intent("b", "hi"), intent("c", " \x00"), intent("d"), intent("e")
	unknown.Account, tokenless.Account = "12345", "99"
	image.Parts, hologram.Parts = []dm.Part{{Kind: dm.PartImage}}, []dm.Part{{Kind: "hologram"}}
	for reason, i := range map[string]dm.ReplyIntent{
		"not configured": unknown, "no access token": tokenless, "empty": empty, `"hologram"`: hologram,
		`media of a part of kind "image": got 0 elements, expected 1 to 10 elements (Meta, Instagram Messaging: Send a Message)`: image,
	} {
		out := b.deliver(i)
		require.Equal(t, dm.OutcomeFailed, out[0].Outcome)
		require.Contains(t, out[0].Reason, reason)
	}
	require.Empty(t, b.meta.sent())
}

func TestMalformedIntentsAreDeadLetters(t *testing.T) {
	t.Parallel()
	b := setup(t)
	noID, noAccount, noCustomer := intent("a", "x"), intent("b", "x"), intent("c", "x")
	noID.ID, noAccount.Account, noCustomer.Customer = "", "", ""
	for _, i := range []dm.ReplyIntent{noID, noAccount, noCustomer, intent("d")} {
		_, err := b.d.Deliver(t.Context(), i)
		class, _ := bus.Classify(err)
		require.Equal(t, bus.Poison, class)
	}
	odd := intent("", "hello") // an id that no key can hold as it is
	odd.ID = "an id * with > odd.characters"
	require.Equal(t, dm.OutcomeSent, b.deliver(odd)[0].Outcome)
}

// A host that takes messages and never answers must not put each in doubt.
func TestTheBreakerOpensOnARunOfFailures(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.meta.answer = func(_ int, _ string, w http.ResponseWriter) { reset(w) }
	for n := range 50 {
		b.deferred(intent(fmt.Sprint("x", n), "hello"))
	}
	require.Len(t, b.meta.sent(), 20)
}

func TestLinesHoldNeitherTextNorToken(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.meta.answer = func(n int, text string, w http.ResponseWriter) {
		switch {
		case strings.Contains(text, "refused"):
			refuse(w, 400, 100, 0)
		case strings.Contains(text, "lost"):
			reset(w)
		default:
			ok(w, n)
		}
	}
	for n, text := range []string{"private fine", "private refused", "private lost"} {
		_, err := b.d.Deliver(t.Context(), intent(fmt.Sprint(n), text))
		require.Equal(t, text == "private lost", err != nil)
	}
	require.Contains(t, b.log.String(), `"outcome":"sent"`)
	require.Contains(t, b.log.String(), `"outcome":"in_doubt"`)
	require.NotContains(t, b.log.String(), "private")
	require.NotContains(t, b.log.String(), token)
	require.NotContains(t, b.log.String(), b.url)
}

// errAway is what the ledger says while NATS is away.
var errAway = errors.New("away")

type awayLedger struct{}

func (awayLedger) Claim(context.Context, string) (*ledger.Claim, error) { return nil, errAway }

func (awayLedger) Settle(context.Context, *ledger.Claim, ledger.Entry) (ledger.Entry, error) {
	return ledger.Entry{}, errAway
}

func (awayLedger) Resolve(context.Context, *ledger.DoubtError, ledger.Entry) (ledger.Entry, error) {
	return ledger.Entry{}, errAway
}

func TestWithoutALedgerNothingIsSent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	d, err := deliver.New(deliver.Deps{Accounts: b.book, Graph: b.client, Ledger: awayLedger{}, Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry()},
		deliver.Options{GraphURL: b.url})
	require.NoError(t, err)
	t.Cleanup(d.Close)
	b.d = d
	b.deferred(intent("a", "hello"))
	require.Empty(t, b.meta.sent())
}
