package embednats_test

import (
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/parley-dm/parley/pkg/telemetry/logtest"
	"github.com/parley-dm/parley/services/standalone/internal/embednats"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T, o embednats.Options) *embednats.Server {
	t.Helper()
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s, err := embednats.Start(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

func connect(t *testing.T, url string, opts ...nats.Option) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect(url, opts...)
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	return js
}

func TestItListensToNobodyUnlessAsked(t *testing.T) {
	t.Parallel()
	s := start(t, embednats.Options{Dir: t.TempDir()})
	require.Empty(t, s.URL())
	require.NoError(t, s.Ready(t.Context()))
	js := connect(t, "", nats.InProcessServer(s))
	_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}})
	require.NoError(t, err)
}

func TestMessagesOutliveTheServer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := start(t, embednats.Options{Dir: dir, Listen: "127.0.0.1:0", Sync: embednats.Sync{Always: true, Interval: time.Minute}})
	js := connect(t, s.URL())
	_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}})
	require.NoError(t, err)
	_, err = js.Publish(t.Context(), "s.1", []byte("kept"))
	require.NoError(t, err)
	s.Close()
	require.ErrorContains(t, s.Ready(t.Context()), "does not run")

	again := start(t, embednats.Options{Dir: dir})
	stream, err := connect(t, "", nats.InProcessServer(again)).Stream(t.Context(), "S")
	require.NoError(t, err)
	m, err := stream.GetMsg(t.Context(), 1)
	require.NoError(t, err)
	require.Equal(t, "kept", string(m.Data))
}

func TestStreamsMayBeLargerThanTheDisk(t *testing.T) {
	t.Parallel()
	const more = 1 << 50
	s := start(t, embednats.Options{Dir: t.TempDir(), Reserve: more})
	_, err := connect(t, "", nats.InProcessServer(s)).CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}, MaxBytes: more})
	require.NoError(t, err)
}

func TestAPortThatIsTakenIsAnError(t *testing.T) {
	t.Parallel()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	var lines logtest.Buffer
	_, err = embednats.Start(t.Context(), embednats.Options{Dir: t.TempDir(), Listen: l.Addr().String(), Log: slog.New(slog.NewTextHandler(&lines, nil))})
	require.ErrorContains(t, err, "address already in use")
	require.Contains(t, lines.String(), "msg=nats.server")

	_, err = embednats.Start(t.Context(), embednats.Options{Dir: t.TempDir(), Listen: "nowhere"})
	require.ErrorContains(t, err, "listen on nowhere")
}

func TestParseSync(t *testing.T) {
	t.Parallel()
	s, err := embednats.ParseSync("always")
	require.NoError(t, err)
	require.True(t, s.Always)
	s, err = embednats.ParseSync("10s")
	require.NoError(t, err)
	require.Equal(t, embednats.Sync{Interval: 10 * time.Second}, s)
	for _, bad := range []string{"", "sometimes", "0s", "-1s", "1ms"} {
		_, err := embednats.ParseSync(bad)
		require.Error(t, err, bad)
	}
}
