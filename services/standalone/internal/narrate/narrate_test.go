package narrate

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/envelope"
)

func message[T envelope.Data](t *testing.T, subject string, e envelope.Envelope[T]) *nats.Msg {
	t.Helper()
	data, err := e.Encode()
	require.NoError(t, err)
	return &nats.Msg{Subject: subject, Data: data}
}

func TestOneLineForEachThing(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	n := &Narrator{out: &out, seen: map[string]bool{}}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	c := dm.Conversation{Channel: dm.ChannelInstagram, Account: "1", Customer: "7001"}
	in := message(t, "dm.event.0.1.message", envelope.Event(dm.Event{ID: "ev_1", Conversation: c, Kind: dm.KindMessage, Text: "price?", KnownAccount: true, ReceivedAt: at}, ""))
	n.tell(in)
	n.tell(message(t, "dm.intent.0.1", envelope.Intent(dm.ReplyIntent{
		ID: "in_1", Conversation: c, Origin: dm.OriginRule, RuleName: "price", Parts: []dm.Part{{Kind: dm.PartText, Text: "18 each 🕯️"}},
		ReceivedAt: at, CreatedAt: at.Add(3 * time.Millisecond),
	}, "ev_1", "ev_1")))
	n.tell(message(t, "dm.delivery.1.sent", envelope.Delivery(dm.Delivery{
		ID: "de_1", Conversation: c, Of: 2, Outcome: dm.OutcomeSent, ReceivedAt: at, SentAt: at.Add(11 * time.Millisecond),
	}, "ev_1", "in_1")))
	n.tell(message(t, "dm.event.0.1.echo", envelope.Event(dm.Event{ID: "ev_2", Conversation: c, Kind: dm.KindEcho, Text: "18 each"}, "")))
	n.tell(in)
	n.tell(&nats.Msg{Subject: "dm.dead.sender.1", Data: in.Data})
	n.tell(&nats.Msg{Subject: "dm.event.0.1.message", Data: []byte("not an envelope")})

	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	require.Len(t, lines, 5, out.String())
	require.Regexp(t, `in +7001 +“price\?”$`, lines[0])
	require.Regexp(t, `rule +7001 +“price” → “18 each 🕯️”  \(3 ms\)$`, lines[1])
	require.Regexp(t, `out +7001 +sent part 1 of 2  \(11 ms\)$`, lines[2])
	require.Regexp(t, `in .*delivered again`, lines[3])
	require.Regexp(t, `dead .*dm\.dead\.sender\.1$`, lines[4])
}

func TestWhatHappenedHereIsToldInWords(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	n := &Narrator{out: &out, seen: map[string]bool{}}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	tell := func(id string, kind dm.EventKind, change func(*dm.Event)) {
		e := dm.Event{ID: id, Conversation: dm.Conversation{Channel: dm.ChannelInstagram, Account: "1", Customer: "7001"}, Kind: kind, KnownAccount: true, ReceivedAt: at, Source: dm.SourceParley}
		change(&e)
		n.tell(message(t, "dm.event.0.1."+string(kind), envelope.Event(e, "")))
	}
	silent := func(e *dm.Event) { e.Decision = &dm.Decision{Reason: "burst"} }
	tell("1", dm.KindDecision, silent)
	tell("1", dm.KindDecision, silent) // it happened once
	tell("2", dm.KindHold, func(e *dm.Event) {
		e.Hold = &dm.Hold{Holder: dm.HolderPerson, Reason: dm.HoldHandOff, By: "rule human", At: at, Until: at.Add(time.Hour)}
	})
	tell("3", dm.KindHold, func(e *dm.Event) {
		e.Hold = &dm.Hold{Holder: dm.HolderBot, Reason: dm.HoldOperator, By: "ann\x1b", At: at}
	})
	tell("4", dm.KindLabel, func(e *dm.Event) {
		e.Labels = &dm.Labels{Added: []string{"b2b"}, Removed: []string{"new"}, By: "rule label"}
	})
	tell("5", dm.KindProfile, func(e *dm.Event) { e.Profile = &dm.Profile{Name: "Anna", Username: "anna"} })
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	require.Len(t, lines, 5, out.String())
	require.Regexp(t, `rule +7001 +no answer: the customer wrote again at once`, lines[0])
	require.Regexp(t, `hold +7001 +a person has the conversation, the bot is silent until \d+ Jan \d\d:\d\d: the bot handed it over \(rule human\)$`, lines[1])
	require.Regexp(t, `hold +7001 +the bot has the conversation again: somebody here said so \(ann·\)$`, lines[2])
	require.Regexp(t, `tag +7001 +labels \+“b2b” −“new” \(rule label\)$`, lines[3])
	require.Regexp(t, `who +7001 +is Anna @anna$`, lines[4])
}

func TestATextCannotCommandTheTerminal(t *testing.T) {
	t.Parallel()
	require.Equal(t, "“·[2Jhello there· 👩‍👩‍👧 سعر”", quote("\x1b[2Jhello\nthere\x07 👩‍👩‍👧 سعر"))
	require.Equal(t, "ab", printable("a\u202eb"))
	require.Equal(t, "\uFFFD", printable("\xff"))
	require.Len(t, []rune(quote(strings.Repeat("ü", 500))), longest+3)
}

func TestMemoryOfIDsIsBounded(t *testing.T) {
	t.Parallel()
	n := &Narrator{seen: map[string]bool{}}
	for i := range remembered + 10 {
		require.False(t, n.again(string(rune(0x10000+i))))
	}
	require.Len(t, n.seen, remembered)
}
