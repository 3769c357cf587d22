package graph_test

import (
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/meta/graph"
)

func TestLookUps(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	answer := func(pattern, query, body string) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.RawQuery != query || r.Header.Get("Authorization") != "Bearer "+token {
				http.Error(w, r.URL.RawQuery, http.StatusTeapot)
				return
			}
			_, _ = io.WriteString(w, body)
		})
	}
	answer("GET /v26.0/me/conversations", "platform=instagram&user_id=7001", `{"data":[{"id":"aWdfZ:1","updated_time":"2026-07-12T19:11:07+0000"}],"paging":{}}`)
	answer("GET /v26.0/aWdfZ:1", "fields=messages", `{"messages":{"data":[{"id":"m2","created_time":"2026-07-12T19:11:07+0000"},{"id":"m1"}]},"id":"aWdfZ:1"}`)
	answer("GET /v26.0/m2", "fields=id%2Ccreated_time%2Cfrom%2Cto%2Cmessage",
		`{"id":"m2","created_time":"2026-07-12T21:11:07+0200","from":{"username":"shop","id":"17"},"to":{"data":[{"username":"c","id":7001}]},"message":"hi"}`)
	answer("GET /v26.0/m3", "fields=id%2Ccreated_time%2Cfrom%2Cto%2Cmessage%2Cattachments%2Cshares%2Cstory",
		`{"id":"m3","from":{"id":"7001"},"to":{"data":[{"id":"17"}]},"message":"","attachments":{"data":[{"id":"1","mime_type":"image/jpeg","image_data":{"url":"https://a/1"}},
		{"mime_type":"video/mp4","video_data":{"url":"https://a/2"}},{"mime_type":"audio/mp4","file_url":"https://a/3"},{"mime_type":"application/pdf","file_url":"https://a/4"},{"id":"5"}]},
		"shares":{"data":[{"link":"https://a/6","name":"A post"}]},"story":{"mention":{"link":"https://a/7"},"reply_to":{"id":18040000000000001}}}`)
	mux.HandleFunc("GET /v26.0/old", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"error":{"message":"gone","code":9000001}}`)
	})
	mux.HandleFunc("GET /v26.0/odd", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"created_time":"yesterday"}`) })
	mux.HandleFunc("GET /v26.0/hidden", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"error":{"code":230}}`) })
	c, cred := newClient(t, graph.Options{}), graph.Credentials{BaseURL: serve(t, mux.ServeHTTP), Token: token}
	at := time.Date(2026, 7, 12, 19, 11, 7, 0, time.UTC)

	conversations, err := c.Conversations(t.Context(), cred, "7001")
	require.NoError(t, err)
	require.Equal(t, []string{"aWdfZ:1"}, conversations)

	messages, err := c.Messages(t.Context(), cred, "aWdfZ:1")
	require.NoError(t, err)
	require.Equal(t, []graph.MessageRef{{ID: "m2", Created: at}, {ID: "m1"}}, messages)

	message, err := c.Message(t.Context(), cred, "m2")
	require.NoError(t, err)
	require.Equal(t, graph.Message{ID: "m2", Created: at, From: "17", To: []string{"7001"}, Text: "hi"}, message)

	full, err := c.FullMessage(t.Context(), cred, "m3")
	require.NoError(t, err)
	require.Equal(t, "18040000000000001", full.StoryID)
	require.Equal(t, []dm.Attachment{
		{Type: "image", URL: "https://a/1"}, {Type: "video", URL: "https://a/2"}, {Type: "audio", URL: "https://a/3"}, {Type: "file", URL: "https://a/4"},
		{Type: "share", URL: "https://a/6", Title: "A post"}, {Type: "story_mention", URL: "https://a/7"},
	}, full.Attachments)

	_, err = c.Message(t.Context(), cred, "old")
	require.Equal(t, graph.ClassNotFound, graph.ClassOf(err))
	_, err = c.Message(t.Context(), cred, "odd")
	require.Error(t, err)
	_, err = c.Message(t.Context(), cred, "hidden")
	require.Equal(t, graph.ClassNoProfile, graph.ClassOf(err))
	_, err = c.Message(t.Context(), cred, "../me")
	require.Equal(t, graph.ClassPermanent, graph.ClassOf(err), "an id cannot leave its place in the path")
}
