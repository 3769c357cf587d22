package simulator_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/services/simulator"
)

// link gets what a link leads to.
func (b *bundle) link(t *testing.T, raw string) (status int, claimed string, content string) {
	t.Helper()
	u, err := url.Parse(raw)
	require.NoError(t, err)
	require.Equal(t, b.url, "http://"+u.Host)
	status, header, body := b.raw(t, http.MethodGet, u.RequestURI(), "")
	return status, header.Get("Content-Type"), string(body)
}

// What customers send has links that lead to something, for as long as Meta's do.
func TestMediaOfTheSimulatorsOwn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sim.MediaAt(b.url)
	for kind, want := range map[string]struct{ field, claimed, begins string }{
		"image": {"image_data", "image/png", "\x89PNG"}, "video": {"video_data", "video/mp4", "\x00\x00\x00\x20ftypisom"},
		"audio": {"file_url", "video/mp4", "\xff\xfb"}, "file": {"file_url", "application/pdf", "%PDF-1.4"},
		"ig_post": {"shares", "image/png", "\x89PNG"}, "story_mention": {"story", "image/png", "\x89PNG"},
	} {
		m, err := b.sim.Say(simulator.Action{Key: simulator.Key{Account: account, Customer: "7001"}, Kind: simulator.Kind(kind)})
		require.NoError(t, err)
		sent := string(b.next(t).body)
		status, out := b.graph(t, http.MethodGet, "/v26.0/"+m.MID+"?fields=attachments,shares,story", "")
		require.Equal(t, http.StatusOK, status)
		link := map[string]func() any{
			"image_data": func() any { return dig(out, "attachments", "data", 0, "image_data", "url") }, "video_data": func() any { return dig(out, "attachments", "data", 0, "video_data", "url") },
			"file_url": func() any { return dig(out, "attachments", "data", 0, "file_url") }, "shares": func() any { return dig(out, "shares", "data", 0, "link") },
			"story": func() any { return dig(out, "story", "mention", "link") },
		}[want.field]()
		path, _, _ := strings.Cut(strings.TrimPrefix(str(link), b.url), "?")
		require.Contains(t, strings.ReplaceAll(sent, `\/`, "/"), path, "the webhook had it, too")
		status, claimed, content := b.link(t, str(link))
		require.Equal(t, http.StatusOK, status, kind)
		require.Equal(t, want.claimed, claimed, kind)
		require.True(t, strings.HasPrefix(content, want.begins), kind)
	}

	_, out := b.graph(t, http.MethodGet, "/v26.0/7001?fields=name,username,profile_pic", "")
	require.NotEmpty(t, out["name"])
	require.NotEmpty(t, out["username"])
	picture := str(out["profile_pic"])
	status, _, _ := b.link(t, picture)
	require.Equal(t, http.StatusOK, status)
	for _, forged := range []string{strings.Replace(picture, "7001", "7002", 1), strings.Replace(picture, "oe=", "oe=f", 1), strings.SplitN(picture, "?", 2)[0]} {
		status, _, _ = b.link(t, forged)
		require.Equal(t, http.StatusForbidden, status, "a link is signed")
	}
	b.sim.Advance(5 * 24 * time.Hour)
	status, _, content := b.link(t, picture)
	require.Equal(t, http.StatusForbidden, status)
	require.Equal(t, "URL signature expired\n", content)
}

// One that nobody reaches has names that never resolve.
func TestWithoutAnAddressLinksLeadNowhere(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := b.sim.Say(simulator.Action{Key: simulator.Key{Account: account, Customer: "7001"}, Kind: "image"})
	require.NoError(t, err)
	require.Contains(t, string(b.next(t).body), ".invalid")
	_, out := b.graph(t, http.MethodGet, "/v26.0/7001?fields=profile_pic", "")
	require.NotContains(t, out, "profile_pic")
}

// The one that listens knows where.
func TestWhoListensHasLinks(t *testing.T) {
	t.Parallel()
	b := setup(t, "SIMULATOR_MEDIA_URL=http://simulator.example:8082/")
	_, err := b.sim.Say(simulator.Action{Key: simulator.Key{Account: account, Customer: "7001"}, Kind: "image"})
	require.NoError(t, err)
	require.Contains(t, string(b.next(t).body), `http:\/\/simulator.example:8082\/cdn\/image\/`)
}
