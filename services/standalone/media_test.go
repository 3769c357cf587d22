package standalone_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/services/simulator"
)

// acts has a customer do something and gives the mid.
func (w *world) acts(kind simulator.Kind, target string) string {
	w.t.Helper()
	m, err := w.meta.Say(simulator.Action{Key: simulator.Key{Account: page, Customer: "7001"}, Kind: kind, Target: target})
	require.NoError(w.t, err)
	return m.MID
}

// kept are the files of a folder that are whole.
func kept(t *testing.T, folder string) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(folder, page, "*", "*"))
	require.NoError(t, err)
	return all
}

// Photos and voice notes are kept before their links expire, typed by what they are, and gone when the customer unsends them or is
// erased.
func TestMediaAreKeptAndErased(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	w := newWorld(t, "MEDIA_DIR="+folder)
	w.environ = append(w.environ, "MEDIA_TRUSTED_HOSTS="+strings.TrimPrefix(w.graph, "http://"))
	w.serve()
	photo, voice := w.acts("image", ""), w.acts("audio", "")
	w.acts("fallback", "")
	w.eventually(func() bool { return w.count(`SELECT count(*) FROM media WHERE status = 'stored'`) == 2 }, "both are kept, and not the page that a link leads to")
	require.Equal(t, 1, w.count(`SELECT count(*) FROM media WHERE mid = $1 AND type = 'image' AND content_type = 'image/png' AND bytes > 100`, photo))
	require.Equal(t, 1, w.count(`SELECT count(*) FROM media WHERE mid = $1 AND type = 'audio' AND content_type = 'audio/mpeg'`, voice), "Meta says video/mp4")
	require.Len(t, kept(t, folder), 2)
	var key string
	require.NoError(t, w.pool.QueryRow(t.Context(), `SELECT key FROM media WHERE mid = $1`, photo).Scan(&key))
	content, err := os.ReadFile(filepath.Join(folder, key))
	require.NoError(t, err)
	require.Equal(t, "\x89PNG", string(content[:4]))

	w.acts("unsend", photo)
	w.eventually(func() bool { return len(kept(t, folder)) == 1 }, "what is unsent has no file any more")
	require.Equal(t, 1, w.count(`SELECT count(*) FROM media WHERE mid = $1 AND status = 'deleted'`, photo))
	code, out, stderr := execute(t, w.environ, "erase", "--account", page, "--customer", "7001", "--without-bus", "--yes")
	require.Zero(t, code, stderr)
	require.Contains(t, out, "1 of the media are files")
	w.eventually(func() bool { return len(kept(t, folder)) == 0 }, "nor has who is erased")
	w.eventually(func() bool { return w.count(`SELECT count(*) FROM media_removals`) == 0 }, "and nothing is left to do")
}

// A link that has expired is told, and delays nothing.
func TestALinkThatHasExpiredIsTold(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	w := newWorld(t)
	stop := w.serve()
	w.rule("hello", "Hello!")
	w.acts("image", "")
	w.eventually(func() bool { return w.count(`SELECT count(*) FROM messages WHERE message_type = 'image'`) == 1 }, "it is archived")
	require.Zero(t, w.count(`SELECT count(*) FROM media`), "media are not kept unless somebody asks for it")
	stop()

	// Somebody asks, too late: a replay would note it so.
	w.meta.Advance(6 * 24 * time.Hour)
	w.environ = append(w.environ, "MEDIA_DIR="+folder, "MEDIA_TRUSTED_HOSTS="+strings.TrimPrefix(w.graph, "http://"))
	_, err := w.pool.Exec(t.Context(), `INSERT INTO media (account, mid, position, status, key, attempts) SELECT account, mid, 0, 'pending', 'x/y/z', 3 FROM messages WHERE message_type = 'image'`)
	require.NoError(t, err)
	w.serve()
	w.eventually(func() bool {
		return w.count(`SELECT count(*) FROM media WHERE status = 'failed' AND reason = 'answered 403'`) == 1
	}, "it is told why there is no file")
	require.Empty(t, kept(t, folder))
}

// The customer's name is known to the rules as soon as Meta has told it.
func TestRepliesSayTheCustomersName(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.rule("hello", `Hello {{customer.first_name | "there"}}!`)
	w.serve()
	w.asks("7001", "hello", "")
	w.eventually(func() bool {
		return w.count(`SELECT count(*) FROM contacts WHERE name <> '' AND username <> '' AND picture_url LIKE $1 || '/cdn/profile/%'`, w.graph) == 1
	}, "name, username and picture are looked up")
	var name string
	require.NoError(t, w.pool.QueryRow(t.Context(), `SELECT split_part(name, ' ', 1) FROM contacts`).Scan(&name))
	for said := 1; ; said++ { // the bucket has it a moment after the table
		require.Less(t, said, 15, "the name is never said")
		w.asks("7001", "hello", "")
		w.eventually(func() bool { return len(w.replies("7001")) == said+1 }, "each is answered")
		if w.replies("7001")[said] == "Hello "+name+"!" {
			break
		}
	}
	require.Equal(t, "Hello there!", w.replies("7001")[0], "nobody waited for it")
}
