package simulator_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/dm"
	parse "github.com/parley-dm/parley/pkg/meta/webhook"
	"github.com/parley-dm/parley/services/simulator"
	"github.com/parley-dm/parley/services/simulator/internal/shape"
)

// understood is what Parley takes each kind for; kinds that are not listed are messages.
var understood = map[string]dm.EventKind{
	"postback": dm.KindPostback, "self_postback": dm.KindSelf, "referral": dm.KindReferral, "optin": dm.KindOptin, "react": dm.KindReaction, "unreact": dm.KindUnreaction,
	"seen": dm.KindSeen, "edit": dm.KindEdit, "unsend": dm.KindDelete, "edit_noop": dm.KindEditNoop, "edit_noop_bare": dm.KindEditNoop,
	"unknown_field": dm.KindUnknown, "comment": dm.KindComment, "comment_flat": dm.KindComment, "comment_reply": dm.KindComment, "comment_own": dm.KindComment,
	"live_comment": dm.KindLiveComment, "mention": dm.KindMention, "app_reply": dm.KindEcho, "app_reply_flat": dm.KindEcho, "other_app_reply": dm.KindEcho,
	"self": dm.KindSelf, "take_thread_control": dm.KindThreadControl, "pass_thread_control": dm.KindThreadControl,
	"request_thread_control": dm.KindThreadControl, "standby": dm.KindStandby,
}

// Every kind is delivered, signed and in ASCII, and is what Parley's own parser takes it for.
func TestEveryKindIsDeliveredAndUnderstood(t *testing.T) {
	t.Parallel()
	for _, s := range shape.All() {
		t.Run(s.Kind, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			mine := b.say(t, "7001", "mine ä")
			b.next(t)
			body, err := json.Marshal(map[string]string{"kind": s.Kind, "customer": "7001", "text": "grüße", "payload": "P", "target": mine.MID})
			require.NoError(t, err)
			status, out := b.call(t, http.MethodPost, "/control/message", string(body))
			require.Equal(t, http.StatusAccepted, status, "%v", out)
			raw := b.next(t).body
			for _, c := range raw {
				require.Less(t, c, byte(128))
			}
			events, err := parse.Parse(raw, parse.Options{})
			require.NoError(t, err, "%s", raw)
			require.Len(t, events, 1, "%s", raw)
			want, ok := understood[s.Kind]
			if !ok {
				want = dm.KindMessage
			}
			require.Equal(t, want, events[0].Kind, "%s", raw)
		})
	}
}

func (b *bundle) fault(t *testing.T, f simulator.Fault) {
	t.Helper()
	_, err := b.sim.AddFault(f)
	require.NoError(t, err)
}

func texts(t *testing.T, raw []byte) []string {
	t.Helper()
	var hook struct {
		Entry []struct{ Messaging []item }
	}
	require.NoError(t, json.Unmarshal(raw, &hook))
	var out []string
	for _, e := range hook.Entry {
		for _, it := range e.Messaging {
			out = append(out, it.Message.Text)
		}
	}
	return out
}

func TestBatchesHoldManyItemsInOrder(t *testing.T) {
	t.Parallel()
	b := setup(t, "SIMULATOR_ACCOUNT_COUNT=2")
	b.fault(t, simulator.Fault{Kind: "batch", Size: 3, DelayMS: 600_000})
	other := b.sim.Accounts()[1].ID
	b.say(t, "7001", "one")
	_, err := b.sim.Say(simulator.Action{Key: simulator.Key{Account: other, Customer: "7001"}, Text: "two"})
	require.NoError(t, err)
	b.say(t, "7001", "three")
	hook := b.next(t)
	require.Equal(t, []string{"one", "two", "three"}, texts(t, hook.body))
	require.Contains(t, string(hook.body), `{"id":"`+other+`"`)
	require.Eventually(t, func() bool { return b.sim.Totals().Accepted == 3 }, 10*time.Second, time.Millisecond)

	// What is left over leaves when its time has come.
	b.sim.RemoveFaults()
	b.fault(t, simulator.Fault{Kind: "batch", Size: 1000, DelayMS: 20})
	b.say(t, "7001", "four")
	require.Equal(t, []string{"four"}, texts(t, b.next(t).body))
}

func TestSwappedWebhooksAreJudgedWithoutTheirOrder(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.answerWith(t, func(it item) []string { return []string{"re " + it.Message.Text} })
	b.fault(t, simulator.Fault{Kind: "reorder", DelayMS: 600_000, Count: 1})
	for _, s := range []string{"one", "two", "three"} {
		_, err := b.sim.Say(simulator.Action{Key: simulator.Key{Customer: "7001"}, Text: s, Expect: "re " + s})
		require.NoError(t, err)
	}
	var got []string
	for len(got) < 3 {
		if h := b.next(t); !h.item.Message.IsEcho {
			got = append(got, h.item.Message.Text)
		}
	}
	require.Equal(t, []string{"two", "one", "three"}, got)
	require.Eventually(t, func() bool { return b.sim.Totals().Replies == 3 && b.sim.Totals().Accepted == 3 }, 10*time.Second, time.Millisecond)
	v := b.sim.Verdict()
	require.True(t, v.Good, "%+v", v)
	require.Equal(t, 2, v.Ordered)
}

func TestEchoesAreOnlyMetByFaultsThatNameThem(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.fault(t, simulator.Fault{Kind: "duplicate", Endpoint: "echoes", Copies: 1})
	b.say(t, "7001", "hello")
	require.Equal(t, "hello", b.next(t).item.Message.Text)
	b.graph(t, http.MethodPost, "/v26.0/me/messages", text("hi"))
	for range 2 {
		require.True(t, b.next(t).item.Message.IsEcho)
	}
	require.Empty(t, b.got)
}

// An hour of failures ends the subscription; nothing comes until somebody subscribes again.
func TestFailingReceiverIsUnsubscribed(t *testing.T) {
	t.Parallel()
	b := setup(t, "WEBHOOK_RETRY_BASE=1h", "WEBHOOK_RETRY_MAX=1h", "WEBHOOK_UNSUBSCRIBE_AFTER=90m")
	b.status.Store(http.StatusServiceUnavailable)
	first := b.say(t, "7001", "one")
	b.next(t)
	b.next(t) // the immediate retry
	state := func() bool {
		_, out := b.call(t, http.MethodGet, "/control/accounts", "")
		subscribed, _ := dig(out, "accounts", 0, "subscription", "subscribed").(bool)
		return subscribed
	}
	record := func() []simulator.Message { return b.sim.Messages(simulator.Key{Account: account, Customer: "7001"}) }
	require.Eventually(t, func() bool { return record()[0].Attempts == 2 }, 10*time.Second, time.Millisecond)
	b.sim.Advance(70 * time.Minute)
	require.Equal(t, first.MID, b.next(t).item.Message.MID, "the clock makes retries come due")
	require.True(t, state())
	require.Eventually(t, func() bool { return record()[0].Attempts == 3 }, 10*time.Second, time.Millisecond)
	b.sim.Advance(70 * time.Minute)
	b.next(t)
	require.Eventually(t, func() bool { return !state() }, 10*time.Second, time.Millisecond)

	b.say(t, "7001", "nobody hears this")
	b.sim.Advance(70 * time.Minute)
	require.Eventually(t, func() bool { r := record(); return r[1].State == "withheld" && r[0].State == "withheld" }, 10*time.Second, time.Millisecond)
	b.status.Store(http.StatusOK)
	_, out := b.graph(t, http.MethodPost, "/v26.0/me/subscribed_apps?subscribed_fields=messages", "")
	require.Equal(t, true, out["success"])
	b.say(t, "7001", "back again")
	require.Equal(t, "back again", b.next(t).item.Message.Text)

	// Only what was asked for comes from now on.
	_, err := b.sim.Say(simulator.Action{Key: simulator.Key{Customer: "7001"}, Kind: "postback", Text: "Buy", Payload: "B"})
	require.NoError(t, err)
	b.say(t, "7001", "marker")
	require.Equal(t, "marker", b.next(t).item.Message.Text)
	v := b.sim.Verdict()
	require.Equal(t, 3, v.Withheld, "%+v", v)
}

func TestThreadOfAnotherAppIsLeftAlone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.say(t, "7001", "hello")
	b.next(t)
	for _, kind := range []string{"take_thread_control", "request_thread_control"} {
		_, err := b.sim.Say(simulator.Action{Key: simulator.Key{Customer: "7001"}, Kind: simulator.Kind(kind)})
		require.NoError(t, err)
		require.Contains(t, string(b.next(t).body), kind)
	}
	b.say(t, "7001", "to the other app")
	require.Contains(t, string(b.next(t).body), `"standby":[{`)
	status, out := b.graph(t, http.MethodPost, "/v26.0/me/messages", text("me too"))
	require.Equal(t, http.StatusBadRequest, status)
	requireError(t, out, 100, 2534037)
	_, err := b.sim.Say(simulator.Action{Key: simulator.Key{Customer: "7001"}, Kind: "pass_thread_control"})
	require.NoError(t, err)
	status, _ = b.graph(t, http.MethodPost, "/v26.0/me/messages", text("hello"))
	require.Equal(t, http.StatusOK, status)
	require.True(t, b.sim.Verdict().Good, "what another app answers is not expected here")
}

// A reply from the Instagram app is echoed without an app, shown, and no answer in the verdict.
func TestReplyFromTheAppIsAnEchoAndNoAnswer(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.say(t, "7001", "hello")
	b.next(t)
	_, err := b.sim.Say(simulator.Action{Key: simulator.Key{Customer: "7001"}, Kind: "app_reply", Text: "Ann here"})
	require.NoError(t, err)
	echo := b.next(t).item
	require.True(t, echo.Message.IsEcho)
	require.Empty(t, echo.Message.AppID)
	v := b.sim.Verdict()
	require.Equal(t, 1, v.Missing)
	require.Zero(t, v.Doubled)
	require.Zero(t, v.Replies)
}
