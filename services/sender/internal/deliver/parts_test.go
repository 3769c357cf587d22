package deliver_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/services/sender/internal/ledger"
	"github.com/parley-dm/parley/services/sender/internal/reconcile"
)

func parts(id string, list ...dm.Part) dm.ReplyIntent {
	i := intent(id)
	i.Parts = list
	return i
}

var (
	picture = dm.Part{Kind: dm.PartImage, Media: []dm.Media{{URL: "https://example.com/a.jpg"}}}
	love    = dm.Part{Kind: dm.PartReaction, MID: "m_1", Reaction: "love"}
)

// Each part that reaches the customer is one message with an entry and a delivery; typing and seen are none.
func TestEachPartIsAMessage(t *testing.T) {
	t.Parallel()
	b := setup(t)
	i := parts("a", love, dm.Part{Kind: dm.PartTypingOn}, dm.Part{Kind: dm.PartText, Text: "look", ReplyToMID: "m_1"}, picture,
		dm.Part{Kind: dm.PartLikeHeart}, dm.Part{Kind: dm.PartTypingOff})
	b.meta.answer = func(n int, text string, w http.ResponseWriter) {
		if text == "<react>" {
			_, _ = fmt.Fprint(w, `{"recipient_id":"7001"}`)
			return
		}
		ok(w, n)
	}
	for range 2 {
		out := b.deliver(i)
		require.Equal(t, []dm.Outcome{dm.OutcomeSent, dm.OutcomeSent, dm.OutcomeSent, dm.OutcomeSent}, outcomes(out))
		for n, d := range out {
			require.Equal(t, []int{n, 4}, []int{d.Part, d.Of})
			require.Equal(t, d.Message.Kind != dm.PartReaction, d.MID != "", "a reaction has no mid")
		}
		require.Equal(t, []dm.Part{i.Parts[0], i.Parts[2], i.Parts[3], i.Parts[4]}, []dm.Part{out[0].Message, out[1].Message, out[2].Message, out[3].Message})
	}
	b.d.Close()
	var messages []string
	for n, text := range b.meta.sent() {
		if text != "<typing_on>" && text != "<typing_off>" {
			messages = append(messages, b.meta.bodies()[n])
		}
	}
	require.Len(t, messages, 4, "once each")
	require.JSONEq(t, `{"recipient":{"id":"7001"},"messaging_type":"RESPONSE","message":{"text":"look"},"reply_to":{"mid":"m_1"}}`, messages[1])
	require.JSONEq(t, `{"recipient":{"id":"7001"},"messaging_type":"RESPONSE","message":{"attachment":{"type":"image","payload":{"url":"https://example.com/a.jpg"}}}}`, messages[2])
}

// A part that Meta would refuse costs no call, and those after it are not sent either: half an answer is none.
func TestWhatIsBeyondALimitIsNotSent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tooMany := picture
	tooMany.Media = make([]dm.Media, 11)
	out := b.deliver(parts("a", tooMany, dm.Part{Kind: dm.PartText, Text: "there they are"}))
	require.Equal(t, []dm.Outcome{dm.OutcomeFailed, dm.OutcomeFailed}, outcomes(out))
	require.Contains(t, out[0].Reason, "got 11 elements, expected 1 to 10 elements (Meta, Instagram Messaging: Send a Message)")
	require.Contains(t, out[1].Reason, "message 1 of 2")
	require.Empty(t, b.meta.sent())
}

func TestAPrivateReplyIsOneMessage(t *testing.T) {
	t.Parallel()
	b := setup(t)
	reply := dm.Part{Kind: dm.PartText, Text: "hello", CommentID: "c_1"}
	two := b.deliver(parts("a", reply, dm.Part{Kind: dm.PartText, Text: "and"}))
	require.Equal(t, []dm.Outcome{dm.OutcomeFailed, dm.OutcomeFailed}, outcomes(two))
	require.Contains(t, two[0].Reason, "one message, and the intent has 2")

	late := parts("b", reply)
	late.EventTime = b.now().Add(-6 * 24 * time.Hour)
	require.Equal(t, dm.OutcomeSent, b.deliver(late)[0].Outcome, "a comment may be answered for a week, by automation too")
	require.JSONEq(t, `{"recipient":{"comment_id":"c_1"},"message":{"text":"hello"}}`, b.meta.bodies()[0])

	late.ID, late.EventTime = "in_c", b.now().Add(-8*24*time.Hour)
	out := b.deliver(late)
	require.Equal(t, dm.OutcomeExpired, out[0].Outcome)
	require.Contains(t, out[0].Reason, "a comment may have a private reply")
	require.Len(t, b.meta.sent(), 1)
}

// Who may write how long after the customer's last message, and with which tag.
func TestWindows(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const day = 24 * time.Hour
	for n, c := range []struct {
		origin  dm.Origin
		age     time.Duration
		outcome dm.Outcome
		tag     bool
	}{
		{dm.OriginRule, 23 * time.Hour, dm.OutcomeSent, false}, {dm.OriginRule, 25 * time.Hour, dm.OutcomeExpired, false},
		{dm.OriginEngine, 25 * time.Hour, dm.OutcomeExpired, false}, {dm.OriginFallback, 6 * day, dm.OutcomeExpired, false},
		{dm.OriginOperator, 23 * time.Hour, dm.OutcomeSent, false}, {dm.OriginOperator, 25 * time.Hour, dm.OutcomeSent, true},
		{dm.OriginOperator, 7*day - time.Minute, dm.OutcomeSent, true}, {dm.OriginOperator, 7*day + time.Minute, dm.OutcomeExpired, false},
	} {
		i := intent(fmt.Sprint(n), "hello")
		i.Origin, i.EventTime = c.origin, b.now().Add(-c.age)
		i.Parts[0].HumanAgent = true // what an intent says is not asked
		calls := len(b.meta.sent())
		out := b.deliver(i)
		require.Equal(t, []any{c.outcome, c.tag}, []any{out[0].Outcome, out[0].Message.HumanAgent}, "%s after %s", c.origin, c.age)
		require.Equal(t, out, b.deliver(i), "the ledger keeps how it went")
		if c.outcome == dm.OutcomeExpired {
			require.Contains(t, out[0].Reason, "before it could be sent")
			require.Len(t, b.meta.sent(), calls)
			continue
		}
		body := b.meta.bodies()[calls]
		if c.tag {
			require.Contains(t, body, `"messaging_type":"MESSAGE_TAG","tag":"HUMAN_AGENT"`)
		} else {
			require.NotContains(t, body, "HUMAN_AGENT")
		}
	}
}

// Meta knows better when a window closed: a person's message goes on with the tag, once; automation's has expired.
func TestMetaClosesTheWindow(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.meta.answer = func(_ int, _ string, w http.ResponseWriter) { refuse(w, 403, 10, 2534022) }
	require.Equal(t, dm.OutcomeExpired, b.deliver(intent("a", "hello"))[0].Outcome)

	person := intent("b", "hello")
	person.Origin = dm.OriginOperator
	b.deferred(person)
	out := b.deliver(person)
	require.Equal(t, []any{dm.OutcomeExpired, true}, []any{out[0].Outcome, out[0].Message.HumanAgent})
	require.NotContains(t, b.meta.bodies()[1], "HUMAN_AGENT")
	require.Contains(t, b.meta.bodies()[2], "HUMAN_AGENT")
	require.Len(t, b.meta.sent(), 3)

	person.ID = "in_c"
	b.deferred(person)
	b.meta.plays(nil)
	out = b.deliver(person)
	require.Equal(t, []any{dm.OutcomeSent, true}, []any{out[0].Outcome, out[0].Message.HumanAgent})
}

// A picture in doubt is looked for as such, and is not sent again before its absence is proven.
func TestAPictureInDoubt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.meta.plays(func(_ int, _ string, w http.ResponseWriter) { reset(w) })
	i := parts("a", picture)
	b.deferred(i)
	b.meta.plays(nil)
	b.deferred(i)
	b.advance(10 * time.Second)
	b.deferred(i)
	require.Equal(t, picture, b.oracle.asked[0].Part)
	require.True(t, b.oracle.asked[len(b.oracle.asked)-1].Ask)
	b.oracle.says(reconcile.Answer{Fate: reconcile.Sent, MID: "found", How: reconcile.ByEcho})
	require.Equal(t, "found", b.deliver(i)[0].MID)
	require.Len(t, b.meta.sent(), 1)
}

// A reaction that is set twice is as good as one: in doubt it is set again, and nobody has to look.
func TestAReactionInDoubtIsRepeated(t *testing.T) {
	t.Parallel()
	answers := map[string]func(http.ResponseWriter){
		"reset": reset, "gateway": func(w http.ResponseWriter) { w.WriteHeader(http.StatusBadGateway) },
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.meta.plays(func(_ int, _ string, w http.ResponseWriter) { answer(w) })
			i := parts("a", love)
			b.deferred(i)
			b.meta.plays(nil)
			require.Equal(t, dm.OutcomeSent, b.deliver(i)[0].Outcome)
			require.Len(t, b.meta.sent(), 2)
			require.Empty(t, b.oracle.asked)
		})
	}
	t.Run("sent all the same", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.meta.plays(func(_ int, _ string, w http.ResponseWriter) { refuse(w, 500, 1, 1357046) })
		require.Equal(t, dm.OutcomeSent, b.deliver(parts("a", love))[0].Outcome)
	})
	t.Run("killed", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		i := parts("a", love)
		_, err := ledger.New(b.bucket, ledger.Options{}).Claim(t.Context(), i.ID+".0")
		require.NoError(t, err)
		b.deferred(i)
		b.advance(inFlight + time.Second)
		b.deferred(i) // open again
		require.Equal(t, dm.OutcomeSent, b.deliver(i)[0].Outcome)
		require.Equal(t, []string{"<react>"}, b.meta.sent())
	})
	t.Run("lost for ever", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.meta.plays(func(_ int, _ string, w http.ResponseWriter) { reset(w) })
		i := parts("a", love)
		for range maxAttempts - 1 {
			b.deferred(i)
		}
		require.Equal(t, dm.OutcomeFailed, b.deliver(i)[0].Outcome)
	})
}
