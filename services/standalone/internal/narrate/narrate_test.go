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
