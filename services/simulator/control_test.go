package simulator_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/services/simulator"
	"github.com/parley-dm/parley/services/simulator/internal/cli"
)

func TestControlMessageLedgerVerdictReset(t *testing.T) {
	t.Parallel()
	b := setup(t)
	status, m := b.call(t, http.MethodPost, "/control/message", `{"customer":"7001","text":"price?","expect":"3.80"}`)
	require.Equal(t, http.StatusAccepted, status, "%v", m)
	b.next(t)
	_, v := b.call(t, http.MethodGet, "/control/verdict", "")
	require.Equal(t, false, v["good"])
	require.EqualValues(t, 1, v["missing"])
	b.graph(t, http.MethodPost, "/v26.0/me/messages", text("3.80"))
	_, v = b.call(t, http.MethodGet, "/control/verdict", "")
	require.Equal(t, true, v["good"], "%v", v)
	_, ledger := b.call(t, http.MethodGet, "/control/ledger?customer=7001", "")
	require.Len(t, dig(ledger, "conversations", 0, "messages"), 2)
	status, _ = b.call(t, http.MethodPost, "/control/reset", "")
	require.Equal(t, http.StatusNoContent, status)
	_, ledger = b.call(t, http.MethodGet, "/control/ledger", "")
	require.Empty(t, ledger["conversations"])
	_, m2 := b.call(t, http.MethodPost, "/control/message", `{"customer":"7001","text":"price?"}`)
	require.NotEqual(t, m["mid"], m2["mid"], "ids are not used again")
}

func TestControlRefusesWhatMakesNoSense(t *testing.T) {
	t.Parallel()
	b := setup(t, "LEDGER_LIMIT=1")
	for body, want := range map[string]int{
		`{"customer":"7001","text":""}`:                 http.StatusBadRequest,
		`{"customer":"7001","txt":"x"}`:                 http.StatusBadRequest,
		`{"account":"5","text":"x"}`:                    http.StatusNotFound,
		`{"text":"x","age":"soon"}`:                     http.StatusBadRequest,
		`nonsense`:                                      http.StatusBadRequest,
		`{"text":"` + strings.Repeat("x", 2<<20) + `"}`: http.StatusRequestEntityTooLarge,
	} {
		status, out := b.call(t, http.MethodPost, "/control/message", body)
		require.Equal(t, want, status, "%v", out)
		require.NotEmpty(t, out["message"])
	}
	b.say(t, "7001", "the only one")
	status, out := b.call(t, http.MethodPost, "/control/message", `{"text":"x"}`)
	require.Equal(t, http.StatusInsufficientStorage, status, "%v", out)
}

func TestRawIsSignedAndSentAsItIs(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const body = `{"object":"instagram","entry":[{"messaging":[{"message":{"text":"\ud800"}}]}]} `
	_, out := b.call(t, http.MethodPost, "/control/raw", body)
	require.EqualValues(t, http.StatusOK, out["status"])
	require.True(t, bytes.Equal([]byte(body), b.next(t).body))
	_, out = b.call(t, http.MethodPost, "/control/raw?secret=wrong", body)
	require.EqualValues(t, http.StatusUnauthorized, out["status"])
}

func TestFaults(t *testing.T) {
	t.Parallel()
	received := func(b *bundle) int { return b.sim.Totals().Replies }
	send := func(t *testing.T, b *bundle) (int, map[string]any, error) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.url+"/v26.0/me/messages?access_token="+token, strings.NewReader(text("x")))
		require.NoError(t, err)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return 0, nil, err
		}
		var out map[string]any
		require.NoError(t, json.NewDecoder(resp.Body).Decode(&out))
		return resp.StatusCode, out, resp.Body.Close()
	}
	with := func(t *testing.T, fault string) *bundle {
		t.Helper()
		b := setup(t)
		status, out := b.call(t, http.MethodPost, "/control/fault", fault)
		require.Equal(t, http.StatusCreated, status, "%v", out)
		return b
	}
	t.Run("error, once", func(t *testing.T) {
		t.Parallel()
		b := with(t, `{"kind":"error","code":2,"status":500,"transient":true,"count":1}`)
		status, out, err := send(t, b)
		require.NoError(t, err)
		require.Equal(t, 500, status)
		requireError(t, out, 2, 0)
		require.Zero(t, received(b))
		status, _, err = send(t, b)
		require.NoError(t, err)
		require.Equal(t, 200, status)
		_, list := b.call(t, http.MethodGet, "/control/fault", "")
		require.EqualValues(t, 1, dig(list, "faults", 0, "met"))
	})
	t.Run("of another customer", func(t *testing.T) {
		t.Parallel()
		status, _, err := send(t, with(t, `{"kind":"error","code":2,"customer":"9"}`))
		require.NoError(t, err)
		require.Equal(t, 200, status)
	})
	t.Run("reset before", func(t *testing.T) {
		t.Parallel()
		b := with(t, `{"kind":"reset_before"}`)
		_, _, err := send(t, b)
		require.Error(t, err)
		require.Zero(t, received(b))
	})
	t.Run("reset after", func(t *testing.T) {
		t.Parallel()
		b := with(t, `{"kind":"reset_after"}`)
		_, _, err := send(t, b)
		require.Error(t, err)
		require.Equal(t, 1, received(b))
		require.True(t, b.next(t).item.Message.IsEcho)
	})
	t.Run("sent, but an error", func(t *testing.T) {
		t.Parallel()
		b := with(t, `{"kind":"sent_but_error"}`)
		_, out, err := send(t, b)
		require.NoError(t, err)
		requireError(t, out, 1, 1357046)
		require.Equal(t, 1, received(b))
	})
	t.Run("slow", func(t *testing.T) {
		t.Parallel()
		b := with(t, `{"kind":"slow","delay_ms":50}`)
		began := time.Now()
		_, _, err := send(t, b)
		require.NoError(t, err)
		require.GreaterOrEqual(t, time.Since(began), 50*time.Millisecond)
	})
	t.Run("no echo", func(t *testing.T) {
		t.Parallel()
		b := with(t, `{"kind":"no_echo"}`)
		_, _, err := send(t, b)
		require.NoError(t, err)
		b.say(t, "7001", "marker")
		require.Equal(t, "marker", b.next(t).item.Message.Text)
	})
	t.Run("duplicate", func(t *testing.T) {
		t.Parallel()
		b := with(t, `{"kind":"duplicate","copies":2}`)
		m := b.say(t, "7001", "thrice")
		for range 3 {
			require.Equal(t, m.MID, b.next(t).item.Message.MID)
		}
	})
	t.Run("delay lets later ones overtake", func(t *testing.T) {
		t.Parallel()
		b := with(t, `{"kind":"delay","delay_ms":200,"count":1}`)
		b.say(t, "7001", "first")
		b.say(t, "7001", "second")
		require.Equal(t, "second", b.next(t).item.Message.Text)
		require.Equal(t, "first", b.next(t).item.Message.Text)
	})
	t.Run("withhold", func(t *testing.T) {
		t.Parallel()
		b := with(t, `{"kind":"withhold","count":1}`)
		b.say(t, "7001", "never")
		b.say(t, "7001", "marker")
		require.Equal(t, "marker", b.next(t).item.Message.Text)
		require.Equal(t, 2, b.sim.Verdict().Missing)
	})
	t.Run("nonsense", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		for _, fault := range []string{`{"kind":"gremlin"}`, `{"kind":"error"}`, `{"kind":"slow"}`, `{"kind":"error","code":1,"rate":2}`, `{"kind":"error","code":1,"status":200}`} {
			status, _ := b.call(t, http.MethodPost, "/control/fault", fault)
			require.Equal(t, http.StatusBadRequest, status, fault)
		}
		status, _ := b.call(t, http.MethodDelete, "/control/fault/fault-9", "")
		require.Equal(t, http.StatusNotFound, status)
	})
}

// The sub-command: its exit status is the verdict.
func TestLoadCommand(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.answerWith(t, func(it item) []string { return []string{strings.Replace(it.Message.Text, "load", "answer", 1)} })
	execute := func(environ []string, args ...string) (code int, out, errs string) {
		var stdout, stderr bytes.Buffer
		code = cli.Execute(context.Background(), args, environ, &stdout, &stderr)
		return code, stdout.String(), stderr.String()
	}
	t.Run("drives another simulator", func(t *testing.T) {
		t.Parallel()
		code, out, errs := execute(nil, "--simulator", b.url, "--customers", "5", "--messages", "4", "--linger", "50ms")
		require.Zero(t, code, "%s%s", out, errs)
		require.Contains(t, out, "GOOD. 20 messages of 5 customers, each answered exactly once, in order.")
	})
	t.Run("its own simulator, which nobody answers", func(t *testing.T) {
		t.Parallel()
		code, out, errs := execute([]string{"SIMULATOR_ADDR=127.0.0.1:0", "WEBHOOK_URL=" + b.hook, "FACEBOOK_APP_SECRET=" + secret, "INSTAGRAM_PAGE_ID=17841400000000009"},
			"--customers", "2", "--messages", "2", "--settle", "200ms", "--json")
		require.Equal(t, 1, code, errs)
		var result simulator.LoadResult
		require.NoError(t, json.Unmarshal([]byte(out), &result))
		require.Equal(t, 4, result.Missing)
	})
	t.Run("an address that is taken", func(t *testing.T) {
		t.Parallel()
		code, _, errs := execute([]string{"SIMULATOR_ADDR=" + strings.TrimPrefix(b.url, "http://")}, "--customers", "1")
		require.Equal(t, 1, code)
		require.Contains(t, errs, "--simulator "+b.url)
	})
	t.Run("prints rules", func(t *testing.T) {
		t.Parallel()
		code, out, _ := execute(nil, "--print-rules", "--expect", "what's up=it's fine")
		require.Zero(t, code)
		require.Contains(t, out, "'load test 0', ARRAY['what''s up'], 'exact', 'it''s fine'")
	})
	t.Run("help and wrong flags", func(t *testing.T) {
		t.Parallel()
		code, out, _ := execute(nil, "--help")
		require.Zero(t, code)
		require.Contains(t, out, "--customers")
		for _, args := range [][]string{{"--nope"}, {"--expect", "x"}, {"--keywords", "-1"}, {"--customers", "many"}} {
			code, _, errs := execute(nil, args...)
			require.Equal(t, 2, code, "%v", args)
			require.NotEmpty(t, errs)
		}
		code, _, errs := execute([]string{"WEBHOOK_URL=nowhere"})
		require.Equal(t, 2, code)
		require.Contains(t, errs, "WEBHOOK_URL")
	})
}
