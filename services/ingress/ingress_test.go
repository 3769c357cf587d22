package ingress_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/parley-dm/parley/pkg/accounts"
	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/bus/bustest"
	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/envelope"
	"github.com/parley-dm/parley/pkg/meta/webhook"
	"github.com/parley-dm/parley/pkg/pipeline"
	"github.com/parley-dm/parley/pkg/telemetry"
	"github.com/parley-dm/parley/pkg/topology"
	"github.com/parley-dm/parley/services/ingress"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	account = "17841400000000001"
	secret  = config.Secret("secret")
)

// testBundle is a running ingress on a real server.
type testBundle struct {
	url    string
	server *bustest.Server
	tel    *telemetry.Telemetry
	stop   context.CancelFunc
	done   chan error
	client *http.Client
}

func setup(t *testing.T, change ...func(*ingress.Config)) *testBundle {
	t.Helper()
	server := bustest.Start(t)
	return start(t, server, server.Connect(), change...)
}

// start runs an ingress.
func start(t *testing.T, server *bustest.Server, conn *bus.Conn, change ...func(*ingress.Config)) *testBundle {
	t.Helper()
	b := &testBundle{server: server, tel: telemetry.Discard(), done: make(chan error, 1), client: &http.Client{Timeout: 10 * time.Second}}
	t.Cleanup(b.client.CloseIdleConnections)
	cfg := configOf(t, change...)
	cfg.Host = &pipeline.Host{Telemetry: b.tel, Conn: conn}
	ready := make(chan string, 1)
	cfg.Listening = func(addr string) { ready <- addr }
	ctx, cancel := context.WithCancel(context.Background())
	b.stop = cancel
	go func() { b.done <- ingress.Run(ctx, cfg) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-b.done:
			b.done <- err
			require.NoError(t, err)
		case <-time.After(20 * time.Second):
			require.FailNow(t, "ingress does not stop")
		}
	})
	select {
	case addr := <-ready:
		b.url = "http://" + addr + "/webhooks/instagram"
	case err := <-b.done:
		b.done <- err
		require.FailNow(t, "ingress ended", "%v", err)
	}
	return b
}

func configOf(t *testing.T, change ...func(*ingress.Config)) ingress.Config {
	t.Helper()
	cfg, err := config.Load[ingress.Config]([]string{
		"HOST=127.0.0.1", "PORT=0", "INSTAGRAM_PAGE_ID=" + account, "FACEBOOK_APP_SECRET=older, " + secret.Reveal(), "FACEBOOK_VERIFY_TOKEN=token",
		"SPOOL_DIR=" + t.TempDir(),
	})
	require.NoError(t, err)
	for _, f := range change {
		f(&cfg)
	}
	return cfg
}

// post sends a signed webhook and gives the status of its answer.
func (b *testBundle) post(t *testing.T, body []byte, secret config.Secret) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.url, bytes.NewReader(body))
	require.NoError(t, err)
	r.Header.Set(webhook.SignatureHeader, webhook.Sign(body, secret))
	r.Header.Set("X-Request-ID", "request-1")
	answer, err := b.client.Do(r)
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, answer.Body)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	return answer.StatusCode
}

// stored reads the n events that the stream must hold, and demands that there are no more.
func (b *testBundle) stored(t *testing.T, n int) []envelope.Envelope[dm.Event] {
	t.Helper()
	stream, err := b.server.Connect().JetStream().Stream(t.Context(), topology.Events.Name)
	require.NoError(t, err)
	// On a busy machine some may come by way of the spool: what JetStream did not acknowledge within two seconds.
	require.Eventually(t, func() bool {
		info, err := stream.Info(t.Context())
		return err == nil && info.State.Msgs >= uint64(n)
	}, 30*time.Second, 10*time.Millisecond)
	info, err := stream.Info(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, n, info.State.Msgs)
	out := make([]envelope.Envelope[dm.Event], 0, n)
	for i := range n {
		m, err := stream.GetMsg(t.Context(), uint64(i)+1)
		require.NoError(t, err)
		e, err := envelope.Decode[dm.Event](m.Data)
		require.NoError(t, err)
		require.Equal(t, e.ID, m.Header.Get(jetstream.MsgIDHeader))
		require.Equal(t, topology.EventSubject(&e.Data, topology.DefaultPartitions), m.Subject)
		out = append(out, e)
	}
	return out
}

// texts is a webhook of our account with one message for each mid.
func texts(t *testing.T, account string, mids ...string) []byte {
	t.Helper()
	entry := webhook.Entry{ID: account, Time: 1762000000500}
	for _, mid := range mids {
		entry.Messaging = append(entry.Messaging, webhook.Item{
			Sender: &webhook.Party{ID: "7001"}, Recipient: &webhook.Party{ID: account}, Timestamp: 1762000000000,
			Message: &webhook.Message{MID: mid, Text: "price of " + mid + "? 😀"},
		})
	}
	raw, err := webhook.Body{Object: "instagram", Entry: []webhook.Entry{entry}}.Encode()
	require.NoError(t, err)
	return raw
}

func TestEveryEventIsStoredOnceAndInOrder(t *testing.T) {
	t.Parallel()
	b := setup(t)
	mids := make([]string, 200)
	for i := range mids {
		mids[i] = fmt.Sprintf("m%03d", i)
	}
	body := texts(t, account, mids...)
	require.Equal(t, 200, b.post(t, body, secret))
	require.Equal(t, 200, b.post(t, body, secret), "Meta delivers it again")
	require.Equal(t, 200, b.post(t, body, "older"), "signed with the secret that is being rotated out")
	for i, e := range b.stored(t, len(mids)) {
		require.Equal(t, mids[i], e.Data.MID)
		require.Equal(t, "price of "+mids[i]+"? 😀", e.Data.Text)
		require.True(t, e.Data.KnownAccount)
		require.Equal(t, "request-1", e.CausationID)
	}
}

func TestEveryShapeIsStored(t *testing.T) {
	t.Parallel()
	b := setup(t)
	files, err := filepath.Glob("../../pkg/meta/webhook/testdata/*.json")
	require.NoError(t, err)
	require.Greater(t, len(files), 50)
	expected := map[string]bool{}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		require.NoError(t, err)
		events, err := webhook.Parse(raw, webhook.Options{})
		require.NoError(t, err)
		for _, e := range events {
			expected[e.ID] = true
		}
		require.Equal(t, 200, b.post(t, raw, secret), file)
	}
	for _, e := range b.stored(t, len(expected)) {
		require.True(t, expected[e.ID])
	}
}

func TestHostileBodiesAreStored(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, item := range map[string]string{
		"too large":        `{"sender":{"id":"1"},"message":{"mid":"A","text":"` + strings.Repeat("<ü>", 50_000) + `"}}`,
		"deep":             `{"sender":{"id":"1"},"message":{"mid":"B","x":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}}`,
		"strange ids":      `{"sender":{"id":"a.b.>*"},"message":{"mid":"C","text":"x"}}`,
		"NUL":              `{"sender":{"id":"1"},"message":{"mid":"D","text":"a\u0000b\ud800"}}`,
		"not UTF-8":        "{\"sender\":{\"id\":\"1\"},\"message\":{\"mid\":\"E\",\"text\":\"\xff\"}}",
		"number too large": `{"sender":{"id":"1"},"timestamp":1e99999,"message":{"mid":"F","text":"x"}}`,
	} {
		body := []byte(`{"object":"instagram","entry":[{"id":"a b.>","messaging":[` + item + `]},{"messaging":[` + item + `]},{"id":"1","messaging":[` + item + `]}]}`)
		require.Equal(t, 200, b.post(t, body, secret), name)
	}
}

func TestKnownAccounts(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "accounts.yaml")
	require.NoError(t, os.WriteFile(path, []byte("accounts:\n- {id: '1', app_secret: own}\n- {id: '2', reply: false}\n"), 0o600))
	b := setup(t, func(c *ingress.Config) { c.Settings = accounts.Settings{AccountsFile: path} })
	for _, id := range []string{"1", "2", "3"} {
		require.Equal(t, 200, b.post(t, texts(t, id, "m"), secret))
	}
	require.Equal(t, 200, b.post(t, texts(t, "1", "own"), "own"), "an account's own app secret signs too")
	known := map[string]bool{}
	for _, e := range b.stored(t, 4) {
		known[e.Account] = e.Data.KnownAccount
	}
	require.Equal(t, map[string]bool{"1": true, "2": false, "3": false}, known)

	// A secret that joins the file is good without a restart, and so is an account.
	require.Equal(t, 401, b.post(t, texts(t, "3", "later"), "added"))
	require.NoError(t, os.WriteFile(path, []byte("accounts:\n- {id: '3', app_secret: added}\n"), 0o600))
	require.Eventually(t, func() bool { return b.post(t, texts(t, "3", "later"), "added") == 200 }, 10*time.Second, 50*time.Millisecond)
	require.True(t, b.stored(t, 5)[4].Data.KnownAccount)
}

func TestStopFinishesWhatIsInFlight(t *testing.T) {
	t.Parallel()
	b := setup(t)
	addr := strings.TrimSuffix(strings.TrimPrefix(b.url, "http://"), "/webhooks/instagram")
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	require.NoError(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	body := texts(t, account, "slow")
	_, err = fmt.Fprintf(conn, "POST /webhooks/instagram HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n%s: %s\r\n\r\n",
		len(body), webhook.SignatureHeader, webhook.Sign(body, secret))
	require.NoError(t, err)
	answers := bufio.NewReader(conn)
	line, err := answers.ReadString('\n')
	require.NoError(t, err)
	require.Contains(t, line, "100 Continue", "the handler has begun to read")

	b.stop()
	require.Eventually(t, func() bool {
		late, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
		if err == nil {
			_ = late.Close()
		}
		return err != nil
	}, 5*time.Second, 5*time.Millisecond, "takes nothing new")
	_, err = conn.Write(body)
	require.NoError(t, err)
	_, err = answers.ReadString('\n') // the line that ends the 100
	require.NoError(t, err)
	line, err = answers.ReadString('\n')
	require.NoError(t, err)
	require.Contains(t, line, "200 OK", "what is in flight is finished")
	err = <-b.done
	b.done <- err
	require.NoError(t, err)
	b.stored(t, 1)
}

func TestPortTaken(t *testing.T) {
	t.Parallel()
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, taken.Close()) }()
	port := taken.Addr().(*net.TCPAddr).Port //nolint:errcheck,forcetypeassert // it is one
	err = ingress.Run(t.Context(), configOf(t, func(c *ingress.Config) { c.Port = port }))
	require.ErrorContains(t, err, "127.0.0.1:"+strconv.Itoa(port))
	require.ErrorContains(t, err, "HOST and PORT")
	require.ErrorContains(t, err, "address already in use")
}

func TestConfig(t *testing.T) {
	t.Parallel()
	_, err := config.Load[ingress.Config]([]string{
		"HOST=nowhere at all", "PORT=70000", "MAX_BODY_BYTES=1", "SPOOL_MAX_BYTES=1", "RATE_LIMIT_PER_IP=-1", "TRUSTED_PROXIES=10.0.0.0/8,x", "FACEBOOK_APP_SECRET= , ", "NATS_URL=http://x", "LOG_LEVEL=loud",
	})
	for _, name := range []string{
		"HOST:", "PORT:", "MAX_BODY_BYTES:", "SPOOL_MAX_BYTES:", "RATE_LIMIT_PER_IP:", "TRUSTED_PROXIES:", "FACEBOOK_APP_SECRET:", "FACEBOOK_VERIFY_TOKEN:", "INSTAGRAM_PAGE_ID:", "NATS_URL:", "LOG_LEVEL:",
	} {
		require.ErrorContains(t, err, name)
	}
	cfg := configOf(t)
	require.Equal(t, int64(8<<20), cfg.MaxBodyBytes)
	require.NotContains(t, fmt.Sprintf("%v %+v", cfg, cfg), "secret", "secrets do not print")
}
