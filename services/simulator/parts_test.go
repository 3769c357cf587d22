package simulator_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestWhatParleySendsIsTaken posts every body that the Graph client is held to: the played Meta takes what Meta takes, and
// knows no comment.
func TestWhatParleySendsIsTaken(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../pkg/meta/graph/testdata/send/*.json")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	b := setup(t)
	mid := b.say(t, "7001", "hello").MID
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			t.Parallel()
			body, err := os.ReadFile(file)
			require.NoError(t, err)
			status, out := b.graph(t, http.MethodPost, "/v26.0/me/messages", strings.ReplaceAll(string(body), "m_1", mid))
			if strings.Contains(string(body), "comment_id") {
				requireError(t, out, 100, 2534025)
				return
			}
			require.Equal(t, http.StatusOK, status, "%v", out)
			require.Equal(t, "7001", out["recipient_id"])
			require.Equal(t, !strings.Contains(string(body), "sender_action"), out["message_id"] != nil, "%v", out)
		})
	}
}

// A quick reply's title is cut where Meta cuts it, in what the customer sees.
func TestTitlesOfQuickRepliesAreCut(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.say(t, "7001", "hello")
	status, out := b.graph(t, http.MethodPost, "/v26.0/me/messages", message(`{"text":"choose","quick_replies":[{"content_type":"text","title":"`+strings.Repeat("ä", 30)+`","payload":"P"}]}`))
	require.Equal(t, http.StatusOK, status, "%v", out)
	_, _, page := b.raw(t, http.MethodPost, "/phone/customers", `{"customer":"7001"}`)
	require.Contains(t, string(page), `"title":"`+strings.Repeat("ä", 20)+`"`)
}
