package tokens_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/parley-dm/parley/pkg/accounts"
	"github.com/parley-dm/parley/pkg/alert"
	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/bus/bustest"
	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/meta/graph"
	"github.com/parley-dm/parley/pkg/telemetry/logtest"
	"github.com/parley-dm/parley/pkg/topology"
	"github.com/parley-dm/parley/services/sender/internal/tokens"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	page, user = "17841400000000001", "17841400000000002"
	day        = 24 * time.Hour
	patience   = 20 * time.Second
	key        = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
)

// meta plays debug_token and refresh_access_token.
type meta struct {
	mu        sync.Mutex
	refreshed int
	asked     []string
	young     bool
	expires   int64
	invalid   bool
}

func (m *meta) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	q := r.URL.Query()
	switch {
	case strings.HasSuffix(r.URL.Path, "/debug_token"):
		m.asked = append(m.asked, r.Header.Get("Authorization")+" about "+q.Get("input_token"))
		problem := ""
		if m.invalid {
			problem = `,"error":{"code":190,"message":"Session has expired"}`
		}
		_, _ = fmt.Fprintf(w, `{"data":{"is_valid":%t,"expires_at":%d,"data_access_expires_at":0,"scopes":["pages_messaging"]%s}}`, !m.invalid, m.expires, problem)
	case m.young:
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"error":{"code":100,"message":"the token must be at least 24 hours old"}}`)
	case strings.HasSuffix(r.URL.Path, "/refresh_access_token") && q.Get("grant_type") == "ig_refresh_token":
		m.refreshed++
		_, _ = fmt.Fprintf(w, `{"access_token":"%s+","token_type":"bearer","expires_in":%d}`, q.Get("access_token"), int64(60*day/time.Second))
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func (m *meta) refreshes() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.refreshed
}

// notes is what is known of tokens, in memory.
type notes struct {
	mu     sync.Mutex
	states map[string]accounts.TokenState
}

func (n *notes) State(_ dm.Channel, account string) accounts.State {
	n.mu.Lock()
	defer n.mu.Unlock()
	if t, ok := n.states[account]; ok {
		return accounts.State{Token: &t}
	}
	return accounts.State{}
}

func (n *notes) Token(_ dm.Channel, account string, t accounts.TokenState) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.states[account] = t
}

func (n *notes) get(account string) accounts.TokenState {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.states[account]
}

type testBundle struct {
	t      *testing.T
	meta   *meta
	url    string
	server *bustest.Server
	file   string
	log    logtest.Buffer

	mu  sync.Mutex
	now time.Time
}

func setup(t *testing.T) *testBundle {
	t.Helper()
	b := &testBundle{t: t, meta: &meta{}, server: bustest.Start(t), file: filepath.Join(t.TempDir(), "accounts.yaml"), now: time.Now()}
	server := httptest.NewServer(b.meta)
	t.Cleanup(server.Close)
	b.url = server.URL
	b.write("EAA", "IGA")
	return b
}

func (b *testBundle) write(pageToken, userToken string) {
	b.t.Helper()
	content := fmt.Sprintf("accounts:\n  - {id: %q, token: %s}\n  - {id: %q, login: instagram, token: %s}\n", page, pageToken, user, userToken)
	require.NoError(b.t, os.WriteFile(b.file, []byte(content), 0o600))
}

func (b *testBundle) advance(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now = b.now.Add(d)
}

func (b *testBundle) clock() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now
}

// process is one sender's side.
type process struct {
	book  *accounts.Book
	notes *notes
	stop  func()
}

func (p *process) token(account string) string {
	a, _ := p.book.Get(dm.ChannelInstagram, account)
	return a.Token.Reveal()
}

func (b *testBundle) process(vaultKey string, owns bool) *process {
	b.t.Helper()
	conn := b.server.Connect()
	_, err := topology.Ensure(b.t.Context(), conn.JetStream(), topology.Options{})
	require.NoError(b.t, err)
	bucket, err := bus.OpenBucket(b.t.Context(), conn, topology.Tokens.Name)
	require.NoError(b.t, err)
	book, err := accounts.Open(accounts.Options{Settings: accounts.Settings{AccountsFile: b.file}, Tokens: &accounts.Tokens{}, Every: 5 * time.Millisecond})
	require.NoError(b.t, err)
	log := slog.New(slog.NewJSONHandler(&b.log, nil))
	alerts, err := alert.New(alert.Settings{}, alert.Options{Log: log, Metrics: prometheus.NewRegistry(), Now: b.clock})
	require.NoError(b.t, err)
	var vault *accounts.Vault
	if vaultKey != "" {
		vault, err = accounts.NewVault(config.Secret(vaultKey))
		require.NoError(b.t, err)
	}
	client := graph.New(graph.Options{Version: "v26.0"})
	p := &process{book: book, notes: &notes{states: map[string]accounts.TokenState{}}}
	keeper := tokens.New(tokens.Deps{
		Book: book, Graph: client, Bucket: bucket, Standing: p.notes, Alerts: alerts, Log: log, Vault: vault,
		Owns: func(dm.Channel, string) bool { return owns },
	}, tokens.Options{
		Credentials: func(a accounts.Account) graph.Credentials { return graph.Credentials{BaseURL: b.url, Token: a.Token} },
		AppID:       "123", AppSecret: "secret", Every: 10 * time.Millisecond, Now: b.clock,
	})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = book.Run(ctx) })
	wg.Go(func() { _ = keeper.Run(ctx) })
	p.stop = sync.OnceFunc(func() {
		cancel()
		wg.Wait()
		client.Close()
	})
	b.t.Cleanup(p.stop)
	return p
}

func (b *testBundle) eventually(what string, f func() bool) {
	b.t.Helper()
	require.Eventually(b.t, f, patience, 2*time.Millisecond, what)
}

func TestAnInstagramTokenIsRefreshedInTimeKeptAndShared(t *testing.T) {
	t.Parallel()
	b := setup(t)
	owner, other := b.process(key, true), b.process(key, false)
	b.eventually("it is refreshed", func() bool { return owner.token(user) == "IGA+" })
	b.eventually("every sender has it", func() bool { return other.token(user) == "IGA+" })
	b.eventually("it is known when it dies", func() bool { return owner.notes.get(user).Expires.Sub(b.clock()) > 59*day })
	require.Equal(t, 1, b.meta.refreshes())
	owner.stop()
	other.stop()

	conn := b.server.Connect()
	bucket, err := bus.OpenBucket(t.Context(), conn, topology.Tokens.Name)
	require.NoError(t, err)
	e, err := bucket.Get(t.Context(), "instagram."+user)
	require.NoError(t, err)
	require.NotContains(t, string(e.Value), "IGA", "it is encrypted")

	heir := b.process("ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff,"+key, true)
	b.eventually("it survives a restart and a new key", func() bool { return heir.token(user) == "IGA+" })
	b.advance(11 * day)
	b.eventually("it is refreshed again when it is ten days old", func() bool { return heir.token(user) == "IGA++" })
	require.Equal(t, 2, b.meta.refreshes())

	b.write("EAA", "IGB")
	b.eventually("a newly configured token wins, and is refreshed in turn", func() bool { return heir.token(user) == "IGB+" })
	require.Equal(t, "EAA", heir.token(page))
}

func TestATokenThatIsTooYoungIsTriedAgainLater(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.meta.young = true
	p := b.process(key, true)
	b.eventually("Meta refuses", func() bool { return p.notes.get(user).Problem != "" })
	require.Equal(t, "IGA", p.token(user))
	require.NotContains(t, b.log.String(), "alert.raised", "that is no news for a person")
	b.meta.mu.Lock()
	b.meta.young = false
	b.meta.mu.Unlock()
	b.advance(day)
	b.eventually("and takes it a day later", func() bool { return p.token(user) == "IGA+" })
}

func TestAPageTokenIsAskedAboutAndWarnedOf(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.meta.expires = b.clock().Add(10 * day).Unix()
	p := b.process("", true)
	b.eventually("it is known when it dies", func() bool { return p.notes.get(page).Expires.Unix() == b.meta.expires })
	b.meta.mu.Lock()
	require.Equal(t, "Bearer 123|secret about EAA", b.meta.asked[0], "the app asks")
	b.meta.mu.Unlock()
	require.NotContains(t, b.log.String(), "alert.raised")
	b.advance(4 * day)
	b.eventually("a week before, a person is told", func() bool {
		return strings.Contains(b.log.String(), "the account's token dies at")
	})
	require.Zero(t, b.meta.refreshes(), "nothing is refreshed that could not be kept")
	require.NotContains(t, b.log.String(), "EAA")
}

func TestADeadPageTokenIsToldBeforeAMessageMeetsIt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.meta.invalid = true
	b.process("", true)
	b.eventually("a person is told", func() bool { return strings.Contains(b.log.String(), "is not valid: Session has expired") })
}
