package graph_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/meta/graph"
)

const token = "EAAB-secret-token"

func newClient(t *testing.T, o graph.Options) *graph.Client {
	t.Helper()
	if o.Version == "" {
		o.Version = "v26.0"
	}
	c := graph.New(o)
	t.Cleanup(c.Close)
	return c
}

func send(t *testing.T, base string) (graph.SendResult, error) {
	t.Helper()
	return newClient(t, graph.Options{}).Send(t.Context(), graph.Credentials{BaseURL: base, Token: token}, "7001", dm.Part{Kind: dm.PartText, Text: "hi"})
}

func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL
}

func graphError(t *testing.T, err error) *graph.Error {
	t.Helper()
	var e *graph.Error
	require.ErrorAs(t, err, &e)
	return e
}

func TestSend(t *testing.T) {
	t.Parallel()
	var method, path, proof, auth, contentType, raw string
	var body map[string]any
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		method, path, proof = r.Method, r.URL.Path, r.URL.Query().Get("appsecret_proof")
		auth, contentType, raw = r.Header.Get("Authorization"), r.Header.Get("Content-Type"), r.URL.String()
		data, _ := io.ReadAll(r.Body)
		raw += string(data)
		_ = json.Unmarshal(data, &body)
		w.Header().Set("X-App-Usage", `{"call_count":28,"total_time":25,"total_cputime":25}`)
		w.Header().Set("X-Business-Use-Case-Usage", `{"17":[{"type":"messenger","call_count":85,"total_cputime":20,"total_time":20,"estimated_time_to_regain_access":0}]}`)
		_, _ = io.WriteString(w, `{"recipient_id":17841400000000001,"message_id":"aWd\u0066M"}`)
	})
	cred := graph.Credentials{BaseURL: base, Token: "token", AppSecret: "secret"}

	result, err := newClient(t, graph.Options{}).Send(t.Context(), cred, "7001", dm.Part{Kind: dm.PartText, Text: "<ü & 🙂>"})

	require.NoError(t, err)
	require.Equal(t, graph.SendResult{RecipientID: "17841400000000001", MessageID: "aWdfM", Usage: graph.Usage{App: 28, Business: 85}}, result)
	require.Equal(t, []string{"POST", "/v26.0/me/messages", "Bearer token", "application/json"}, []string{method, path, auth, contentType})
	require.Equal(t, map[string]any{
		"recipient": map[string]any{"id": "7001"}, "messaging_type": "RESPONSE", "message": map[string]any{"text": "<ü & 🙂>"},
	}, body)
	require.NotContains(t, raw, "token", "a token in the URL ends up in logs")
	// printf token | openssl dgst -sha256 -hmac secret
	require.Equal(t, "e941110e3d2bfe82621f0e3e1434730d7305d106c5f68c87165d0b27a4611a4a", proof)
}

func TestSendWithoutSecretOrVersion(t *testing.T) {
	t.Parallel()
	var address string
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		address = r.URL.String()
		_, _ = io.WriteString(w, `{"recipient_id":"7001","message_id":"m"}`)
	})
	c := graph.New(graph.Options{})
	defer c.Close()
	_, err := c.Send(t.Context(), graph.Credentials{BaseURL: base, Token: token}, "7001", dm.Part{Kind: dm.PartText, Text: "hi"})
	require.NoError(t, err)
	require.Equal(t, "/me/messages", address)
}

func TestSendRefusesWhatItCannotSend(t *testing.T) {
	t.Parallel()
	c := newClient(t, graph.Options{})
	_, err := c.Send(t.Context(), graph.Credentials{BaseURL: "http://127.0.0.1:1"}, "7001", dm.Part{Kind: "hologram"})
	require.ErrorIs(t, err, graph.ErrUnsupportedPart)
	require.Equal(t, graph.ClassPermanent, graph.ClassOf(err))
	for _, bad := range []string{"", "not a url", "http://[::1"} {
		_, err = c.Send(t.Context(), graph.Credentials{BaseURL: bad}, "7001", dm.Part{Kind: dm.PartText, Text: "hi"})
		require.Error(t, err, bad)
	}
}

func TestConnectionsAreKeptAlive(t *testing.T) {
	t.Parallel()
	var opened atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"recipient_id":"7001","message_id":"m"}`)
	}))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	c := newClient(t, graph.Options{})
	for range 50 {
		_, err := c.Send(t.Context(), graph.Credentials{BaseURL: server.URL, Token: token}, "7001", dm.Part{Kind: dm.PartText, Text: "hi"})
		require.NoError(t, err)
	}
	require.EqualValues(t, 1, opened.Load())
}

func TestNobodyListening(t *testing.T) {
	t.Parallel()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	base := "http://" + l.Addr().String()
	require.NoError(t, l.Close())

	_, err = send(t, base)

	e := graphError(t, err)
	require.Equal(t, graph.ClassTransient, e.Class)
	require.True(t, e.Unreachable)
	require.True(t, e.Class.NotSent())
	require.Contains(t, e.Error(), "cannot be reached")
}

// onConnection plays a server that does with each connection what f does, byte by byte.
func onConnection(t *testing.T, f func(net.Conn)) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			f(conn)
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return "http://" + l.Addr().String()
}

func readRequest(conn net.Conn) {
	r, err := http.ReadRequest(bufio.NewReader(conn))
	if err == nil {
		_, _ = io.Copy(io.Discard, r.Body)
	}
}

func TestLostAfterTheRequestWasWritten(t *testing.T) {
	t.Parallel()
	answers := map[string]string{
		"no answer":         "",
		"half a status":     "HTTP/1.1 20",
		"half a body":       "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"recip",
		"half of an error":  "HTTP/1.1 500 Internal\r\nContent-Length: 100\r\n\r\n{\"err",
		"success, no mid":   "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
		"success, not JSON": "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n<ok>",
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			base := onConnection(t, func(conn net.Conn) {
				readRequest(conn)
				_, _ = io.WriteString(conn, answer)
			})
			_, err := send(t, base)
			e := graphError(t, err)
			require.Equal(t, graph.ClassUnknown, e.Class, "%v", e)
			require.False(t, e.Class.NotSent())
		})
	}
}

func TestTimeoutAfterTheRequestWasWritten(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	base := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-release
	})
	defer close(release)
	c := newClient(t, graph.Options{Timeout: 2 * time.Second})

	_, err := c.Send(t.Context(), graph.Credentials{BaseURL: base, Token: token}, "7001", dm.Part{Kind: dm.PartText, Text: "hi"})

	e := graphError(t, err)
	require.Equal(t, graph.ClassUnknown, e.Class)
	require.NotContains(t, e.Error(), base)
	require.NotContains(t, e.Error(), token)
}

func TestFailureBeforeAnythingWasWritten(t *testing.T) {
	t.Parallel()
	t.Run("the handshake fails", func(t *testing.T) {
		t.Parallel()
		base := onConnection(t, func(net.Conn) {})
		_, err := send(t, "https"+strings.TrimPrefix(base, "http"))
		require.Equal(t, graph.ClassTransient, graph.ClassOf(err))
	})
	t.Run("the context had ended", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := newClient(t, graph.Options{}).Send(ctx, graph.Credentials{BaseURL: "http://127.0.0.1:1", Token: token}, "7001", dm.Part{Kind: dm.PartText, Text: "hi"})
		require.Equal(t, graph.ClassTransient, graph.ClassOf(err))
		require.ErrorIs(t, err, context.Canceled)
	})
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	var reached atomic.Bool
	other := serve(t, func(http.ResponseWriter, *http.Request) { reached.Store(true) })
	base := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other, http.StatusTemporaryRedirect) })
	_, err := send(t, base)
	require.Equal(t, 307, graphError(t, err).Status)
	require.False(t, reached.Load(), "a token must not travel to another host")
}

func TestAnswersAreBounded(t *testing.T) {
	t.Parallel()
	base := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat(" ", 2<<20)+`{"message_id":"m"}`)
	})
	_, err := send(t, base)
	require.Equal(t, graph.ClassUnknown, graph.ClassOf(err))
}

func TestRateLimitHeaders(t *testing.T) {
	t.Parallel()
	body := `{"error":{"message":"slow","type":"OAuthException","code":80002,"fbtrace_id":"T"}}`
	cases := map[string]struct {
		header, value string
		want          time.Duration
	}{
		"seconds":         {"Retry-After", "7", 7 * time.Second},
		"a date":          {"Retry-After", time.Now().Add(90 * time.Second).UTC().Format(http.TimeFormat), 90 * time.Second},
		"a past date":     {"Retry-After", "Mon, 02 Jan 2006 15:04:05 GMT", 5 * time.Minute},
		"nonsense":        {"Retry-After", "soon", 5 * time.Minute},
		"Meta's minutes":  {"X-Business-Use-Case-Usage", `{"17":[{"type":"messenger","call_count":100,"estimated_time_to_regain_access":19}]}`, 19 * time.Minute},
		"broken minutes":  {"X-Business-Use-Case-Usage", `{"17":`, 5 * time.Minute},
		"endless minutes": {"X-Business-Use-Case-Usage", `{"17":[{"estimated_time_to_regain_access":1e300}]}`, 24 * time.Hour},
		"no header":       {"X-Other", "x", 5 * time.Minute},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			base := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set(c.header, c.value)
				w.WriteHeader(http.StatusForbidden)
				_, _ = io.WriteString(w, body)
			})
			_, err := send(t, base)
			e := graphError(t, err)
			require.Equal(t, graph.ClassRateLimited, e.Class)
			require.InDelta(t, c.want.Seconds(), e.Wait().Seconds(), 3)
		})
	}
}

func TestErrorsOfOddShapes(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]graph.Class{
		`{"error":{"code":"190","error_subcode":"463","message":"dead"}}`:                                                       graph.ClassTokenDead,
		`{"error":{"code":[],"message":"odd","is_transient":true}}`:                                                             graph.ClassTransient,
		`{"error":{"code":100,"type":"GraphMethodException","message":"Invalid appsecret_proof provided in the API argument"}}`: graph.ClassAccountBlocked,
		`{"error":"words"}`: graph.ClassPermanent,
		`<html>`:            graph.ClassPermanent,
		``:                  graph.ClassPermanent,
	} {
		base := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, body)
		})
		_, err := send(t, base)
		require.Equal(t, want, graph.ClassOf(err), body)
	}
}

func BenchmarkSend(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, `{"recipient_id":"7001","message_id":"m"}`)
	}))
	defer server.Close()
	c := graph.New(graph.Options{Version: "v26.0"})
	defer c.Close()
	cred := graph.Credentials{BaseURL: server.URL, Token: token, AppSecret: "secret"}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := c.Send(context.Background(), cred, "7001", dm.Part{Kind: dm.PartText, Text: "hi"}); err != nil {
				b.Error(err)
			}
		}
	})
}
