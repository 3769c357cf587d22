package graph_test

import (
	"bytes"
	"io"
	"net/http"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/meta/graph"
)

// canned answers every call with one answer, without a network.
type canned struct {
	status int
	body   []byte
	usage  string
}

func (c canned) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: c.status, Body: io.NopCloser(bytes.NewReader(c.body)), ContentLength: int64(len(c.body)),
		Header: http.Header{"X-Business-Use-Case-Usage": {c.usage}, "X-App-Usage": {c.usage}, "Retry-After": {c.usage}},
	}, nil
}

// FuzzAnswer feeds the client any answer: it never panics, a failure always has a class and words that can be shown, and
// success is never made up.
func FuzzAnswer(f *testing.F) {
	f.Add(200, []byte(`{"recipient_id":"1","message_id":"m"}`), `{"call_count":28}`)
	f.Add(400, []byte(`{"error":{"message":"x","code":190,"error_subcode":463,"is_transient":false,"fbtrace_id":"T"}}`), `{"1":[{"estimated_time_to_regain_access":-1e9}]}`)
	f.Add(500, []byte(`{"error":{"message":"\ud800","code":"1","error_subcode":1357046}}`), "7")
	f.Add(502, []byte(`<html>`), "Mon, 02 Jan 2006 15:04:05 GMT")
	f.Fuzz(func(t *testing.T, status int, body []byte, usage string) {
		c := graph.New(graph.Options{Transport: canned{status, body, usage}})
		cred := graph.Credentials{BaseURL: "http://graph.test", Token: token}
		result, err := c.Send(t.Context(), cred, "7001", dm.Part{Kind: dm.PartText, Text: "hi"})
		if err == nil {
			require.NotEmpty(t, result.MessageID)
			require.True(t, status >= 200 && status <= 299)
		} else {
			e := graphError(t, err)
			require.NotZero(t, e.Class)
			require.True(t, utf8.ValidString(e.Error()))
			require.GreaterOrEqual(t, e.Wait(), e.RetryAfter)
			require.GreaterOrEqual(t, int64(e.RetryAfter), int64(0))
		}
		_, _ = c.Conversations(t.Context(), cred, "7001")
		_, _ = c.Messages(t.Context(), cred, "c")
		_, _ = c.Message(t.Context(), cred, "m")
	})
}
