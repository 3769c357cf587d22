package hooks_test

import (
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/parley-dm/parley/pkg/signed"
	"github.com/parley-dm/parley/services/console/internal/hooks"
	"github.com/parley-dm/parley/services/console/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second

// queue plays the store: what is due once, and what came of it.
type queue struct {
	due      chan store.DueDelivery
	finished chan store.DeliveryResult
}

func (q *queue) Webhooks(context.Context) ([]store.Webhook, error) { return nil, nil }

func (q *queue) AddDelivery(context.Context, store.NewDelivery) error { return nil }

func (q *queue) DueDeliveries(context.Context, int, time.Duration) ([]store.DueDelivery, error) {
	select {
	case d := <-q.due:
		return []store.DueDelivery{d}, nil
	default:
		return nil, nil
	}
}

func (q *queue) FinishDelivery(_ context.Context, r store.DeliveryResult) error {
	q.finished <- r
	return nil
}

// post has one delivery posted to an address, and says what came of it.
func post(t *testing.T, o hooks.Options, url string) store.DeliveryResult {
	t.Helper()
	o.Log, o.Now = slog.New(slog.DiscardHandler), time.Now
	q := &queue{due: make(chan store.DueDelivery, 1), finished: make(chan store.DeliveryResult, 1)}
	q.due <- store.DueDelivery{ID: 1, Event: store.EventSent, Body: []byte(`{"id":"1"}`), Attempts: 1, URL: url, Secret: "s", Active: true}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- hooks.New(q, o).Deliver(ctx) }()
	defer func() {
		cancel()
		require.NoError(t, <-done)
	}()
	select {
	case r := <-q.finished:
		return r
	case <-time.After(patience):
		require.FailNow(t, "nothing came of it")
		return store.DeliveryResult{}
	}
}

// counting is a program that must not be called, or must.
func counting(t *testing.T, h http.HandlerFunc) (server *httptest.Server, calls *atomic.Int64) {
	t.Helper()
	calls = &atomic.Int64{}
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		h(w, r)
	}))
	t.Cleanup(server.Close)
	return server, calls
}

// resolver plays the name server of somebody hostile: every name is at one IPv4 address.
func resolver(t *testing.T, ip net.IP) *net.Resolver {
	t.Helper()
	server, err := net.ListenPacket("udp", "127.0.0.1:0") //nolint:noctx // a test's
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for b := make([]byte, 512); ; {
			n, from, err := server.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = server.WriteTo(answer(b[:n], ip), from)
		}
	}()
	t.Cleanup(func() {
		require.NoError(t, server.Close())
		<-done
	})
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", server.LocalAddr().String())
	}}
}

// answer answers a question of DNS (RFC 1035, 4.1): with the address where one of type A is asked for, else with nothing.
func answer(query []byte, ip net.IP) []byte {
	end := 12
	for query[end] != 0 {
		end += int(query[end]) + 1
	}
	end += 5 // the root, the type, the class
	out := append([]byte{query[0], query[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, query[12:end]...)
	if binary.BigEndian.Uint16(query[end-4:]) == 1 {
		out[7] = 1
		out = append(out, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
		out = append(out, ip.To4()...)
	}
	return out
}

func TestANameThatIsOnThisMachineIsNotCalled(t *testing.T) {
	t.Parallel()
	inside, calls := counting(t, func(http.ResponseWriter, *http.Request) {})
	_, port, err := net.SplitHostPort(inside.Listener.Addr().String())
	require.NoError(t, err)
	for _, ip := range []net.IP{{127, 0, 0, 1}, {10, 0, 0, 1}, {169, 254, 169, 254}, {0, 0, 0, 0}} {
		r := post(t, hooks.Options{Resolver: resolver(t, ip)}, "http://hooks.example.com:"+port+"/in")
		require.Contains(t, r.Error, "not a public one", ip)
		require.Zero(t, r.Again, "it is not tried again, for as often it would be refused")
		require.Zero(t, r.Status)
	}
	require.Zero(t, calls.Load())

	r := post(t, hooks.Options{AllowPrivate: true, Resolver: resolver(t, net.IP{127, 0, 0, 1})}, "http://hooks.example.com:"+port+"/in")
	require.Empty(t, r.Error, "where it is allowed the name is found, and called")
	require.Equal(t, int64(1), calls.Load())
}

func TestAddressesOfThisMachineAreNotCalledHoweverTheyAreWritten(t *testing.T) {
	t.Parallel()
	inside, calls := counting(t, func(http.ResponseWriter, *http.Request) {})
	_, port, err := net.SplitHostPort(inside.Listener.Addr().String())
	require.NoError(t, err)
	h := hooks.New(nil, hooks.Options{})
	for _, host := range []string{"127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]", "0.0.0.0", "[::]", "100.64.0.1", "[fe80::1]"} {
		require.ErrorContains(t, h.CheckURL("https://"+host+"/in"), "not a public one", host)
		r := post(t, hooks.Options{}, "http://"+host+":"+port+"/in") // as if it had been let in
		require.Contains(t, r.Error, "not a public one", host)
	}
	require.Zero(t, calls.Load())
	require.NoError(t, h.CheckURL("https://example.com/in"))
	for _, bad := range []string{"http://example.com/in", "ftp://example.com", "https://user:pw@example.com", "https://", "example.com", "https://example.com/#a", ""} {
		require.Error(t, h.CheckURL(bad), bad)
	}
}

func TestARedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	inside, calls := counting(t, func(http.ResponseWriter, *http.Request) {})
	for _, status := range []int{http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		outside, asked := counting(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, inside.URL, status)
		})
		r := post(t, hooks.Options{AllowPrivate: true}, outside.URL)
		require.Equal(t, status, r.Status)
		require.NotEmpty(t, r.Error)
		require.NotZero(t, r.Again)
		require.Equal(t, int64(1), asked.Load())
	}
	require.Zero(t, calls.Load())
}

func TestWhatIsPostedIsSigned(t *testing.T) {
	t.Parallel()
	var signature, body string
	outside, _ := counting(t, func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		signature, body = r.Header.Get("X-Parley-Signature-256"), string(b)
	})
	require.Empty(t, post(t, hooks.Options{AllowPrivate: true}, outside.URL).Error)
	require.Equal(t, signed.Sign("s", []byte(body)), signature)
}
