package simulator_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/services/simulator"
	"github.com/parley-dm/parley/services/simulator/internal/webhooks"
)

func contextOf(t *testing.T) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithCancel(t.Context())
}

// text makes a body that sends a text.
func text(s string) string {
	b, err := json.Marshal(map[string]any{"recipient": map[string]string{"id": "7001"}, "message": map[string]string{"text": s}})
	if err != nil {
		panic(err)
	}
	return string(b)
}

func to7001(rest string) string { return `{"recipient":{"id":"7001"},` + rest + `}` }

func message(m string) string { return to7001(`"message":` + m) }

// Every refusal of the Send API that depends on the call alone: one case each.
func TestSendIsValidatedAsMetaDoes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	buttons := func(n int) string {
		return "[" + strings.TrimSuffix(strings.Repeat(`{"type":"postback","title":"A","payload":"P"},`, n), ",") + "]"
	}
	generic := func(elements string) string {
		return message(`{"attachment":{"type":"template","payload":{"template_type":"generic","elements":` + elements + `}}}`)
	}
	quick := func(n int, title string) string {
		one := fmt.Sprintf(`{"content_type":"text","title":%q,"payload":"P"},`, title)
		return message(`{"text":"choose","quick_replies":[` + strings.TrimSuffix(strings.Repeat(one, n), ",") + `]}`)
	}
	for name, tt := range map[string]struct {
		body          string
		code, subcode int
	}{
		"text":                            {text("hello"), 0, 0},
		"exactly 1000 bytes":              {text(strings.Repeat("ä", 500)), 0, 0},
		"1001 bytes":                      {text(strings.Repeat("ä", 500) + "x"), 100, 0},
		"1000 characters, 2000 bytes":     {text(strings.Repeat("ä", 1000)), 100, 0},
		"empty text":                      {text(""), 100, 0},
		"not JSON":                        {`{"recipient"`, 100, 0},
		"an array":                        {`[]`, 100, 0},
		"invalid UTF-8":                   {"{\"recipient\":{\"id\":\"7001\"},\"message\":{\"text\":\"\xff\"}}", 100, 0},
		"no recipient":                    {`{"message":{"text":"x"}}`, 100, 0},
		"recipient null":                  {`{"recipient":null,"message":{"text":"x"}}`, 100, 0},
		"recipient without id":            {`{"recipient":{},"message":{"text":"x"}}`, 100, 0},
		"recipient id a number":           {`{"recipient":{"id":7001},"message":{"text":"x"}}`, 100, 0},
		"recipient id not digits":         {`{"recipient":{"id":"bob"},"message":{"text":"x"}}`, 100, 0},
		"recipient with an unknown key":   {`{"recipient":{"id":"7001","name":"x"},"message":{"text":"x"}}`, 100, 0},
		"unknown comment":                 {`{"recipient":{"comment_id":"99"},"message":{"text":"x"}}`, 100, 2534025},
		"neither message nor action":      {`{"recipient":{"id":"7001"}}`, 100, 0},
		"both message and action":         {to7001(`"message":{"text":"x"},"sender_action":"typing_on"`), 100, 0},
		"message empty":                   {message(`{}`), 100, 0},
		"message a string":                {message(`"hello"`), 100, 0},
		"message with an unknown key":     {message(`{"text":"x","colour":"red"}`), 100, 0},
		"text a number":                   {message(`{"text":5}`), 100, 0},
		"text and attachment":             {message(`{"text":"x","attachment":{"type":"like_heart"}}`), 100, 0},
		"unknown top-level key":           {to7001(`"message":{"text":"x"},"colour":"red"`), 0, 0},
		"messaging type":                  {to7001(`"messaging_type":"RESPONSE","message":{"text":"x"}`), 0, 0},
		"wrong messaging type":            {to7001(`"messaging_type":"SHOUT","message":{"text":"x"}`), 100, 0},
		"tag without its type":            {to7001(`"tag":"HUMAN_AGENT","message":{"text":"x"}`), 100, 0},
		"type without its tag":            {to7001(`"messaging_type":"MESSAGE_TAG","message":{"text":"x"}`), 100, 0},
		"a tag of Messenger":              {to7001(`"messaging_type":"MESSAGE_TAG","tag":"ACCOUNT_UPDATE","message":{"text":"x"}`), 100, 0},
		"human agent":                     {to7001(`"messaging_type":"MESSAGE_TAG","tag":"HUMAN_AGENT","message":{"text":"x"}`), 0, 0},
		"reply to":                        {to7001(`"reply_to":{"mid":"M"},"message":{"text":"x"}`), 0, 0},
		"reply to nothing":                {to7001(`"reply_to":{},"message":{"text":"x"}`), 100, 0},
		"typing":                          {to7001(`"sender_action":"typing_on"`), 0, 0},
		"seen":                            {to7001(`"sender_action":"mark_seen"`), 0, 0},
		"unknown action":                  {to7001(`"sender_action":"dance"`), 100, 0},
		"react to an unknown message":     {to7001(`"sender_action":"react","payload":{"message_id":"M","reaction":"love"}`), 100, 0},
		"react without payload":           {to7001(`"sender_action":"react"`), 100, 0},
		"image":                           {message(`{"attachment":{"type":"image","payload":{"url":"https://example.com/a.jpg"}}}`), 0, 0},
		"image by attachment id":          {message(`{"attachment":{"type":"image","payload":{"attachment_id":"77"}}}`), 0, 0},
		"image without a URL":             {message(`{"attachment":{"type":"image","payload":{}}}`), 100, 2534015},
		"image of a wrong scheme":         {message(`{"attachment":{"type":"image","payload":{"url":"file:///etc/passwd"}}}`), 100, 2534015},
		"unknown attachment":              {message(`{"attachment":{"type":"hologram","payload":{"url":"https://example.com"}}}`), 100, 0},
		"heart":                           {message(`{"attachment":{"type":"like_heart"}}`), 0, 0},
		"post":                            {message(`{"attachment":{"type":"MEDIA_SHARE","payload":{"id":"18"}}}`), 0, 0},
		"post without id":                 {message(`{"attachment":{"type":"MEDIA_SHARE","payload":{}}}`), 100, 2534015},
		"10 images":                       {message(`{"attachments":[` + strings.TrimSuffix(strings.Repeat(`{"type":"image","payload":{"url":"https://example.com/a.jpg"}},`, 10), ",") + `]}`), 0, 0},
		"11 images":                       {message(`{"attachments":[` + strings.TrimSuffix(strings.Repeat(`{"type":"image","payload":{"url":"https://example.com/a.jpg"}},`, 11), ",") + `]}`), 100, 0},
		"a video among images":            {message(`{"attachments":[{"type":"video","payload":{"url":"https://example.com/a.mp4"}}]}`), 100, 2534015},
		"13 quick replies":                {quick(13, "A"), 0, 0},
		"14 quick replies":                {quick(14, "A"), 100, 0},
		"quick reply's title is cut":      {quick(1, strings.Repeat("x", 21)), 0, 0},
		"quick replies without a text":    {message(`{"attachment":{"type":"like_heart"},"quick_replies":[{"content_type":"text","title":"A","payload":"P"}]}`), 100, 2534015},
		"generic template":                {generic(`[{"title":"T","subtitle":"S","buttons":` + buttons(3) + `}]`), 0, 0},
		"generic template, 4 buttons":     {generic(`[{"title":"T","buttons":` + buttons(4) + `}]`), 100, 0},
		"generic template, no elements":   {generic(`[]`), 100, 0},
		"generic template, title only":    {generic(`[{"title":"T"}]`), 100, 0},
		"generic template, 11 elements":   {generic("[" + strings.TrimSuffix(strings.Repeat(`{"title":"T","subtitle":"S"},`, 11), ",") + "]"), 100, 0},
		"button template":                 {message(`{"attachment":{"type":"template","payload":{"template_type":"button","text":"T","buttons":` + buttons(1) + `}}}`), 0, 0},
		"button template, text too long":  {message(`{"attachment":{"type":"template","payload":{"template_type":"button","text":"` + strings.Repeat("x", 641) + `","buttons":` + buttons(1) + `}}}`), 100, 0},
		"web button without a URL":        {generic(`[{"title":"T","buttons":[{"type":"web_url","title":"A"}]}]`), 100, 2534015},
		"a template of Messenger":         {message(`{"attachment":{"type":"template","payload":{"template_type":"receipt"}}}`), 100, 0},
		"unknown key deep in a template":  {generic(`[{"title":"T","subtitle":"S","colour":"red"}]`), 100, 0},
		"two JSON values in one message":  {to7001(`"message":{"text":"x"}`) + "{}", 100, 0},
		"text with NUL and lone surrogat": {message(`{"text":"a\u0000\ud800b"}`), 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			status, out := b.graph(t, http.MethodPost, "/v26.0/me/messages", tt.body)
			if tt.code == 0 {
				require.Equal(t, http.StatusOK, status, "%v", out)
				require.Equal(t, "7001", out["recipient_id"])
				return
			}
			requireError(t, out, tt.code, tt.subcode)
			require.Equal(t, http.StatusBadRequest, status)
		})
	}
}

func requireError(t *testing.T, out map[string]any, code, subcode int) {
	t.Helper()
	e, ok := out["error"].(map[string]any)
	require.True(t, ok, "%v", out)
	require.EqualValues(t, code, e["code"], "%v", e)
	if subcode == 0 {
		require.NotContains(t, e, "error_subcode")
	} else {
		require.EqualValues(t, subcode, e["error_subcode"], "%v", e)
	}
	require.NotEmpty(t, e["message"])
	require.NotEmpty(t, e["type"])
	require.Len(t, e["fbtrace_id"], 11)
}

func TestTokensAndProofs(t *testing.T) {
	t.Parallel()
	b := setup(t, "SIMULATOR_ACCOUNTS=17841400000000002:second-token:Second Shop", "FACEBOOK_APP_SECRET=demo-secret,older-secret")
	proof := strings.TrimPrefix(webhooks.Sign("older-secret", []byte(token)), "sha256=")
	for name, tt := range map[string]struct {
		path, body            string
		header                []string
		status, code, subcode int
	}{
		"bearer":                   {path: "/v26.0/me/messages", header: []string{"Authorization", "Bearer " + token}, status: 200},
		"query":                    {path: "/v26.0/me/messages?access_token=" + token, status: 200},
		"body":                     {path: "/v26.0/me/messages", body: to7001(`"message":{"text":"x"},"access_token":"` + token + `"`), status: 200},
		"no version":               {path: "/me/messages?access_token=" + token, status: 200},
		"by id":                    {path: "/v21.0/" + account + "/messages?access_token=" + token, status: 200},
		"another account by token": {path: "/v26.0/me/messages?access_token=second-token", status: 200},
		"no token for me":          {path: "/v26.0/me/messages", status: 400, code: 2500},
		"no token":                 {path: "/v26.0/" + account + "/messages", status: 400, code: 104},
		"wrong token":              {path: "/v26.0/me/messages?access_token=nope", status: 401, code: 190},
		"another's account":        {path: "/v26.0/" + account + "/messages?access_token=second-token", status: 400, code: 100, subcode: 33},
		"right proof":              {path: "/v26.0/me/messages?access_token=" + token + "&appsecret_proof=" + proof, status: 200},
		"wrong proof":              {path: "/v26.0/me/messages?access_token=" + token + "&appsecret_proof=00", status: 400, code: 100},
		"not played":               {path: "/v26.0/me/feed?access_token=" + token, status: 400, code: 100, subcode: 33},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body := tt.body
			if body == "" {
				body = text("hello")
			}
			status, out := b.call(t, http.MethodPost, tt.path, body, tt.header...)
			require.Equal(t, tt.status, status, "%v", out)
			if tt.code != 0 {
				requireError(t, out, tt.code, tt.subcode)
			}
		})
	}
	t.Run("a form", func(t *testing.T) {
		t.Parallel()
		status, out := b.call(t, http.MethodPost, "/v26.0/me/messages", "access_token="+token+`&recipient={"id":"7001"}&message={"text":"x"}`, "Content-Type", "application/x-www-form-urlencoded")
		require.Equal(t, http.StatusOK, status, "%v", out)
	})
}

func TestProofMayBeRequired(t *testing.T) {
	t.Parallel()
	b := setup(t, "GRAPH_REQUIRE_PROOF=true")
	status, out := b.graph(t, http.MethodPost, "/v26.0/me/messages", text("x"))
	require.Equal(t, http.StatusBadRequest, status)
	requireError(t, out, 100, 0)
}

func TestMessagingWindow(t *testing.T) {
	t.Parallel()
	b := setup(t)
	wrote := func(customer string, age time.Duration) {
		_, err := b.sim.Say(simulator.Action{Key: simulator.Key{Customer: customer}, Text: "hello", Age: age})
		require.NoError(t, err)
	}
	send := func(customer, tag string) (int, map[string]any) {
		return b.graph(t, http.MethodPost, "/v26.0/me/messages", `{"recipient":{"id":"`+customer+`"},`+tag+`"message":{"text":"x"}}`)
	}
	const human = `"messaging_type":"MESSAGE_TAG","tag":"HUMAN_AGENT",`
	wrote("1", 23*time.Hour)
	wrote("2", 25*time.Hour)
	wrote("3", 8*24*time.Hour)
	status, _, _ := b.raw(t, http.MethodPost, "/phone/customers", `{"customer":"4"}`) // known, never wrote
	require.Equal(t, http.StatusCreated, status)
	for _, tt := range []struct {
		customer, tag string
		open          bool
	}{{"1", "", true}, {"2", "", false}, {"2", human, true}, {"3", human, false}, {"4", "", false}, {"5", "", true}} {
		status, out := send(tt.customer, tt.tag)
		if tt.open {
			require.Equal(t, http.StatusOK, status, "customer %s: %v", tt.customer, out)
			continue
		}
		require.Equal(t, http.StatusForbidden, status, "customer %s", tt.customer)
		requireError(t, out, 10, 2534022)
	}
}

func TestStrictRecipients(t *testing.T) {
	t.Parallel()
	b := setup(t, "GRAPH_STRICT_RECIPIENTS=true", "GRAPH_WINDOW=false")
	status, out := b.graph(t, http.MethodPost, "/v26.0/me/messages", text("x"))
	require.Equal(t, http.StatusBadRequest, status)
	requireError(t, out, 100, 2534014)
	_, err := b.sim.Say(simulator.Action{Key: simulator.Key{Customer: "7001"}, Text: "hello", Age: 100 * time.Hour})
	require.NoError(t, err)
	status, _ = b.graph(t, http.MethodPost, "/v26.0/me/messages", text("x"))
	require.Equal(t, http.StatusOK, status)
}

func TestRateLimitIsOfEachAccount(t *testing.T) {
	t.Parallel()
	b := setup(t, "GRAPH_RATE=5", "SIMULATOR_ACCOUNTS=17841400000000002:second-token")
	var refused map[string]any
	require.Eventually(t, func() bool {
		status, out := b.graph(t, http.MethodPost, "/v26.0/me/messages", text("x"))
		refused = out
		return status == http.StatusBadRequest
	}, 10*time.Second, time.Millisecond)
	requireError(t, refused, 613, 2534040)
	status, _ := b.call(t, http.MethodPost, "/v26.0/me/messages?access_token=second-token", text("x"))
	require.Equal(t, http.StatusOK, status)
}

func TestUsageHeaders(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := b.sim.AddFault(simulator.Fault{Kind: "usage", Percent: 85, RegainMinutes: 3})
	require.NoError(t, err)
	_, header, _ := b.raw(t, http.MethodPost, "/v26.0/me/messages", text("x"), "Authorization", "Bearer "+token)
	require.JSONEq(t, `{"call_count":85,"total_time":85,"total_cputime":85}`, header.Get("X-App-Usage"))
	require.JSONEq(t, `{"`+account+`":[{"type":"messenger","call_count":85,"total_cputime":85,"total_time":85,"estimated_time_to_regain_access":3}]}`, header.Get("X-Business-Use-Case-Usage"))
}

func TestLookUps(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in := b.say(t, "7001", "price?")
	_, sent := b.graph(t, http.MethodPost, "/v26.0/me/messages", text("3.80 €"))
	get := func(path string) map[string]any {
		t.Helper()
		status, out := b.graph(t, http.MethodGet, path, "")
		require.Equal(t, http.StatusOK, status, "%v", out)
		return out
	}
	conversations := get("/v26.0/me/conversations?platform=instagram&user_id=7001")
	require.Len(t, conversations["data"], 1)
	id := str(dig(conversations, "data", 0, "id"))
	require.Empty(t, get("/v26.0/me/conversations?platform=instagram&user_id=7999")["data"])
	require.Len(t, get("/v26.0/me/conversations?platform=instagram")["data"], 1)

	messages := dig(get("/v26.0/"+id+"?fields=messages{id,created_time,from,to,message}"), "messages", "data")
	require.Len(t, messages, 2)
	require.Equal(t, sent["message_id"], dig(messages, 0, "id"))
	require.Equal(t, "3.80 €", dig(messages, 0, "message"))
	require.Equal(t, in.MID, dig(messages, 1, "id"))

	one := get("/v26.0/" + str(dig(sent, "message_id")) + "?fields=id,created_time,from,to,message")
	require.Equal(t, "3.80 €", one["message"])
	require.Equal(t, account, dig(one, "from", "id"))
	profile := get("/v26.0/7001?fields=name,username,profile_pic,follower_count")
	require.NotEmpty(t, profile["name"])
	require.Equal(t, account, get("/v26.0/me?fields=user_id,username")["user_id"])

	for range 20 {
		b.say(t, "7001", "another")
	}
	status, out := b.graph(t, http.MethodGet, "/v26.0/"+in.MID+"?fields=message", "")
	require.Equal(t, http.StatusBadRequest, status)
	requireError(t, out, 9000001, 0)
	for _, unknown := range []string{"/v26.0/999", "/v26.0/aWdfnonsense", "/v26.0/" + in.MID[:163] + "-"} {
		status, out := b.graph(t, http.MethodGet, unknown, "")
		require.Equal(t, http.StatusBadRequest, status)
		requireError(t, out, 100, 33)
	}
}

func TestTokenLookUps(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, out := b.graph(t, http.MethodGet, "/v26.0/debug_token?input_token="+token, "")
	require.Equal(t, true, dig(out, "data", "is_valid"))
	_, out = b.graph(t, http.MethodGet, "/refresh_access_token?grant_type=ig_refresh_token", "")
	require.Equal(t, token, out["access_token"])
	require.EqualValues(t, 5183944, out["expires_in"])
	_, out = b.graph(t, http.MethodPost, "/v26.0/me/subscribed_apps?subscribed_fields=messages,message_echoes", "")
	require.Equal(t, true, out["success"])
	_, out = b.graph(t, http.MethodGet, "/v26.0/me/subscribed_apps", "")
	require.Equal(t, []any{"messages", "message_echoes"}, dig(out, "data", 0, "subscribed_fields"))

	_, err := b.sim.AddFault(simulator.Fault{Kind: "dead_token"})
	require.NoError(t, err)
	status, out := b.graph(t, http.MethodPost, "/v26.0/me/messages", text("x"))
	require.Equal(t, http.StatusBadRequest, status)
	requireError(t, out, 190, 463)
	_, out = b.graph(t, http.MethodGet, "/v26.0/debug_token?input_token="+token, "")
	require.Equal(t, false, dig(out, "data", "is_valid"))
	b.sim.RemoveFaults()
	status, _ = b.graph(t, http.MethodPost, "/v26.0/me/messages", text("x"))
	require.Equal(t, http.StatusOK, status)
}
