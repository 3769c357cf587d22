package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/services/simulator"
)

var dawn = time.Date(2026, 11, 22, 6, 0, 0, 0, time.UTC)

// at is a time so many seconds after dawn.
func at(seconds int) time.Time { return dawn.Add(time.Duration(seconds) * time.Second) }

// asked is the nth message, sent and accepted at these seconds.
func asked(n, sent, accepted int) simulator.Message {
	return simulator.Message{MID: say(n), FromCustomer: true, Text: say(n), Expect: answer(n), SentAt: at(sent), AcceptedAt: at(accepted)}
}

func replied(n, second int) simulator.Message {
	return simulator.Message{MID: answer(n), Text: answer(n), At: at(second)}
}

func judged(messages ...simulator.Message) judgement {
	return judge([]conversation{{Account: "1", Customer: "7", Messages: messages}})
}

func TestEachAnsweredOnceAndInOrderIsGood(t *testing.T) {
	t.Parallel()
	j := judged(asked(0, 0, 1), asked(1, 2, 3), replied(0, 4), replied(1, 9))
	require.Equal(t, 2, j.in)
	require.Equal(t, 2, j.once)
	require.Empty(t, j.findings)
	require.Equal(t, 7*time.Second, j.slowest)
}

func TestWhatIsWrongIsFound(t *testing.T) {
	t.Parallel()
	never := asked(2, 0, 1)
	never.AcceptedAt = time.Time{}
	for _, c := range []struct {
		name, what, mid string
		messages        []simulator.Message
	}{
		{"no reply", missing, say(1), []simulator.Message{asked(0, 0, 1), asked(1, 2, 3), replied(0, 4)}},
		{"two replies", doubled, say(0), []simulator.Message{asked(0, 0, 1), replied(0, 2), asked(1, 3, 4), replied(0, 5), replied(1, 6)}},
		{"the later first", outOfOrder, say(0), []simulator.Message{asked(0, 0, 1), asked(1, 2, 3), replied(1, 4), replied(0, 5)}},
		{"a webhook that is refused for ever", notAccepted, say(2), []simulator.Message{never}},
		{"something else", unasked, answer(9), []simulator.Message{asked(0, 0, 1), replied(0, 2), replied(9, 3)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			j := judged(c.messages...)
			require.Len(t, j.findings, 1)
			require.Equal(t, []string{c.what, c.mid}, []string{j.findings[0].what, j.findings[0].mid})
			require.Equal(t, map[string]int{c.what: 1}, j.counts)
		})
	}
}

func TestWebhooksThatWereUnderWayTogetherHaveNoOrder(t *testing.T) {
	t.Parallel()
	late := asked(0, 3, 4) // recorded first, delayed, and sent while the second one was under way
	require.Empty(t, judged(late, asked(1, 2, 3), replied(1, 5), replied(0, 6)).findings)
	require.Empty(t, judged(asked(0, 0, 3), asked(1, 2, 3), replied(1, 5), replied(0, 6)).findings)
	// It had been accepted when the third was sent.
	require.Equal(t, 1, judged(late, asked(1, 2, 3), asked(2, 5, 6), replied(1, 7), replied(2, 8), replied(0, 9)).counts[outOfOrder])
}

func TestRowsAreComparedOneByOne(t *testing.T) {
	t.Parallel()
	never := asked(2, 0, 1)
	never.AcceptedAt = time.Time{}
	said := []conversation{{Account: "1", Customer: "7", Messages: []simulator.Message{asked(0, 0, 1), replied(0, 2), asked(1, 3, 4), replied(1, 5), never}}}
	in := func(n int) row {
		return row{Account: "1", MID: say(n), Direction: "inbound", Status: "received", Text: say(n)}
	}
	out := func(n int, status string) row {
		return row{Account: "1", MID: answer(n), Direction: "outbound", Status: status, Text: answer(n)}
	}
	whole := []row{in(0), in(1), out(0, "sent"), out(1, "read")}
	a := compare(said, whole)
	require.Equal(t, []int{2, 2}, []int{a.inbound, a.outbound})
	require.Empty(t, a.missing)
	require.Empty(t, a.surplus)
	require.False(t, a.behind())

	late := compare(said, whole[1:])
	require.Len(t, late.missing, 1)
	require.True(t, late.behind())
	// The echo of the second reply has its row already, the outcome has not.
	unsettled := compare(said, append(whole[:4:4], row{Account: "1", Direction: "outbound", Status: "queued", Text: answer(1)}))
	require.Empty(t, unsettled.missing)
	require.Empty(t, unsettled.failed)
	require.True(t, unsettled.behind())
	require.Len(t, compare(said, append(whole[:3:3], out(1, "unknown"))).missing, 1)
	require.Len(t, compare(said, append(whole[:3:3], out(1, "unknown"))).unknown, 1)
	require.Len(t, compare(said, append(whole, out(7, "failed"))).failed, 1)
	require.Len(t, compare(said, append(whole, out(8, "sent"))).surplus, 1)
	other := whole[0]
	other.Text = "something else"
	require.Len(t, compare(said, append(whole[1:], other)).missing, 1)
}
