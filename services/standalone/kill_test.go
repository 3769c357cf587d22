package standalone_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Parley is killed inside a burst, when the first message is known to be answered with the next one: one answer comes, to all of it.
func TestAKillInsideABurst(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "BURST_WINDOW=3s", "LEASE_TTL=1s")
	_, err := w.pool.Exec(t.Context(), `INSERT INTO response_rules (name, keywords, match_type, response_text) VALUES ('both', ARRAY['blue', 'price'], 'all_of', 'The blue one is 5 €.')`)
	require.NoError(t, err)
	c := startChild(t, w.environ, "serve")
	w.listening()
	require.Equal(t, http.StatusOK, w.post("7001", "m_1", "the blue one"))
	wait(t, 2*time.Second, func() bool { return false }) // the customer writes on
	require.Equal(t, http.StatusOK, w.post("7001", "m_2", "what is the price?"))
	w.eventually(func() bool { return w.count(`SELECT count(*) FROM events WHERE kind = 'decision'`) == 1 }, "the first waits for the next")
	require.Equal(t, -1, c.end(syscall.SIGKILL))
	require.Empty(t, w.replies("7001"), "it was killed before the answer")

	again := startChild(t, w.environ, "serve")
	w.eventually(func() bool { return len(w.replies("7001")) == 1 }, "the burst is answered")
	require.Equal(t, http.StatusOK, w.post("7001", "m_3", "thanks"))
	w.eventually(func() bool { return len(w.replies("7001")) == 2 }, "what comes later is not of it")
	require.Equal(t, "The blue one is 5 €.", w.replies("7001")[0])
	require.Equal(t, 0, again.end(syscall.SIGTERM), again.stderr.String())
	require.Len(t, w.replies("7001"), 2)
	require.Equal(t, 1, w.count(`SELECT count(*) FROM events WHERE kind = 'decision'`))
}

// Parley is killed while it tells the help desk of a hand-off: the desk hears of it again, by the same id, and the customer once.
func TestAKillWhileTheHelpDeskIsTold(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var ids []string
	hangs := true
	desk := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		mu.Lock()
		ids = append(ids, r.Header.Get("X-Parley-Delivery"))
		hang := hangs
		mu.Unlock()
		if hang {
			<-r.Context().Done()
		}
	}))
	t.Cleanup(desk.Close)
	told := func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(ids)
	}
	w := newWorld(t, "HANDOFF_URL="+desk.URL, "HANDOFF_PRIVATE=true", "LEASE_TTL=1s")
	_, err := w.pool.Exec(t.Context(), `INSERT INTO response_rules (name, keywords, response_text, actions) VALUES ('person', ARRAY['human'], 'Somebody will write to you.', '{"hand_off": true}')`)
	require.NoError(t, err)
	c := startChild(t, w.environ, "serve")
	w.listening()
	require.Equal(t, http.StatusOK, w.post("7001", "m_1", "a human please"))
	w.eventually(func() bool { return len(told()) == 1 && len(w.replies("7001")) == 1 }, "the customer does not wait for the desk")
	require.Equal(t, -1, c.end(syscall.SIGKILL))
	mu.Lock()
	hangs = false
	mu.Unlock()

	again := startChild(t, w.environ, "serve")
	w.eventually(func() bool { return len(told()) >= 2 }, "the desk is told again")
	require.Equal(t, 0, again.end(syscall.SIGTERM), again.stderr.String())
	require.Len(t, slices.Compact(told()), 1, "by the same id")
	require.Equal(t, []string{"Somebody will write to you."}, w.replies("7001"))
}

// listening waits until webhooks are taken.
func (w *world) listening() {
	w.t.Helper()
	w.eventually(func() bool {
		req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.webhook, http.NoBody)
		require.NoError(w.t, err)
		res, err := w.client.Do(req)
		if err == nil {
			_ = res.Body.Close()
		}
		return err == nil
	}, "it listens")
}
