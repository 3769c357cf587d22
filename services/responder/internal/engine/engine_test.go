package engine_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/parley-dm/parley/pkg/alert"
	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/rules"
	"github.com/parley-dm/parley/pkg/rules/template"
	"github.com/parley-dm/parley/services/responder/internal/engine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func turn(t *testing.T, text string) *engine.Turn {
	t.Helper()
	set, problems := rules.Compile([]rules.Rule{{ID: "1", Name: "prices", MatchType: rules.MatchContains, Keywords: []string{"price"}, Response: "It is 5 €."}})
	require.Empty(t, problems)
	return &engine.Turn{
		Event: &dm.Event{
			ID: "ev_1", Conversation: dm.Conversation{Channel: dm.ChannelInstagram, Account: "17841400000000001", Customer: "7001"}, Kind: dm.KindMessage, MID: "m_1",
			Text: text, MessageType: "text", KnownAccount: true, Time: noon, ReceivedAt: noon, Source: dm.SourceWebhook, Raw: json.RawMessage(`{"secret":1}`),
		},
		At: noon, Now: noon.Add(time.Second), Rules: set, First: true, Labels: []string{"vip"}, Language: func() string { return "en" },
		Account: template.Account{Name: "Shop"}, Customer: template.Customer{Name: "Ada"},
		History: func(context.Context) ([]engine.Said, error) {
			return []engine.Said{{From: engine.FromCustomer, At: noon.Add(-time.Minute), MID: "m_0", Type: "text", Text: "Hello"}, {From: engine.FromBusiness, At: noon.Add(-30 * time.Second), MID: "m_00", Type: "text", Text: "Hi!"}}, nil
		},
	}
}

// odd is an engine that does what a test wants.
type odd func(ctx context.Context) (engine.Verdict, error)

func (odd) Name() string { return "odd" }

func (o odd) Decide(ctx context.Context, _ *engine.Turn) (engine.Verdict, error) { return o(ctx) }

func says(text string) engine.Verdict {
	return engine.Verdict{Decision: &engine.Decision{Origin: dm.OriginEngine, Reason: "engine", Parts: []dm.Part{{Kind: dm.PartText, Text: text}}}}
}

func chain(t *testing.T, links ...engine.Link) *engine.Chain {
	t.Helper()
	c, err := engine.NewChain(slog.New(slog.DiscardHandler), prometheus.NewRegistry(), nil, links...)
	require.NoError(t, err)
	return c
}

// Whatever an engine does, the customer gets an answer that makes sense, in time, and the trace says what happened.
func TestWhoeverFailsIsPassedOver(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	for name, c := range map[string]struct {
		engine  odd
		outcome string
		text    string
	}{
		"decides":        {func(context.Context) (engine.Verdict, error) { return says("Hi."), nil }, "decided", "Hi."},
		"passes":         {func(context.Context) (engine.Verdict, error) { return engine.Verdict{}, nil }, "passed", "Thanks!"},
		"fails":          {func(context.Context) (engine.Verdict, error) { return says("Hi."), errors.New("broken") }, "failed", "Thanks!"},
		"panics":         {func(context.Context) (engine.Verdict, error) { panic("secret words") }, "failed", "Thanks!"},
		"obeys its time": {func(ctx context.Context) (engine.Verdict, error) { <-ctx.Done(); return engine.Verdict{}, ctx.Err() }, "timeout", "Thanks!"},
		"hangs":          {func(context.Context) (engine.Verdict, error) { <-release; return says("too late"), nil }, "timeout", "Thanks!"},
		"says nothing": {func(context.Context) (engine.Verdict, error) {
			return engine.Verdict{Decision: &engine.Decision{}}, nil
		}, "failed", "Thanks!"},
		"says a blank": {func(context.Context) (engine.Verdict, error) { return says(" \n"), nil }, "failed", "Thanks!"},
		"says a book":  {func(context.Context) (engine.Verdict, error) { return says(strings.Repeat("word ", 3000)), nil }, "failed", "Thanks!"},
		"another's message": {func(context.Context) (engine.Verdict, error) {
			return engine.Verdict{Decision: &engine.Decision{Parts: []dm.Part{{Kind: dm.PartReaction, MID: "m_9", Reaction: "love"}}}}, nil
		}, "failed", "Thanks!"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			links := chain(t, engine.Link{Engine: engine.Rules{}}, engine.Link{Engine: c.engine, Timeout: time.Second}, engine.Link{Engine: &engine.Fallback{Text: "Thanks!"}})
			var trace dm.Trace
			d, ok := links.Decide(t.Context(), turn(t, "hello"), &trace)
			require.True(t, ok)
			require.Equal(t, c.text, d.Parts[0].Text)
			require.Equal(t, []string{"passed", c.outcome}, []string{trace.Engines[0].Outcome, trace.Engines[1].Outcome})
			b, err := json.Marshal(trace)
			require.NoError(t, err)
			require.NotContains(t, string(b), "secret words")

			trace = dm.Trace{}
			d, ok = links.Decide(t.Context(), turn(t, "price?"), &trace)
			require.True(t, ok)
			require.Equal(t, "It is 5 €.", d.Parts[0].Text, "the rules come first here")
		})
	}
}

func TestARuleThatCannotBeSaidIsPassedOver(t *testing.T) {
	t.Parallel()
	set, problems := rules.Compile([]rules.Rule{{ID: "1", Name: "echo", MatchType: rules.MatchContains, Keywords: []string{"hello"}, Response: `{{customer.username}}`}})
	require.Empty(t, problems)
	one := turn(t, "hello")
	one.Rules = set
	var trace dm.Trace
	d, ok := chain(t, engine.Link{Engine: engine.Rules{}}, engine.Link{Engine: &engine.Fallback{Text: "Thanks!"}}).Decide(t.Context(), one, &trace)
	require.True(t, ok)
	require.Equal(t, "Thanks!", d.Parts[0].Text)
	require.Equal(t, "failed", trace.Engines[0].Outcome)
}

func TestFallback(t *testing.T) {
	t.Parallel()
	f := &engine.Fallback{Text: "Thanks!", ByLanguage: map[string]string{"de": "Danke!", "fr": ""}}
	one := turn(t, "hello")
	for language, want := range map[string]string{"de": "Danke!", "es": "Thanks!", "": "Thanks!", "fr": ""} {
		one.Language = func() string { return language }
		v, err := f.Decide(t.Context(), one)
		require.NoError(t, err)
		require.Equal(t, want == "", v.Decision.Silent)
		if want != "" {
			require.Equal(t, want, v.Decision.Parts[0].Text)
		}
	}
}

// server answers as a test wants, and can be asked for what came.
func server(t *testing.T, timeout time.Duration, h http.HandlerFunc) *engine.HTTP {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return client(t, s.URL, timeout)
}

func client(t *testing.T, url string, timeout time.Duration) *engine.HTTP {
	t.Helper()
	e := engine.NewHTTP(engine.HTTPOptions{URL: config.Secret(url), Secret: "s3cret", Timeout: timeout, Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(e.Close)
	return e
}

func golden(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	require.NoError(t, err)
	return b
}

// TestWire holds the JSON still that engines are written for.
func TestWire(t *testing.T) {
	t.Parallel()
	e := server(t, time.Second, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		mac := hmac.New(sha256.New, []byte("s3cret"))
		_, _ = mac.Write(body)
		var pretty bytes.Buffer
		switch {
		case err != nil || json.Indent(&pretty, body, "", "  ") != nil:
			http.Error(w, "unreadable", http.StatusBadRequest)
		case r.Header.Get(alert.Signature) != "sha256="+hex.EncodeToString(mac.Sum(nil)) || r.Header.Get("Content-Type") != "application/json":
			http.Error(w, "not signed", http.StatusUnauthorized)
		case strings.TrimSpace(pretty.String()) != strings.TrimSpace(string(golden(t, "request.json"))):
			t.Errorf("got\n%s", pretty.String())
			http.Error(w, "another request", http.StatusTeapot)
		default:
			_, _ = w.Write(golden(t, "response.json"))
		}
	})
	v, err := e.Decide(t.Context(), turn(t, "What does the blue one cost?"))
	require.NoError(t, err)
	require.Equal(t, &engine.Decision{
		Origin: dm.OriginEngine, Reason: "engine", Like: true, HandOff: true, Labels: []string{"price"},
		Parts: []dm.Part{{Kind: dm.PartText, Text: "29 €. Shall I reserve it?", QuickReplies: []dm.QuickReply{{Title: "Yes", Payload: "RESERVE"}}}, {Kind: dm.PartImage, Media: []dm.Media{{URL: "https://example.com/blue.jpg"}}}},
	}, v.Decision)
	require.Equal(t, "asks for a price", v.Detail)
	var trace dm.Trace
	v.Explain(&trace)
	require.Equal(t, dm.Trace{Intent: "price", Sentiment: "neutral"}, trace)
}

func TestAnswersOfAnEngine(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status int
		body   string
		silent bool
		pass   bool
		text   string
		failed string
	}{
		"a text":                {200, `{"version":1,"action":"reply","reply":"Hi."}`, false, false, "Hi.", ""},
		"silence":               {200, `{"version":1,"action":"silent","labels":["spam"]}`, true, false, "", ""},
		"a pass":                {200, `{"version":1,"action":"pass","reason":"no idea"}`, false, true, "", ""},
		"no content":            {204, ``, false, true, "", ""},
		"an error":              {500, `oh`, false, false, "", "answered 500"},
		"a redirect":            {302, ``, false, false, "", "answered 302"},
		"nothing":               {200, ``, false, false, "", "ends too early"},
		"HTML":                  {200, `<html>secret words</html>`, false, false, "", "not JSON at byte 1"},
		"cut off":               {200, `{"version":1,"action":`, false, false, "", "ends too early"},
		"two answers":           {200, `{"version":1,"action":"pass"}{}`, false, false, "", "one JSON object"},
		"an unknown member":     {200, `{"version":1,"action":"pass","secret words":1}`, false, false, "", "not known"},
		"a wrong type":          {200, `{"version":1,"action":"reply","reply":7}`, false, false, "", "reply: expected string"},
		"another version":       {200, `{"version":2,"action":"pass"}`, false, false, "", "version"},
		"no action":             {200, `{"version":1}`, false, false, "", "action"},
		"nothing to say":        {200, `{"version":1,"action":"reply"}`, false, false, "", "parts"},
		"both":                  {200, `{"version":1,"action":"reply","reply":"a","parts":[{"kind":"text","text":"b"}]}`, false, false, "", "reply"},
		"silence with words":    {200, `{"version":1,"action":"silent","reply":"secret words"}`, false, false, "", "parts"},
		"an unknown part":       {200, `{"version":1,"action":"reply","parts":[{"kind":"hologram"}]}`, false, false, "", "parts[0]: kind"},
		"a part without medium": {200, `{"version":1,"action":"reply","parts":[{"kind":"image"}]}`, false, false, "", "parts[0]: media"},
		"a human's tag":         {200, `{"version":1,"action":"reply","parts":[{"kind":"text","text":"a","human_agent":true}]}`, false, false, "", "human_agent"},
		"a comment's reply":     {200, `{"version":1,"action":"reply","parts":[{"kind":"text","text":"a","comment_id":"c"}]}`, false, false, "", "comment_id"},
		"eleven parts":          {200, `{"version":1,"action":"reply","parts":[` + strings.Repeat(`{"kind":"text","text":"a"},`, 10) + `{"kind":"text","text":"a"}]}`, false, false, "", "parts: got 11"},
		"an empty label":        {200, `{"version":1,"action":"silent","labels":[" "]}`, false, false, "", "labels[0]"},
		"more than it may":      {200, `{"version":1,"action":"reply","reply":"` + strings.Repeat("a", 64<<10) + `"}`, false, false, "", "more than 65536 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := server(t, time.Second, func(w http.ResponseWriter, _ *http.Request) {
				if c.status == http.StatusFound {
					w.Header().Set("Location", "http://192.0.2.1/")
				}
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body)
			})
			v, err := e.Decide(t.Context(), turn(t, "hello"))
			if c.failed != "" {
				require.ErrorContains(t, err, c.failed)
				require.NotContains(t, err.Error(), "secret words")
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.pass, v.Decision == nil)
			if c.pass {
				return
			}
			require.Equal(t, c.silent, v.Decision.Silent)
			if c.text != "" {
				require.Equal(t, c.text, v.Decision.Parts[0].Text)
			}
		})
	}
}

// An engine that hangs costs a few messages its time and not each; back again, it is asked again.
func TestAnEngineThatHangsIsLeftAloneForAWhile(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	e := server(t, 20*time.Millisecond, func(_ http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		_, _ = io.Copy(io.Discard, r.Body) // the server sees the client leave only when it has read all
		<-r.Context().Done()
	})
	links := chain(t, engine.Link{Engine: e, Timeout: 20 * time.Millisecond}, engine.Link{Engine: engine.Rules{}}, engine.Link{Engine: &engine.Fallback{Text: "Thanks!"}})
	for range 50 {
		var trace dm.Trace
		d, ok := links.Decide(t.Context(), turn(t, "price?"), &trace)
		require.True(t, ok)
		require.Equal(t, "It is 5 €.", d.Parts[0].Text)
		require.NotEqual(t, "decided", trace.Engines[0].Outcome)
	}
	require.Less(t, asked.Load(), int32(10))
}

func TestAnEngineThatIsGone(t *testing.T) {
	t.Parallel()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := l.Addr().String()
	require.NoError(t, l.Close())
	_, err = client(t, "http://"+address+"/?token=hidden", time.Second).Decide(t.Context(), turn(t, "hello"))
	require.Error(t, err)
	require.NotContains(t, err.Error(), "hidden")
}

func TestWithoutItsHistoryAnEngineIsAskedAllTheSame(t *testing.T) {
	t.Parallel()
	e := server(t, time.Second, func(w http.ResponseWriter, r *http.Request) {
		var got engine.Request
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil || got.History == nil || len(got.History) != 0 {
			http.Error(w, "no list", http.StatusBadRequest)
			return
		}
		_, _ = io.WriteString(w, `{"version":1,"action":"pass"}`)
	})
	one := turn(t, "hello")
	one.History = func(context.Context) ([]engine.Said, error) { return nil, errors.New("away") }
	_, err := e.Decide(t.Context(), one)
	require.NoError(t, err)
}
