package simulator_test

import (
	"bytes"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/services/simulator"
	"github.com/parley-dm/parley/services/simulator/internal/cli"
)

func TestTokenExpiresAndIsRefreshed(t *testing.T) {
	t.Parallel()
	b := setup(t, "SIMULATOR_TOKEN_TTL=1440h")
	refresh := func(token string) (int, map[string]any) {
		return b.call(t, http.MethodGet, "/refresh_access_token?grant_type=ig_refresh_token&access_token="+token, "")
	}
	send := func(token string) (int, map[string]any) {
		return b.call(t, http.MethodPost, "/v26.0/me/messages?access_token="+token, text("x"))
	}
	status, out := refresh(token)
	require.Equal(t, http.StatusOK, status, "%v", out)
	fresh := str(out["access_token"])
	require.NotEqual(t, token, fresh)
	require.EqualValues(t, 1440*3600, out["expires_in"])
	status, out = refresh(fresh)
	require.Equal(t, http.StatusBadRequest, status, "not a day old: %v", out)
	requireError(t, out, 100, 0)
	status, _ = send(token)
	require.Equal(t, http.StatusOK, status, "the one before is good until it expires")

	b.sim.Advance(59 * 24 * time.Hour)
	_, out = b.call(t, http.MethodGet, "/v26.0/debug_token?input_token="+fresh+"&access_token=100000000000001%7C"+secret, "")
	require.Equal(t, true, dig(out, "data", "is_valid"))
	require.NotZero(t, dig(out, "data", "expires_at"))
	b.sim.Advance(2 * 24 * time.Hour)
	for _, dead := range []string{token, fresh} {
		status, out = send(dead)
		require.Equal(t, http.StatusBadRequest, status)
		requireError(t, out, 190, 463)
	}
	status, _ = refresh(fresh)
	require.Equal(t, http.StatusBadRequest, status, "what is dead stays dead")
}

func TestTokenIsKilledAndReplacedOverControl(t *testing.T) {
	t.Parallel()
	b := setup(t, "SIMULATOR_ACCOUNT_COUNT=2")
	send := func(token string) (int, map[string]any) {
		return b.call(t, http.MethodPost, "/v26.0/me/messages?access_token="+token, text("x"))
	}
	path := "/control/accounts/" + account + "/token"
	status, out := b.call(t, http.MethodPost, path, `{"kill":460}`)
	require.Equal(t, http.StatusOK, status, "%v", out)
	_, out = send(token)
	requireError(t, out, 190, 460)
	status, _ = send(token + "-1")
	require.Equal(t, http.StatusOK, status, "the other account feels nothing")
	status, out = b.call(t, http.MethodPost, path, `{"token":"new-token","expires_in":"1h"}`)
	require.Equal(t, http.StatusOK, status, "%v", out)
	status, _ = send("new-token")
	require.Equal(t, http.StatusOK, status)
	_, out = send(token)
	requireError(t, out, 190, 467)
	_, list := b.call(t, http.MethodGet, "/control/accounts", "")
	require.NotContains(t, list, "new-token")
	for _, body := range []string{`{}`, `{"kill":1,"token":"x"}`, `{"token":"demo-token-1"}`, `{"token":"x","expires_in":"soon"}`} {
		status, out := b.call(t, http.MethodPost, path, body)
		require.GreaterOrEqual(t, status, 400, "%s: %v", body, out)
	}
	status, _ = b.call(t, http.MethodPost, "/control/accounts/5/token", `{"kill":460}`)
	require.Equal(t, http.StatusNotFound, status)
}

// Usage rises with the calls, refuses at 100 percent, goes on rising while it refuses, and is forgotten after an hour.
func TestUsageRisesAndRefuses(t *testing.T) {
	t.Parallel()
	b := setup(t, "GRAPH_RATE=1000", "GRAPH_ALLOWANCE=10", "SIMULATOR_ACCOUNT_COUNT=2")
	send := func(token string) (int, http.Header, []byte) {
		return b.raw(t, http.MethodPost, "/v26.0/me/messages?access_token="+token, text("x"))
	}
	for i := 1; i < 10; i++ {
		status, header, body := send(token)
		require.Equal(t, http.StatusOK, status, "%s", body)
		require.Contains(t, header.Get("X-Business-Use-Case-Usage"), `"call_count":`+string(rune('0'+i))+"0,")
	}
	status, header, body := send(token)
	require.Equal(t, http.StatusBadRequest, status)
	require.Contains(t, string(body), `"code":80006`)
	require.Contains(t, header.Get("X-Business-Use-Case-Usage"), `"estimated_time_to_regain_access":60`)
	_, header, _ = send(token)
	require.Contains(t, header.Get("X-Business-Use-Case-Usage"), `"call_count":110,`)
	status, _, _ = send(token + "-1")
	require.Equal(t, http.StatusOK, status, "another account has its own")
	b.sim.Advance(61 * time.Minute)
	status, header, _ = send(token)
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, header.Get("X-Business-Use-Case-Usage"), `"call_count":10,`)
}

func TestWindowClosesWithTheClock(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.say(t, "7001", "hello")
	b.next(t)
	status, out := b.call(t, http.MethodPost, "/control/clock", `{"advance":"25h"}`)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "25h0m0s", out["ahead"])
	_, out = b.graph(t, http.MethodPost, "/v26.0/me/messages", text("late"))
	requireError(t, out, 10, 2534022)
	_, err := b.sim.Say(simulator.Action{Key: simulator.Key{Customer: "7001"}, Kind: "postback", Text: "Buy", Payload: "B"})
	require.NoError(t, err)
	status, _ = b.graph(t, http.MethodPost, "/v26.0/me/messages", text("a tap opens it again"))
	require.Equal(t, http.StatusOK, status)
	require.Less(t, b.sim.Verdict().Max, simulator.LoadDuration(time.Minute), "waits are measured by the machine's clock")
	for _, body := range []string{`{}`, `{"advance":"-1h"}`, `{"advance":"1h","ahead":"1h"}`, `{"advance":"999999h"}`} {
		status, _ := b.call(t, http.MethodPost, "/control/clock", body)
		require.Equal(t, http.StatusBadRequest, status, body)
	}
	_, out = b.call(t, http.MethodPost, "/control/clock", `{"ahead":"0s"}`)
	require.Equal(t, "0s", out["ahead"])
}

func TestCommentGetsOnePrivateReply(t *testing.T) {
	t.Parallel()
	b := setup(t)
	comment := func(kind string) string {
		_, out := b.call(t, http.MethodPost, "/control/message", `{"customer":"7001","kind":"`+kind+`","text":"price?"}`)
		return str(dig(out, "content", "comment_id"))
	}
	reply := func(id string) (int, map[string]any) {
		return b.graph(t, http.MethodPost, "/v26.0/me/messages", `{"recipient":{"comment_id":"`+id+`"},"message":{"text":"3.80"}}`)
	}
	id := comment("comment")
	status, out := reply(id)
	require.Equal(t, http.StatusOK, status, "%v", out)
	require.Equal(t, "7001", out["recipient_id"])
	status, out = reply(id)
	require.Equal(t, http.StatusBadRequest, status)
	requireError(t, out, 100, 2534025)
	live, late := comment("live_comment"), comment("comment")
	b.sim.Advance(2 * time.Hour)
	_, out = reply(live)
	requireError(t, out, 100, 2534025)
	b.sim.Advance(8 * 24 * time.Hour)
	_, out = reply(late)
	requireError(t, out, 100, 2534025)
	require.Len(t, b.sim.Messages(simulator.Key{Account: account, Customer: "7001"}), 1)
}

func TestFaultsOfOtherEndpoints(t *testing.T) {
	t.Parallel()
	b := setup(t)
	m := b.say(t, "7001", "hello")
	paths := map[string]string{
		"conversations": "/v26.0/me/conversations?platform=instagram", "profile": "/v26.0/7001?fields=name",
		"debug_token": "/v26.0/debug_token?input_token=" + token, "refresh_access_token": "/refresh_access_token?grant_type=ig_refresh_token",
		"subscribed_apps": "/v26.0/me/subscribed_apps",
	}
	for endpoint, path := range paths {
		status, _ := b.graph(t, http.MethodGet, path, "")
		require.Equal(t, http.StatusOK, status, path)
		b.fault(t, simulator.Fault{Kind: "error", Code: 2, Status: 503, Transient: true, Endpoint: endpoint})
		status, out := b.graph(t, http.MethodGet, path, "")
		require.Equal(t, http.StatusServiceUnavailable, status, path)
		requireError(t, out, 2, 0)
	}
	_, out := b.graph(t, http.MethodGet, "/v26.0/"+m.MID, "")
	requireError(t, out, 2, 0)
	status, _ := b.graph(t, http.MethodPost, "/v26.0/me/messages", text("x"))
	require.Equal(t, http.StatusOK, status, "messages were not named")

	b.sim.RemoveFaults()
	b.fault(t, simulator.Fault{Kind: "rate_limit", RegainMinutes: 7, Count: 1})
	status, header, raw := b.raw(t, http.MethodPost, "/v26.0/me/messages", text("x"), "Authorization", "Bearer "+token)
	require.Equal(t, http.StatusBadRequest, status)
	require.Contains(t, string(raw), `"code":80006`)
	require.Contains(t, header.Get("X-Business-Use-Case-Usage"), `"call_count":100,`)
	require.Contains(t, header.Get("X-Business-Use-Case-Usage"), `"estimated_time_to_regain_access":7`)
	b.fault(t, simulator.Fault{Kind: "garbage", Count: 1})
	status, header, _ = b.raw(t, http.MethodPost, "/v26.0/me/messages", text("x"), "Authorization", "Bearer "+token)
	require.Equal(t, http.StatusBadGateway, status)
	require.Contains(t, header.Get("Content-Type"), "text/html")
}

// What one account loses is not the others' fault, and is told apart.
func TestLoadOverAccountsJudgesEach(t *testing.T) {
	t.Parallel()
	b := setup(t, "SIMULATOR_ACCOUNT_COUNT=3")
	tokens, lost := map[string]string{}, b.sim.Accounts()[1].ID
	for _, a := range b.sim.Accounts() {
		tokens[a.ID] = a.Token
	}
	b.mu.Lock()
	b.answer = func(it item) {
		if it.Recipient.ID != lost {
			body := `{"recipient":{"id":"` + it.Sender.ID + `"},"message":{"text":"` + strings.Replace(it.Message.Text, "load", "answer", 1) + `"}}`
			b.call(t, http.MethodPost, "/v26.0/me/messages", body, "Authorization", "Bearer "+tokens[it.Recipient.ID])
		}
	}
	b.mu.Unlock()
	o := numbered(6, 5)
	o.Accounts, o.Apart, o.Settle = 3, []string{lost}, simulator.LoadDuration(300*time.Millisecond)
	result, err := b.sim.Load(t.Context(), o, nil)
	require.NoError(t, err)
	require.False(t, result.Good)
	require.Len(t, result.Accounts, 3)
	for _, a := range result.Accounts {
		require.Equal(t, 10, a.Sent)
		require.Equal(t, a.Account != lost, a.Good)
	}
	require.Equal(t, 10, result.Apart.Missing)
	require.Equal(t, 20, result.Others.Answered)
	require.Positive(t, result.Others.P99)
	var out bytes.Buffer
	require.NoError(t, result.Write(&out))
	require.Contains(t, out.String(), "all others")

	_, v := b.call(t, http.MethodGet, "/control/verdict?by=account&account="+lost, "")
	require.EqualValues(t, 10, v["missing"])
	require.Len(t, v["accounts"], 1)
	o.Accounts = 4
	_, err = b.sim.Load(t.Context(), o, nil)
	require.ErrorContains(t, err, "SIMULATOR_ACCOUNT_COUNT")
}

func TestAccountsArePrintedForParley(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	require.Zero(t, cli.Accounts([]string{"SIMULATOR_ACCOUNT_COUNT=2", "INSTAGRAM_PAGE_ID=17841400000000009"}, &stdout, &stderr), stderr.String())
	require.Contains(t, stdout.String(), `id: "17841400000000010"`)
	require.Contains(t, stdout.String(), `token: "demo-token-1"`)
	require.Equal(t, 2, cli.Accounts([]string{"SIMULATOR_ACCOUNT_COUNT=0"}, &stdout, &stderr))
	require.Contains(t, stderr.String(), "SIMULATOR_ACCOUNT_COUNT")
}

// The page says what there is: each path of the document answers, with whatever, but not as one that is unknown.
func TestAboutTellsOfEveryEndpoint(t *testing.T) {
	t.Parallel()
	b := setup(t)
	status, header, page := b.raw(t, http.MethodGet, "/api", "")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, header.Get("Content-Security-Policy"), "default-src 'none'")
	require.Contains(t, string(page), "Not played")
	status, document := b.call(t, http.MethodGet, "/api/openapi.json", "")
	require.Equal(t, http.StatusOK, status)
	paths, ok := document["paths"].(map[string]any)
	require.True(t, ok)
	replace := strings.NewReplacer("{version}", "v26.0", "{account}", account, "{id}", "fault-1", "{customer}", "7001", "{mid}", "M", "{conversation}", "C")
	b.say(t, "7001", "hello")
	for path, methods := range paths {
		operations, ok := methods.(map[string]any)
		require.True(t, ok)
		for method := range operations {
			if path == "/control/raw" || path == "/control/reset" {
				continue
			}
			require.Contains(t, string(page), path)
			status, _, raw := b.raw(t, strings.ToUpper(method), replace.Replace(path), "", "Authorization", "Bearer "+token)
			require.NotEqual(t, http.StatusMethodNotAllowed, status, "%s %s", method, path)
			require.NotContains(t, string(raw), "404 page not found", "%s %s", method, path)
		}
	}
}
