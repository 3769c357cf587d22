package deliver_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/accounts"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/meta/graph"
)

// reaction is what the sender does about one row of Meta's table of errors.
type reaction struct {
	does  string // drop, expire, retry, pause or doubt
	calls int    // of a retry, before it is given up
	scope string // of a pause
	alert bool   // an ERROR line: a person should look
	stop  dm.Stop
}

// reactions is the table of the fact sheet, its last column, written down here a second time on purpose.
func reactions() map[[2]int]reaction {
	drop := reaction{does: "drop"}
	stop := func(why dm.Stop) reaction { return reaction{does: "drop", stop: why} }
	retry := func(calls int, alert bool) reaction { return reaction{does: "retry", calls: calls, alert: alert} }
	expire := reaction{does: "expire"}
	limited := reaction{does: "pause", scope: "account"}
	blocked := reaction{does: "pause", scope: "account", alert: true}
	all := maxAttempts
	return map[[2]int]reaction{
		{1, 0}: retry(3, true), {1, 99}: retry(3, true), {1, 1357046}: {does: "doubt"},
		{2, 0}: retry(all, false), {2, 1545133}: retry(all, false),
		{4, 0}: {does: "pause", scope: "app"}, {17, 0}: limited, {32, 0}: limited,
		{613, 0}: limited, {613, 2534040}: limited, {613, 1996}: blocked, {613, 2018338}: {does: "drop", alert: true, stop: dm.StopTooMany},
		{80001, 0}: limited, {80002, 0}: limited, {80006, 0}: limited,
		{10, 0}: blocked, {10, 2534022}: expire, {10, 2018278}: expire, {10, 2018065}: expire, {10, 2018108}: drop,
		{10, 1893063}: blocked, {10, 2534077}: blocked, {10, 2018300}: stop(dm.StopNotOurs),
		{100, 0}: drop, {100, 33}: {does: "drop", alert: true}, {100, 2018001}: stop(dm.StopUnreachable), {100, 2534014}: stop(dm.StopUnreachable),
		{100, 2534015}: drop, {100, 2018047}: drop, {100, 2018109}: drop, {100, 2018008}: retry(2, false),
		{100, 2534013}: blocked, {100, 2534029}: blocked, {100, 2534025}: drop, {-1, 2534023}: drop,
		{100, 2534037}: stop(dm.StopNotOurs), {100, 2018300}: stop(dm.StopNotOurs),
		{190, 0}: blocked, {190, 458}: blocked, {190, 459}: blocked, {190, 460}: blocked, {190, 463}: blocked, {190, 464}: blocked, {190, 467}: blocked,
		{200, 0}: blocked, {200, 2018028}: blocked, {200, 2534041}: blocked, {200, 1545041}: stop(dm.StopUnreachable),
		{551, 0}: stop(dm.StopUnreachable), {230, 0}: drop, {9010, 0}: drop, {368, 0}: blocked, {2022, 0}: blocked, {9000001, 0}: drop,
	}
}

// rowTest is one row on a running deliverer.
type rowTest struct {
	*testBundle
	rule graph.Rule
	want reaction
	i    dm.ReplyIntent
	from int // where the row's lines begin
}

func (r *rowTest) lines() string { return r.log.String()[r.from:] }

// calls counts those for the row's message.
func (r *rowTest) calls() int {
	n := 0
	for _, text := range r.meta.sent() {
		if text == r.i.Parts[0].Text {
			n++
		}
	}
	return n
}

func TestEveryRowsReaction(t *testing.T) { //nolint:tparallel // one played Meta, one row after another
	t.Parallel()
	b := setup(t)
	b.book.set(accounts.Account{ID: "99", Channel: dm.ChannelInstagram, Login: accounts.LoginFacebook, Token: "sibling"})
	b.book.set(accounts.Account{ID: "98", Channel: dm.ChannelInstagram, Login: accounts.LoginInstagram, Token: "stranger"})
	require.Len(t, reactions(), len(graph.Rules()), "a row without a reaction, or the other way round")
	for _, rule := range graph.Rules() {
		want, known := reactions()[[2]int{rule.Code, rule.Subcode}]
		require.True(t, known, "%d/%d", rule.Code, rule.Subcode)
		name := fmt.Sprintf("%d_%d", rule.Code, rule.Subcode)
		t.Run(name, func(t *testing.T) { //nolint:paralleltest // one played Meta, one row after another
			b.t = t
			b.d = b.process() // nothing of the rows before
			b.meta.plays(func(n int, text string, w http.ResponseWriter) {
				if strings.HasPrefix(text, "row") {
					refuse(w, http.StatusBadRequest, rule.Code, rule.Subcode)
					return
				}
				ok(w, n)
			})
			r := &rowTest{testBundle: b, rule: rule, want: want, i: intent(name, "row "+name), from: len(b.log.String())}
			map[string]func(){"drop": r.drops, "expire": r.expires, "retry": r.retries, "pause": r.pauses, "doubt": r.doubts}[want.does]()
		})
	}
}

// ends: the message has its outcome, with words for an operator, and keeps it.
func (r *rowTest) ends(outcome dm.Outcome, calls int) {
	out := r.deliver(r.i)
	require.Equal(r.t, outcome, out[0].Outcome)
	require.Equal(r.t, r.want.stop, out[0].Stop)
	require.Contains(r.t, out[0].Reason, r.rule.Meaning)
	require.Contains(r.t, out[0].Reason, "Meta's words")
	require.Equal(r.t, calls, r.calls())
	require.Equal(r.t, out, r.deliver(r.i))
	require.Equal(r.t, calls, r.calls(), "an outcome is final")
	require.Equal(r.t, r.want.alert, strings.Contains(r.lines(), `"level":"ERROR","msg":"delivery.attempted"`), r.lines())
	require.Equal(r.t, r.want.stop != "", strings.Contains(r.lines(), `"stop":"`+string(r.want.stop)+`"`))
	require.NotContains(r.t, r.lines(), "account.paused")
	require.Equal(r.t, dm.OutcomeSent, r.deliver(intent("next-"+r.i.ID, "next"))[0].Outcome, "nothing else waits")
}

func (r *rowTest) drops() { r.ends(dm.OutcomeFailed, 1) }

func (r *rowTest) expires() { r.ends(dm.OutcomeExpired, 1) }

func (r *rowTest) retries() {
	for range r.want.calls - 1 {
		r.deferred(r.i)
	}
	require.NotContains(r.t, r.lines(), `"level":"ERROR"`, "nobody has to look as long as it may go well")
	r.ends(dm.OutcomeFailed, r.want.calls)
}

// pauses: the message waits and so does all of its scope, without a call, and nobody else. When the pause is over they go.
func (r *rowTest) pauses() {
	r.deferred(r.i)
	behind, sibling, stranger := intent("behind-"+r.i.ID, "behind"), intent("sibling-"+r.i.ID, "sibling"), intent("stranger-"+r.i.ID, "stranger")
	sibling.Account, stranger.Account = "99", "98"
	r.deferred(behind)
	if r.want.scope == "app" {
		r.deferred(sibling)
	} else {
		require.Equal(r.t, dm.OutcomeSent, r.deliver(sibling)[0].Outcome, "another account goes on")
	}
	require.Equal(r.t, dm.OutcomeSent, r.deliver(stranger)[0].Outcome, "another app goes on")
	level := `"level":"WARN"`
	if r.want.alert {
		level = `"level":"ERROR"`
	}
	require.Contains(r.t, r.lines(), level+`,"msg":"account.paused"`)
	require.Contains(r.t, r.lines(), `"scope":"`+r.want.scope+`"`)
	require.Contains(r.t, r.lines(), r.rule.Meaning)
	require.Equal(r.t, 1, r.calls())

	r.meta.plays(nil)
	r.advance(r.rule.Pause + time.Second)
	for _, i := range []dm.ReplyIntent{r.i, behind, sibling} {
		require.Equal(r.t, dm.OutcomeSent, r.deliver(i)[0].Outcome, "nothing that waits is lost")
	}
	require.Contains(r.t, r.lines(), "account.resumed")
}

// doubts: never sent again, and a person looks in the end.
func (r *rowTest) doubts() {
	r.deferred(r.i)
	require.Contains(r.t, r.lines(), `"outcome":"in_doubt"`)
	r.doubtPasses(r.i)
	out := r.deliver(r.i)
	require.Equal(r.t, dm.OutcomeUnknown, out[0].Outcome)
	require.Contains(r.t, out[0].Reason, r.rule.Meaning)
	require.Equal(r.t, 1, r.calls())
	require.Contains(r.t, r.lines(), `"level":"ERROR","msg":"delivery.unknown"`)
}
