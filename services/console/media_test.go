package console_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"image"
	"image/png"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/mediastore"
	"github.com/parley-dm/parley/services/console"
	"github.com/parley-dm/parley/services/console/internal/store"
	"github.com/parley-dm/parley/services/console/internal/webtest"
)

// attic is a console beside a folder that an archiver keeps media in.
type attic struct {
	*webtest.Site
	t      *testing.T
	folder string
	store  mediastore.Store
}

func newAttic(t *testing.T) *attic {
	t.Helper()
	settings := mediastore.Settings{Dir: filepath.Join(t.TempDir(), "media")}
	site := webtest.Start(t, func(cfg *console.Config) { cfg.Media = settings })
	folder, err := settings.Store()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, folder.Close()) })
	return &attic{Site: site, t: t, folder: settings.Dir, store: folder}
}

// keep keeps one of a message's attachments, as an archiver does.
func (a *attic) keep(c *chat, message string, position int, contentType, content string) (key string) {
	a.t.Helper()
	draft, err := a.store.Draft()
	require.NoError(a.t, err)
	defer draft.Discard()
	_, err = draft.WriteString(content)
	require.NoError(a.t, err)
	sum := sha256.Sum256([]byte(content))
	about := mediastore.Info{ContentType: contentType, Bytes: int64(len(content)), SHA256: hex.EncodeToString(sum[:])}
	key = fmt.Sprintf("%s/2026-11/%s-%d", c.Account, message, position)
	require.NoError(a.t, a.store.Keep(a.t.Context(), draft, key, about))
	c.exec(`INSERT INTO media (account, mid, position, status, store, key, content_type, bytes, sha256)
		SELECT account, mid, $2, 'stored', $3, $4, $5, $6, $7 FROM messages WHERE id = $1`, message, position, a.store.Name(), key, about.ContentType, about.Bytes, about.SHA256)
	return key
}

// Meta's links end after days. What is kept is shown from where it is kept, in a browser too.
func TestKeptMediaAreShown(t *testing.T) {
	t.Parallel()
	site := newAttic(t)
	c := newChat(t, site.Site, shop, "7001", "Maria Lindqvist")
	gone := func(kind string) dm.Attachment {
		return dm.Attachment{Type: kind, URL: "https://lookaside.fbsbx.com/gone"}
	}
	id, _ := c.hears("", time.Now().Add(-10*24*time.Hour), map[string]any{"type": "image", "attachments": []dm.Attachment{gone("image"), gone("audio"), gone("file"), gone("file")}})
	var picture bytes.Buffer
	require.NoError(t, png.Encode(&picture, image.NewGray(image.Rect(0, 0, 400, 300))))
	site.keep(c, id, 0, "image/png", picture.String())
	site.keep(c, id, 1, "video/mp4", "a voice note")
	site.keep(c, id, 2, "application/pdf", "%PDF-1.7 a bill")

	b := site.As(store.Agent).Open(webtest.Desktop, false)
	b.Go("/inbox/" + c.id)
	b.Until(`[...document.querySelectorAll(".bubble img.picture")].some((i) => i.complete && i.naturalWidth === 400 && i.src.endsWith("/media/` + id + `/0"))`)
	b.Until(`document.querySelector(".bubble audio").src.endsWith("/media/` + id + `/1")`)
	b.Until(`document.querySelector(".bubble a[download]").href.endsWith("/media/` + id + `/2")`)
	require.Contains(t, b.Text(".bubble-body"), "15 bytes, from a customer")
	b.Until(`document.querySelector('.bubble a[href="https://lookaside.fbsbx.com/gone"]').textContent !== ""`) // what is not kept is where Meta has it

	b.Screenshot("inbox-media")

	viewer, path := site.As(store.Viewer), "/inbox/"+c.id+"/media/"+id
	status, header := ask(t, site.Site, viewer.Client, path+"/1", "Range", "bytes=2-6")
	require.Equal(t, http.StatusPartialContent, status)
	require.Equal(t, []string{"video/mp4", "inline", "bytes 2-6/12", "nosniff", "private, no-cache"}, values(header, "Content-Type", "Content-Disposition", "Content-Range", "X-Content-Type-Options", "Cache-Control"))
	status, _ = ask(t, site.Site, viewer.Client, path+"/1", "If-None-Match", header.Get("Etag"))
	require.Equal(t, http.StatusNotModified, status, "a browser that has it asks whether it still may")
}

// ask sends a request with a header, and gives the status and the headers of its answer.
func ask(t *testing.T, site *webtest.Site, client *http.Client, path, name, value string) (status int, header http.Header) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, site.URL+path, http.NoBody)
	require.NoError(t, err)
	r.Header.Set(name, value)
	resp, err := client.Do(r)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp.StatusCode, resp.Header
}

func values(h http.Header, names ...string) []string {
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = h.Get(name)
	}
	return out
}

// Customers choose what they send. Only pictures and recordings are shown; all else is saved, and is nobody's page.
func TestWhatCustomersSendIsNoPage(t *testing.T) {
	t.Parallel()
	site := newAttic(t)
	c := newChat(t, site.Site, shop, "7666", "")
	agent := site.As(store.Agent)
	for contentType, name := range map[string]string{
		"image/svg+xml": ".svg", "text/html": ".html", "application/xhtml+xml": ".html", "application/pdf": ".pdf", "text/javascript": ".js", "application/x-unheard-of": "",
	} {
		id, _ := c.hears("", time.Now(), map[string]any{"type": "file", "attachments": []dm.Attachment{{Type: "image", URL: "https://lookaside.fbsbx.com/x"}}})
		site.keep(c, id, 0, contentType, `<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`)
		status, header := ask(t, site.Site, agent.Client, "/inbox/"+c.id+"/media/"+id+"/0", "Accept", "*/*")
		require.Equal(t, http.StatusOK, status)
		require.Regexp(t, `^attachment; filename=attachment-[0-9a-f]{8}`+name+`$`, header.Get("Content-Disposition"), contentType)
		require.Equal(t, []string{contentType, "nosniff"}, values(header, "Content-Type", "X-Content-Type-Options"))
		require.Contains(t, header.Get("Content-Security-Policy"), "default-src 'none'")
		require.Contains(t, header.Get("Content-Security-Policy"), "sandbox")
		require.NotContains(t, header.Get("Content-Security-Policy"), "script-src")
	}
	_, body := agent.Get("/inbox/" + c.id)
	require.NotContains(t, body, `<img class="picture"`, "what only says that it is a picture is none")
}

func TestKeptMediaAreForThoseWhoSeeTheConversation(t *testing.T) {
	t.Parallel()
	site := newAttic(t)
	mine, other := newChat(t, site.Site, shop, "7001", ""), newChat(t, site.Site, branch, "7002", "")
	attached := map[string]any{"type": "image", "attachments": []dm.Attachment{{Type: "image", URL: "https://lookaside.fbsbx.com/x"}}}
	seen, _ := mine.hears("", time.Now(), attached)
	hidden, _ := other.hears("", time.Now(), attached)
	key := site.keep(mine, seen, 0, "image/png", "mine")
	site.keep(other, hidden, 0, "image/png", "not mine")
	agent := site.As(store.Agent, shop)
	status, body := agent.Get("/inbox/" + mine.id + "/media/" + seen + "/0")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "mine", body)
	for what, path := range map[string]string{
		"another account's":               other.id + "/media/" + hidden + "/0",
		"by way of another conversation":  mine.id + "/media/" + hidden + "/0",
		"another attachment":              mine.id + "/media/" + seen + "/1",
		"no number":                       mine.id + "/media/" + seen + "/0x0",
		"a number that is none of theirs": mine.id + "/media/" + seen + "/99999999999999999999",
		"no message":                      mine.id + "/media/x/0",
	} {
		status, body = agent.Get("/inbox/" + path)
		require.Equal(t, http.StatusNotFound, status, what)
		require.NotContains(t, body, "not mine", what)
	}
	status, _ = site.Do(site.Anonymous(), http.MethodGet, "/inbox/"+mine.id+"/media/"+seen+"/0", nil)
	require.Equal(t, http.StatusSeeOther, status, "who is not signed in is asked to")

	mine.exec(`UPDATE messages SET deleted_at = now() WHERE id = $1`, seen)
	status, _ = agent.Get("/inbox/" + mine.id + "/media/" + seen + "/0")
	require.Equal(t, http.StatusNotFound, status, "it is unsent, though the file may be there for a moment")
	mine.exec(`UPDATE messages SET deleted_at = NULL WHERE id = $1`, seen)

	mine.exec(`UPDATE media SET key = 'somewhere' WHERE account = $1`, shop)
	status, header := ask(t, site.Site, agent.Client, "/inbox/"+mine.id+"/media/"+seen+"/0", "Accept", "*/*")
	require.Equal(t, http.StatusNotFound, status, "the file is not there")
	require.Contains(t, header.Get("Content-Security-Policy"), "script-src", "it is a page like any other")
	require.Equal(t, []string{"text/html; charset=utf-8", "", "no-store", ""}, values(header, "Content-Type", "Content-Disposition", "Cache-Control", "Etag"))
	mine.exec(`UPDATE media SET key = $2, store = 'dir:another' WHERE account = $1`, shop, key)
	status, body = agent.Get("/inbox/" + mine.id + "/media/" + seen + "/0")
	require.Equal(t, http.StatusNotFound, status)
	require.Contains(t, body, "which was in use before")
	_, body = agent.Get("/inbox/" + mine.id)
	require.Contains(t, body, "https://lookaside.fbsbx.com/x", "Meta's link is what is left")
}

// A folder that is not there, yet or any more, takes no page away.
func TestAThreadIsReadWithoutItsFolder(t *testing.T) {
	t.Parallel()
	site := newAttic(t)
	c := newChat(t, site.Site, shop, "7001", "")
	id, _ := c.hears("", time.Now(), map[string]any{"type": "image", "attachments": []dm.Attachment{{Type: "image", URL: "https://lookaside.fbsbx.com/x"}}})
	site.keep(c, id, 0, "image/png", "x")
	agent := site.As(store.Agent)
	_, body := agent.Get("/inbox/" + c.id)
	require.Contains(t, body, "/media/"+id+"/0")

	require.NoError(t, os.Rename(site.folder, site.folder+"-away"))
	status, body := agent.Get("/inbox/" + c.id)
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, body, "https://lookaside.fbsbx.com/x", "Meta's link is what is left")
	status, _ = agent.Get("/inbox/" + c.id + "/media/" + id + "/0")
	require.Equal(t, http.StatusNotFound, status)
	require.NoDirExists(t, site.folder, "who only reads makes nothing")
	require.NoError(t, os.Rename(site.folder+"-away", site.folder))
	status, body = agent.Get("/inbox/" + c.id + "/media/" + id + "/0")
	require.Equal(t, []any{http.StatusOK, "x"}, []any{status, body}, "and it is back without a restart")
}
