package world

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMIDsAreOpaqueUniqueAndFoundAgain(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	rapid.Check(t, func(t *rapid.T) {
		nonce := rapid.Uint64().Draw(t, "nonce")
		seq := rapid.IntRange(0, 1<<30).Draw(t, "seq")
		k := Key{Account: rapid.StringMatching(`[1-9][0-9]{0,19}`).Draw(t, "account"), Customer: rapid.StringMatching(`[1-9][0-9]{0,19}`).Draw(t, "customer")}
		mid := encodeMID(nonce, k, seq)
		require.Len(t, mid, 164)
		seen[mid] = true
		n, key, s, err := decodeMID(mid)
		require.NoError(t, err)
		require.Equal(t, nonce, n)
		require.Equal(t, k, key)
		require.Equal(t, seq, s)
	})
	require.NotEmpty(t, seen)
}

func FuzzDecodeMID(f *testing.F) {
	f.Add(encodeMID(1, Key{Account: "1", Customer: "2"}, 3))
	f.Add(midPrefix + strings.Repeat("A", 130))
	f.Add("")
	f.Fuzz(func(t *testing.T, mid string) {
		nonce, k, seq, err := decodeMID(mid)
		if err == nil {
			require.Len(t, mid, 164)
			require.GreaterOrEqual(t, seq, 0)
			_ = encodeMID(nonce, k, seq)
		}
	})
}

func newTestWorld(o Options) *World {
	if o.MaxConversations == 0 {
		o.MaxConversations = 10
	}
	return New([]Account{{ID: "1", Name: "Shop", Token: "T"}}, o)
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	w := newTestWorld(Options{MaxMessages: 3, MaxConversations: 2})
	for range 500 { // a customer of whose messages nothing is known
		_, err := w.Receive(Reply{Key: Key{"1", "7"}, Kind: KindText, Text: "x"})
		require.NoError(t, err)
	}
	h, ok := w.History(Key{"1", "7"})
	require.True(t, ok)
	require.LessOrEqual(t, len(h.Messages), 2*unjudgedKept)
	newest := h.Messages[len(h.Messages)-1]
	m, rank, ok := w.Message("1", newest.MID)
	require.True(t, ok)
	require.Zero(t, rank)
	require.Equal(t, newest.MID, m.MID)

	_, err := w.Say(Saying{Key: Key{"1", "8"}, Text: "x"})
	require.NoError(t, err)
	_, err = w.Say(Saying{Key: Key{"1", "9"}, Text: "x"})
	require.ErrorIs(t, err, ErrFull, "a third conversation")
	for range 2 {
		_, err = w.Say(Saying{Key: Key{"1", "8"}, Text: "x"})
		require.NoError(t, err)
	}
	_, err = w.Say(Saying{Key: Key{"1", "8"}, Text: "x"})
	require.ErrorIs(t, err, ErrFull)
	w.Reset()
	_, err = w.Say(Saying{Key: Key{"1", "9"}, Text: "x"})
	require.NoError(t, err)
}

func TestSlowListenerIsCutOff(t *testing.T) {
	t.Parallel()
	w := newTestWorld(Options{MaxMessages: 10_000})
	l := w.Feed().Listen()
	for range listenerBuffer + 2 {
		_, err := w.Say(Saying{Key: Key{"1", "8"}, Text: "x", Show: true})
		require.NoError(t, err)
	}
	n := 0
	for range l.C { // ends because the channel was closed
		n++
	}
	require.Equal(t, listenerBuffer, n)
	l.Close()
}

func TestOnlyShownConversationsAreTold(t *testing.T) {
	t.Parallel()
	w := newTestWorld(Options{MaxMessages: 10})
	l := w.Feed().Listen()
	defer l.Close()
	_, err := w.Say(Saying{Key: Key{"1", "8"}, Text: "x"})
	require.NoError(t, err)
	require.Empty(t, l.C)
}
