package deliver_test

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/dm"
)

// showing makes a deliverer that shows seen and typing; the message comes after the typing time.
func showing(t *testing.T, seen bool, typing time.Duration) *testBundle {
	t.Helper()
	b := setup(t)
	b.seen, b.typing = seen, typing
	b.d = b.process()
	return b
}

// metric is what a scrape holds of the actions.
func metric(line string) io.Reader {
	return strings.NewReader("# HELP parley_send_actions_total Typing and seen, by how it went: shown, failed, skipped.\n# TYPE parley_send_actions_total counter\n" + line + "\n")
}

func fresh(id string, texts ...string) dm.ReplyIntent {
	i := intent(id, texts...)
	i.CreatedAt = time.Now()
	return i
}

func TestNothingIsShownUnlessAsked(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.deliver(fresh("a", "hello"))
	b.d.Close()
	require.Equal(t, []string{"hello"}, b.meta.sent())
}

// Seen and typing come before the answer, in this order, once; the answer waits for the typing time, and its later messages
// do not.
func TestSeenAndTypingBeforeAnAnswer(t *testing.T) {
	t.Parallel()
	const typing = time.Second // a played Meta shows it sooner
	b := showing(t, true, typing)
	i := fresh("a", "hello", "again")
	began := time.Now()
	out := b.deliver(i)
	require.GreaterOrEqual(t, time.Since(began), typing)
	require.Less(t, out[1].SentAt.Sub(out[0].SentAt), typing)
	require.Equal(t, []string{"<mark_seen>", "<typing_on>", "hello", "again"}, b.meta.sent())
	require.JSONEq(t, `{"recipient":{"id":"7001"},"sender_action":"mark_seen"}`, b.meta.bodies()[0])

	operator, private, old := fresh("b", "hello"), fresh("c", "hello"), fresh("d", "hello")
	operator.Origin = dm.OriginOperator
	private.Parts[0].CommentID = "c_1"
	old.CreatedAt = time.Now().Add(-time.Minute)
	for _, i := range []dm.ReplyIntent{operator, private, old} {
		b.deliver(i)
	}
	b.d.Close()
	require.Len(t, b.meta.sent(), 7, "a person has typed already, a comment has no conversation, and nobody types after a crash")
}

func TestSeenAlone(t *testing.T) {
	t.Parallel()
	b := showing(t, true, 0)
	seen := make(chan struct{})
	b.meta.answer = func(n int, text string, w http.ResponseWriter) {
		if text == "<mark_seen>" {
			<-seen // it waits for nothing
		}
		ok(w, n)
	}
	require.Equal(t, dm.OutcomeSent, b.deliver(fresh("a", "hello"))[0].Outcome)
	close(seen)
	b.d.Close()
	require.ElementsMatch(t, []string{"<mark_seen>", "hello"}, b.meta.sent())
}

// What cannot be shown fails nothing, pauses nothing, is in no ledger, and is not tried again.
func TestWhatCannotBeShownFailsNothing(t *testing.T) {
	t.Parallel()
	answers := map[string]func(http.ResponseWriter){
		"refused": func(w http.ResponseWriter) { refuse(w, 400, 190, 463) }, "lost": reset, "limited": func(w http.ResponseWriter) { refuse(w, 400, 613, 0) },
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := showing(t, false, time.Millisecond)
			var tries atomic.Int32
			b.meta.answer = func(n int, text string, w http.ResponseWriter) {
				switch {
				case text == "<typing_on>":
					answer(w)
				case tries.Add(1) == 1:
					refuse(w, 500, 2, 0) // the message comes again
				default:
					ok(w, n)
				}
			}
			i := fresh("a", "hello")
			b.deferred(i)
			require.Equal(t, dm.OutcomeSent, b.deliver(i)[0].Outcome)
			b.d.Close()
			require.ElementsMatch(t, []string{"<typing_on>", "hello", "hello"}, b.meta.sent())
			require.NotContains(t, b.log.String(), "account.paused")
			require.NoError(t, testutil.GatherAndCompare(b.metrics, metric(`parley_send_actions_total{result="failed"} 1`), "parley_send_actions_total"))
		})
	}
}

// While its account is paused nothing is shown: calling on lengthens it.
func TestNothingIsShownWhileTheAccountIsPaused(t *testing.T) {
	t.Parallel()
	b := showing(t, true, time.Millisecond)
	b.meta.answer = func(_ int, text string, w http.ResponseWriter) {
		if text == "hello" {
			refuse(w, 400, 190, 463)
		}
	}
	i := fresh("a", "hello")
	b.deferred(i)
	b.d.Close()
	calls := len(b.meta.sent())
	b.deferred(fresh("b", "behind"))
	alone := fresh("c")
	alone.Parts = []dm.Part{{Kind: dm.PartMarkSeen}}
	require.Empty(t, b.deliver(alone))
	b.d.Close()
	require.Len(t, b.meta.sent(), calls)
}

// A rule may say itself what is shown, and then the settings do not; the console shows a person's looking.
func TestActionsOfAnIntent(t *testing.T) {
	t.Parallel()
	b := showing(t, true, time.Millisecond)
	i := fresh("a")
	i.Parts = []dm.Part{{Kind: dm.PartTypingOn}, {Kind: dm.PartText, Text: "one"}, {Kind: dm.PartTypingOn}, {Kind: dm.PartText, Text: "two"}}
	require.Len(t, b.deliver(i), 2)
	b.d.Close()
	require.ElementsMatch(t, []string{"<typing_on>", "one", "<typing_on>", "two"}, b.meta.sent())

	look := fresh("b")
	look.Origin, look.Parts = dm.OriginOperator, []dm.Part{{Kind: dm.PartMarkSeen}}
	require.Empty(t, b.deliver(look))
	b.d.Close()
	require.Equal(t, "<mark_seen>", b.meta.sent()[4])
}
