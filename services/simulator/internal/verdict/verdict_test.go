package verdict_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/parley-dm/parley/services/simulator/internal/verdict"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// conversation has a message a second, and a reply half a second after each; replies are given by their texts and the
// second they came in.
func conversation(expect []string, got ...string) verdict.Conversation {
	c := verdict.Conversation{Account: "1", Customer: "7"}
	for i, e := range expect {
		c.Sent = append(c.Sent, verdict.Sent{MID: fmt.Sprint("in", i), Expect: e, At: start.Add(time.Duration(i) * time.Second), Accepted: true})
	}
	for i, g := range got {
		// All replies come after all messages, so that only order and number decide.
		c.Received = append(c.Received, verdict.Received{MID: fmt.Sprint("out", i), Text: g, At: start.Add(time.Hour + time.Duration(i)*time.Second)})
	}
	return c
}

func TestJudge(t *testing.T) {
	t.Parallel()
	abc := []string{"a", "b", "c"}
	anything := []string{"", "", ""}
	for name, tt := range map[string]struct {
		given                                             verdict.Conversation
		answered, missing, doubled, swapped, wrong, order int
	}{
		"all answered in order":                   {given: conversation(abc, "a", "b", "c"), answered: 3, order: 3},
		"nothing sent":                            {given: conversation(nil)},
		"one missing":                             {given: conversation(abc, "a", "c"), answered: 2, missing: 1, order: 3},
		"all missing":                             {given: conversation(abc), missing: 3, order: 3},
		"one doubled":                             {given: conversation(abc, "a", "b", "b", "c"), answered: 3, doubled: 1, order: 3},
		"two swapped":                             {given: conversation(abc, "b", "a", "c"), answered: 2, swapped: 1, order: 3},
		"a reply nobody expected":                 {given: conversation(abc, "a", "x", "c"), answered: 2, missing: 1, wrong: 1, order: 3},
		"one missing and another doubled":         {given: conversation(abc, "a", "a", "c"), answered: 2, missing: 1, doubled: 1, order: 3},
		"any text will do, counts right":          {given: conversation(anything, "f", "f", "f"), answered: 3},
		"any text will do, one missing":           {given: conversation(anything, "f", "f"), answered: 2, missing: 1},
		"any text will do, one too many":          {given: conversation(anything, "f", "f", "f", "f"), answered: 3, doubled: 1},
		"a reply to one who said nothing":         {given: conversation(nil, "f"), doubled: 1},
		"mixed: a typed one between expected":     {given: conversation([]string{"a", "", "c"}, "a", "anything", "c"), answered: 3, order: 2},
		"late one moved to the end is swapped":    {given: conversation([]string{"a", "b", "c", "d"}, "a", "c", "d", "b"), answered: 3, swapped: 1, order: 4},
		"keywords come round and one got lost":    {given: conversation([]string{"a", "b", "a", "b"}, "a", "a", "b"), answered: 3, missing: 1, order: 4},
		"keywords come round and one was doubled": {given: conversation([]string{"a", "b", "a", "b"}, "a", "b", "b", "a", "b"), answered: 4, doubled: 1, order: 4},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := verdict.Judge([]verdict.Conversation{tt.given})
			require.Equal(t, tt.missing+tt.doubled+tt.swapped+tt.wrong == 0, v.Good)
			require.Equal(t, tt.answered, v.Answered, "answered")
			require.Equal(t, tt.missing, v.Missing, "missing")
			require.Equal(t, tt.doubled, v.Doubled, "doubled")
			require.Equal(t, tt.swapped, v.Swapped, "swapped")
			require.Equal(t, tt.wrong, v.Wrong, "wrong")
			require.Equal(t, tt.order, v.Ordered, "ordered")
			require.Len(t, v.Faults, tt.missing+tt.doubled+tt.swapped+tt.wrong)
		})
	}
}

func TestReplyBeforeItsMessageIsNoAnswer(t *testing.T) {
	t.Parallel()
	c := conversation([]string{"a", "a"}, "a", "a")
	c.Received[0].At = start.Add(100 * time.Millisecond)
	c.Received[1].At = start.Add(200 * time.Millisecond) // before the second message was sent: a double of the first
	v := verdict.Judge([]verdict.Conversation{c})
	require.False(t, v.Good)
	require.Equal(t, 1, v.Answered)
	require.Equal(t, 1, v.Doubled)
	require.Equal(t, 1, v.Missing)
	require.Equal(t, "in1", v.Faults[0].MID)
	require.Equal(t, "out1", v.Faults[1].MID)
}

func TestNotAcceptedIsToldApart(t *testing.T) {
	t.Parallel()
	c := conversation([]string{"a", "b"}, "a")
	c.Sent[1].Accepted = false
	v := verdict.Judge([]verdict.Conversation{c})
	require.Equal(t, 1, v.Missing)
	require.Equal(t, 1, v.NotAccepted)
}

func TestPercentiles(t *testing.T) {
	t.Parallel()
	var v verdict.Verdict
	require.Zero(t, v.Percentile(0.5))
	for i := 1; i <= 100; i++ {
		v.Waits = append(v.Waits, time.Duration(i)*time.Millisecond)
	}
	require.Equal(t, 50*time.Millisecond, v.Percentile(0.50))
	require.Equal(t, 99*time.Millisecond, v.Percentile(0.99))
	require.Equal(t, 100*time.Millisecond, v.Percentile(1))
	require.Equal(t, time.Millisecond, v.Percentile(0))
}

// Whatever is done to a right conversation, the counts add up, and it is good only when nothing was done.
func TestCountsAddUp(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 30).Draw(t, "messages")
		var expect, got []string
		for i := range n {
			expect = append(expect, fmt.Sprint("answer ", i%4))
		}
		changed := false
		for i := range n {
			switch rapid.SampledFrom([]string{"right", "right", "right", "lost", "twice", "other"}).Draw(t, "fate") {
			case "right":
				got = append(got, expect[i])
			case "lost":
				changed = true
			case "twice":
				changed = true
				got = append(got, expect[i], expect[i])
			case "other":
				changed = true
				got = append(got, "something else")
			}
		}
		v := verdict.Judge([]verdict.Conversation{conversation(expect, got...)})
		require.Equal(t, n, v.Sent)
		require.Equal(t, v.Sent, v.Answered+v.Missing+v.Swapped)
		require.Equal(t, len(got), v.Answered+v.Doubled+v.Swapped+v.Wrong)
		if !changed {
			require.True(t, v.Good)
		}
		if len(got) != n {
			require.False(t, v.Good)
		}
	})
}

func TestLongWrongConversationIsStillFoundWrong(t *testing.T) {
	t.Parallel()
	var expect []string
	for i := range 10_000 {
		expect = append(expect, fmt.Sprint("answer ", i%10))
	}
	got := append(append([]string{}, expect[1:5000]...), expect[4990:9999]...)
	v := verdict.Judge([]verdict.Conversation{conversation(expect, got...)})
	require.False(t, v.Good)
	require.NotEmpty(t, v.Faults)
}

func TestFaultsAreCountedBeyondThoseListed(t *testing.T) {
	t.Parallel()
	v := verdict.Judge([]verdict.Conversation{conversation(make([]string, 500))})
	require.Equal(t, 500, v.Missing)
	require.Len(t, v.Faults, 100)
}
