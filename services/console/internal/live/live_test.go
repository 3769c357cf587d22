package live_test

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/services/console/internal/live"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func everything(string) bool { return true }

func conversation(account, customer string) dm.Conversation {
	return dm.Conversation{Channel: dm.ChannelInstagram, Account: account, Customer: customer}
}

func TestAChangeIsToldTwiceBecauseTheRowMayComeLater(t *testing.T) {
	t.Parallel()
	hub := live.NewHub()
	defer hub.Close()
	l := hub.Listen(everything)
	defer l.Close()
	c := conversation("178", "7001")
	for range 50 { // a burst is one change
		hub.Changed(c)
	}
	want := live.Change{Conversation: live.ConversationID(c), Account: "178", Customer: "7001"}
	require.Equal(t, want, <-l.Changes())
	require.Equal(t, want, <-l.Changes())
	require.Empty(t, l.Changes())
}

func TestOnlyWhatIsSeenIsTold(t *testing.T) {
	t.Parallel()
	hub := live.NewHub()
	defer hub.Close()
	l := hub.Listen(func(account string) bool { return account == "179" })
	defer l.Close()
	hub.Changed(conversation("178", "7001"))
	hub.Changed(conversation("179", "7001"))
	require.Equal(t, "179", (<-l.Changes()).Account)
	require.Equal(t, "179", (<-l.Changes()).Account)
}

// Nobody who does not read keeps others waiting, or memory without end.
func TestWhoIsTooSlowIsToldThatSomethingWasMissed(t *testing.T) {
	t.Parallel()
	hub := live.NewHub()
	defer hub.Close()
	slow, quick := hub.Listen(everything), hub.Listen(everything)
	defer slow.Close()
	defer quick.Close()
	for i := range 200 {
		hub.Changed(conversation("178", string(rune('a'+i))))
	}
	for heard := 0; heard < 200; heard++ {
		if c := <-quick.Changes(); c.Missed { // a busy machine is not quick; but then a buffer's worth was told
			break
		}
	}
	missed := false
	for range len(slow.Changes()) {
		c := <-slow.Changes()
		missed = missed || c.Missed
	}
	require.True(t, missed)
}

func TestABrowserHearsUntilTheHubEnds(t *testing.T) {
	t.Parallel()
	hub := live.NewHub()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = hub.Serve(w, r, everything, func(context.Context) bool { return true })
	}))
	defer server.Close()
	resp, err := server.Client().Get(server.URL) //nolint:noctx // a test
	require.NoError(t, err)
	defer func() { require.NoError(t, resp.Body.Close()) }()
	require.Equal(t, "text/event-stream", resp.Header.Get("Content-Type"))
	lines := bufio.NewScanner(resp.Body)
	next := func(prefix string) string {
		for lines.Scan() {
			if text, ok := strings.CutPrefix(lines.Text(), prefix); ok {
				return text
			}
		}
		return ""
	}
	require.Equal(t, "2000", next("retry: "))
	hub.Missed()
	require.Equal(t, "missed", next("event: "))
	hub.Changed(conversation("178", "7001"))
	require.Equal(t, "change", next("event: "))
	require.Contains(t, next("data: "), `"account":"178"`)
	hub.Close()
	for lines.Scan() { // what was on its way, then the end
	}
	require.NoError(t, lines.Err())
	late := hub.Listen(everything)
	<-late.Done()
	late.Close()
}
