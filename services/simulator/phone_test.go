package simulator_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/services/simulator"
)

type event struct {
	name string
	data map[string]any
}

// listen opens the page's stream of events.
func (b *bundle) listen(t *testing.T) <-chan event {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.url+"/phone/events", nil)
	require.NoError(t, err)
	client := &http.Client{Transport: &http.Transport{}}
	resp, err := client.Do(req) //nolint:bodyclose // closed by the cleanup below
	require.NoError(t, err)
	require.Equal(t, "text/event-stream", resp.Header.Get("Content-Type"))
	events := make(chan event, 1000)
	done := make(chan struct{})
	go func() {
		defer close(done)
		scanner := bufio.NewScanner(resp.Body)
		scanner.Buffer(nil, 1<<20)
		var e event
		for scanner.Scan() {
			line := scanner.Text()
			switch {
			case strings.HasPrefix(line, "event: "):
				e = event{name: line[7:]}
			case strings.HasPrefix(line, "data: "):
				if json.Unmarshal([]byte(line[6:]), &e.data) == nil {
					events <- e
				}
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		_ = resp.Body.Close()
		client.CloseIdleConnections()
	})
	return events
}

// await waits for an event that fits.
func await(t *testing.T, events <-chan event, fits func(e event) bool) event {
	t.Helper()
	timeout := time.After(10 * time.Second)
	for {
		select {
		case e := <-events:
			if fits(e) {
				return e
			}
		case <-timeout:
			require.Fail(t, "the event did not come")
			return event{}
		}
	}
}

func update(kind string) func(event) bool {
	return func(e event) bool { return e.name == "update" && e.data["type"] == kind }
}

func reply(e event) bool {
	return update("message")(e) && dig(e.data, "message", "from_customer") == any(false)
}

func TestPhoneShowsWhatHappensLive(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.answerWith(t, func(it item) []string { return []string{"You said: " + it.Message.Text} })
	events := b.listen(t)
	state := await(t, events, func(e event) bool { return e.name == "state" })
	threads := dig(state.data, "threads")
	require.Len(t, threads, 2, "a new page shows two phones")
	first := dig(threads, 0)
	require.NotEqual(t, dig(first, "name"), dig(threads, 1, "name"))

	const nasty = `<script>alert("ä")</script>`
	body, err := json.Marshal(map[string]any{"account": account, "customer": dig(first, "customer"), "text": nasty})
	require.NoError(t, err)
	status, out := b.call(t, http.MethodPost, "/phone/actions", string(body))
	require.Equal(t, http.StatusAccepted, status, "%v", out)
	typed := await(t, events, update("message"))
	require.Equal(t, nasty, dig(typed.data, "message", "text"))
	answered := await(t, events, reply)
	require.Equal(t, "You said: "+nasty, dig(answered.data, "message", "text"))
	require.Equal(t, dig(first, "customer"), answered.data["customer"])

	b.graph(t, http.MethodPost, "/v26.0/me/messages", `{"recipient":{"id":"`+str(dig(first, "customer"))+`"},"sender_action":"typing_on"}`)
	require.Equal(t, true, await(t, events, update("typing")).data["on"])
	b.graph(t, http.MethodPost, "/v26.0/me/messages", `{"recipient":{"id":"`+str(dig(first, "customer"))+`"},"sender_action":"mark_seen"}`)
	await(t, events, update("seen"))

	b.status.Store(http.StatusUnauthorized)
	b.say(t, str(dig(first, "customer")), "refused")
	refused := await(t, events, func(e event) bool {
		return update("delivery")(e) && dig(e.data, "message", "state") == "retrying"
	})
	require.EqualValues(t, http.StatusUnauthorized, dig(refused.data, "message", "status"))

	// Another page begins with all of it.
	again := await(t, b.listen(t), func(e event) bool { return e.name == "state" })
	require.Len(t, dig(again.data, "threads", 0, "messages"), 3)
}

func TestPhonesAreAddedAndPutAway(t *testing.T) {
	t.Parallel()
	b := setup(t)
	events := b.listen(t)
	status, thread := b.call(t, http.MethodPost, "/phone/customers", `{}`)
	require.Equal(t, http.StatusCreated, status)
	await(t, events, func(e event) bool { return update("customer")(e) && e.data["customer"] == thread["customer"] })
	path := "/phone/customers/" + account + "/" + str(dig(thread, "customer"))
	status, _ = b.call(t, http.MethodDelete, path, "")
	require.Equal(t, http.StatusNoContent, status)
	await(t, events, update("closed"))
	status, out := b.call(t, http.MethodDelete, path, "")
	require.Equal(t, http.StatusNotFound, status)
	require.NotEmpty(t, out["request_id"])
}

func TestPageIsStrict(t *testing.T) {
	t.Parallel()
	b := setup(t, "SIMULATOR_SHOP=<b>Shop</b>")
	status, header, page := b.raw(t, http.MethodGet, "/", "")
	require.Equal(t, http.StatusOK, status)
	policy := header.Get("Content-Security-Policy")
	require.Contains(t, policy, "default-src 'none'")
	require.NotContains(t, policy, "unsafe")
	require.NotRegexp(t, `(?i)<script(?:[^>]*[^/])?>[^<]|\son\w+=|style="|<style`, string(page))
	for _, asset := range regexp.MustCompile(`/assets/[^"]+`).FindAllString(string(page), -1) {
		status, header, body := b.raw(t, http.MethodGet, asset, "")
		require.Equal(t, http.StatusOK, status, asset)
		require.NotEmpty(t, body)
		require.Contains(t, header.Get("Cache-Control"), "immutable")
		require.Equal(t, "nosniff", header.Get("X-Content-Type-Options"))
	}
}

func TestOtherOriginsChangeNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	status, _, _ := b.raw(t, http.MethodPost, "/control/reset", "", "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site")
	require.Equal(t, http.StatusForbidden, status)
	status, out := b.call(t, http.MethodPost, "/phone/actions", `{}`, "Content-Type", "text/plain")
	require.Equal(t, http.StatusUnsupportedMediaType, status)
	require.Equal(t, "unsupported_media_type", out["error"])
}

func TestEveryKindOfActionBecomesItsItem(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.say(t, "7001", "mine")
	mine := b.next(t).item.Message.MID
	_, sent := b.graph(t, http.MethodPost, "/v26.0/me/messages", text("theirs"))
	theirs := str(dig(sent, "message_id"))
	b.next(t)
	for kind, tt := range map[string]struct {
		action simulator.Action
		want   string
	}{
		"image":         {simulator.Action{}, `"attachments":[{"type":"image","payload":{"url":"https:\/\/`},
		"audio":         {simulator.Action{URL: "https://example.com/a"}, `"attachments":[{"payload":{"url":"https:\/\/example.com\/a"},"type":"audio"}]`},
		"story_mention": {simulator.Action{}, `"type":"story_mention"`},
		"story_reply":   {simulator.Action{Text: "nice"}, `"text":"nice","reply_to":{"story":{"id":`},
		"like_heart":    {simulator.Action{}, `"attachments":[{"type":"like_heart"}]`},
		"unsupported":   {simulator.Action{}, `"is_unsupported":true`},
		"quick_reply":   {simulator.Action{Text: "Yes", Payload: "Y"}, `"text":"Yes","quick_reply":{"payload":"Y"}`},
		"postback":      {simulator.Action{Text: "Buy", Payload: "B"}, `"title":"Buy","payload":"B"}`},
		"react":         {simulator.Action{Target: theirs}, `"action":"react","reaction":"love","emoji":"\u2764\ufe0f"}`},
		"unreact":       {simulator.Action{Target: theirs}, `"reaction":{"mid":"` + theirs + `","action":"unreact"}`},
		"seen":          {simulator.Action{Target: theirs}, `"read":{"mid":"` + theirs + `"}`},
		"edit":          {simulator.Action{Target: mine, Text: "new"}, `"message_edit":{"mid":"` + mine + `","text":"new","num_edit":`},
		"unsend":        {simulator.Action{Target: mine}, `"message":{"mid":"` + mine + `","is_deleted":true}`},
	} {
		a := tt.action
		a.Kind, a.Customer = simulator.Kind(kind), "7001"
		_, err := b.sim.Say(a)
		require.NoError(t, err, kind)
		body := string(b.next(t).body)
		// The order of an object's fields means nothing.
		want := strings.Replace(tt.want, `{"type":"image","payload":{"url":"https:\/\/`, `{"payload":{"url":"https:\/\/`, 1)
		require.Contains(t, body, want, kind)
	}
	for name, a := range map[string]simulator.Action{
		"unknown kind":           {Kind: "dance"},
		"empty text":             {},
		"another's message":      {Kind: "unsend", Target: theirs},
		"an unknown message":     {Kind: "seen", Target: "M"},
		"a tap without payload":  {Kind: "postback", Text: "x"},
		"a reaction to nothing":  {Kind: "react"},
		"an edit without a text": {Kind: "edit", Target: mine},
	} {
		a.Customer = "7001"
		_, err := b.sim.Say(a)
		require.Error(t, err, name)
	}
	_, err := b.sim.Say(simulator.Action{Key: simulator.Key{Customer: "bob"}, Text: "x"})
	require.ErrorContains(t, err, "customer")
}
