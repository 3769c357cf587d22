package media_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/mediastore"
	"github.com/parley-dm/parley/pkg/postgres/pgtest"
	"github.com/parley-dm/parley/services/archiver/internal/media"
	"github.com/parley-dm/parley/services/archiver/internal/record"
	"github.com/parley-dm/parley/services/archiver/internal/store"
)

const patience = 20 * time.Second

// bundle is a database, a server that has files, and a folder for them.
type bundle struct {
	t      *testing.T
	pool   *pgxpool.Pool
	folder string
	host   string
	// answer is what the server does.
	answer atomic.Pointer[http.HandlerFunc]

	mu    sync.Mutex
	asked map[string]int
	logs  strings.Builder
}

func setup(t *testing.T) *bundle {
	t.Helper()
	b := &bundle{t: t, pool: pgtest.Pool(t), folder: t.TempDir(), asked: map[string]int{}}
	_, b.host = serve(t, func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		b.asked[r.URL.Path]++
		b.mu.Unlock()
		if f := b.answer.Load(); f != nil {
			(*f)(w, r)
			return
		}
		_, _ = io.WriteString(w, pixel+r.URL.Path)
	})
	return b
}

func (b *bundle) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.logs.Write(p)
}

// files are those of a folder: whole ones (account/month/name), and those that are being written.
func files(t *testing.T, folder string) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"*/*/*", ".incoming/*"} {
		found, err := filepath.Glob(filepath.Join(folder, pattern))
		require.NoError(t, err)
		all = append(all, found...)
	}
	return all
}

// run starts an archiver's keeper and returns what stops it.
func (b *bundle) run(workers int) (k *media.Keeper, stop func()) {
	b.t.Helper()
	f := media.NewFetcher(media.FetcherOptions{MaxBytes: 1 << 20, Trusted: []string{b.host}})
	k, err := media.New(media.Deps{
		Pool: b.pool, Open: func() (mediastore.Store, error) { return mediastore.OpenDir(b.folder) }, Fetcher: f,
		Log: slog.New(slog.NewTextHandler(b, nil)), Metrics: prometheus.NewRegistry(),
	}, media.Options{Workers: workers, Pauses: []time.Duration{time.Millisecond}})
	require.NoError(b.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- k.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			require.NoError(b.t, <-ended)
			f.Close()
		})
	}
	b.t.Cleanup(stop)
	return k, stop
}

// archive writes events as the archiver does.
func (b *bundle) archive(k *media.Keeper, events ...dm.Event) {
	b.t.Helper()
	var facts []record.Facts
	for i := range events {
		facts = append(facts, record.FromEvent(&events[i]))
	}
	wake := func() {}
	if k != nil {
		wake = k.Wake
	}
	require.NoError(b.t, store.New(b.pool, store.Hooks{Media: wake}).Write(b.t.Context(), facts))
}

func (b *bundle) message(mid string, paths ...string) dm.Event {
	e := dm.Event{
		Conversation: dm.Conversation{Channel: dm.ChannelInstagram, Account: "178", Customer: "7001"}, Kind: dm.KindMessage, MID: mid, MessageType: "image",
		KnownAccount: true, Time: time.Now().UTC(), ReceivedAt: time.Now().UTC(), Source: dm.SourceWebhook,
	}
	e.ID = dm.EventID(e.Channel, e.Account, e.Kind, mid)
	for _, path := range paths {
		e.Attachments = append(e.Attachments, dm.Attachment{Type: "image", URL: "http://" + b.host + path + "?token=secret"})
	}
	return e
}

func unsent(e dm.Event) dm.Event {
	e.Kind, e.Attachments, e.MessageType = dm.KindDelete, nil, ""
	e.ID = dm.EventID(e.Channel, e.Account, e.Kind, e.MID)
	return e
}

func (b *bundle) value(sql string, args ...any) (text string) {
	b.t.Helper()
	require.NoError(b.t, b.pool.QueryRow(b.t.Context(), sql, args...).Scan(&text))
	return text
}

func (b *bundle) eventually(want, sql string, args ...any) {
	b.t.Helper()
	require.Eventually(b.t, func() bool { return b.value(sql, args...) == want }, patience, 10*time.Millisecond, "never %q: %s", want, sql)
}

const states = `SELECT coalesce(string_agg(concat_ws(' ', mid, position, status, attempts), ', ' ORDER BY mid, position), '') FROM media`

func TestMediaAreKeptBesideTheArchive(t *testing.T) {
	t.Parallel()
	b := setup(t)
	k, stop := b.run(2)
	b.archive(k, b.message("M1", "/a", "/b"), b.message("M2"))
	b.eventually("M1 0 stored 1, M1 1 stored 1", states)
	require.Equal(t, "image/png", b.value(`SELECT content_type FROM media WHERE position = 1`))
	require.Equal(t, fmt.Sprint(len(pixel)+2), b.value(`SELECT bytes::text FROM media WHERE position = 1`))
	key := b.value(`SELECT key FROM media WHERE position = 1`)
	require.Regexp(t, `^178/20\d\d-\d\d/[0-9a-f-]{36}$`, key)
	content, err := os.ReadFile(filepath.Join(b.folder, key))
	require.NoError(t, err)
	require.Equal(t, pixel+"/b", string(content))
	require.Len(t, files(t, b.folder), 2)

	b.archive(k, b.message("M1", "/a", "/b"), b.message("M3", "/c")) // Meta repeats itself
	b.eventually("M1 0 stored 1, M1 1 stored 1, M3 0 stored 1", states)
	stop()
	require.Equal(t, map[string]int{"/a": 1, "/b": 1, "/c": 1}, b.asked)
	require.NotContains(t, b.logs.String(), "secret", "a link is as good as a password")
	require.Contains(t, b.logs.String(), "media.attempted")
}

// Several archivers share the work: each file is fetched once.
func TestArchiversShareTheWork(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var paths []string
	for n := range 60 {
		paths = append(paths, fmt.Sprint("/", n))
	}
	b.archive(nil, b.message("M", paths...))
	for range 3 {
		b.run(2)
	}
	b.eventually("60", `SELECT count(*)::text FROM media WHERE status = 'stored' AND attempts = 1`)
	b.mu.Lock()
	defer b.mu.Unlock()
	require.Len(t, b.asked, 60)
	for path, n := range b.asked {
		require.Equal(t, 1, n, path)
	}
	require.Len(t, files(t, b.folder), 60)
}

func TestWhatFailsIsTriedAgainAndToldInTheEnd(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var ill atomic.Int64
	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/gone":
			http.Error(w, "URL signature expired", http.StatusForbidden)
		case r.URL.Path == "/ill" && ill.Add(1) < 6:
			http.Error(w, "later", http.StatusBadGateway)
		default:
			_, _ = io.WriteString(w, pixel)
		}
	})
	b.answer.Store(&answer)
	inside := b.message("inside")
	inside.Attachments = []dm.Attachment{{Type: "image", URL: "https://169.254.169.254/latest"}}
	k, _ := b.run(2)
	b.archive(k, b.message("gone", "/gone"), b.message("ill", "/ill"), inside)
	b.eventually("gone 0 failed 4, ill 0 stored 6, inside 0 failed 1", states)
	require.Equal(t, "answered 403", b.value(`SELECT reason FROM media WHERE mid = 'gone'`))
	require.Equal(t, "the address is not a public one", b.value(`SELECT reason FROM media WHERE mid = 'inside'`))
	require.Empty(t, b.value(`SELECT coalesce(reason, '') FROM media WHERE mid = 'ill'`))
}

// What is unsent, or erased, leaves no file.
func TestWhatIsErasedLeavesNoFile(t *testing.T) {
	t.Parallel()
	b := setup(t)
	k, _ := b.run(1)
	first, second := b.message("M1", "/a"), b.message("M2", "/b")
	b.archive(k, first, second, b.message("M3", "/c"))
	b.eventually("3", `SELECT count(*)::text FROM media WHERE status = 'stored'`)
	b.archive(k, unsent(first))
	_, err := b.pool.Exec(t.Context(), `DELETE FROM media WHERE mid = 'M2'`)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return len(files(t, b.folder)) == 1 }, patience, 10*time.Millisecond)
	b.eventually("0", `SELECT count(*)::text FROM media_removals`)
	require.Equal(t, "M1 0 deleted 1, M3 0 stored 1", b.value(states))
	require.Empty(t, b.value(`SELECT concat(content_type, bytes, sha256) FROM media WHERE mid = 'M1'`), "nothing of it is told")

	// The webhook comes again, and one that was unsent before it came.
	fourth := b.message("M4", "/d")
	b.archive(k, first, unsent(fourth))
	b.archive(k, fourth)
	require.Equal(t, "M1 0 deleted 1, M3 0 stored 1", b.value(states))
}

// A message that is unsent while its file is being fetched: the file is removed when nobody can be writing it any more.
func TestWhatIsErasedWhileItIsFetchedIsRemovedAfterwards(t *testing.T) {
	t.Parallel()
	b := setup(t)
	fetching, proceed := make(chan struct{}), make(chan struct{})
	answer := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(fetching)
		<-proceed
		_, _ = io.WriteString(w, pixel)
	})
	b.answer.Store(&answer)
	k, _ := b.run(1)
	e := b.message("M1", "/a")
	b.archive(k, e)
	<-fetching
	b.archive(k, unsent(e))
	require.Equal(t, "t", b.value(`SELECT CASE WHEN due > now() + interval '4 minutes' THEN 't' END FROM media_removals`), "not before the claim is over")
	close(proceed)
	require.Eventually(t, func() bool { return len(files(t, b.folder)) == 1 }, patience, 10*time.Millisecond, "it was written after all")
	require.Equal(t, "M1 0 deleted 1", b.value(states))
	_, err := b.pool.Exec(t.Context(), `UPDATE media_removals SET due = now()`)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return len(files(t, b.folder)) == 0 }, patience, 10*time.Millisecond)
}

// An archiver that is stopped gives back what it was fetching; one that died is followed by another when its claim is over.
func TestWhatOneLeftIsDoneByAnother(t *testing.T) {
	t.Parallel()
	b := setup(t)
	fetching := make(chan struct{}, 1)
	answer := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		fetching <- struct{}{}
		<-r.Context().Done()
	})
	b.answer.Store(&answer)
	k, stop := b.run(1)
	b.archive(k, b.message("M1", "/a"))
	<-fetching
	stop()
	require.Equal(t, "M1 0 pending 0", b.value(states), "it was no attempt")
	require.Empty(t, files(t, b.folder), "no half file")

	// As one that was killed leaves it.
	_, err := b.pool.Exec(t.Context(), `UPDATE media SET attempts = 1, due = now() + interval '5 minutes', store = 'dir:elsewhere'`)
	require.NoError(t, err)
	b.answer.Store(nil)
	b.run(1)
	b.archive(nil, b.message("M2", "/b"))
	b.eventually("M1 0 pending 1, M2 0 stored 1", states)
	_, err = b.pool.Exec(t.Context(), `UPDATE media SET due = now() WHERE mid = 'M1'`)
	require.NoError(t, err)
	b.eventually("M1 0 stored 2, M2 0 stored 1", states)
	require.Equal(t, "dir:elsewhere", b.value(`SELECT store FROM media_removals`), "what the other may have is to be removed there")
}
