package signed_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/parley-dm/parley/pkg/signed"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var private = signed.Reach{Private: true, Setting: "X_PRIVATE"}

func TestASignatureIsThatOfTheBody(t *testing.T) {
	t.Parallel()
	require.Equal(t, "sha256=233dc4b90d1914d4ecc4d321792feda0c54e5ac9e9ce48e75431569782a37a63", signed.Sign("demo-secret", []byte(`{"a":1}`)), "as Meta's of the same")
}

func TestAPostCarriesWhatItIs(t *testing.T) {
	t.Parallel()
	answer := make(chan func(http.ResponseWriter), 1)
	got := make(chan *http.Request, 1)
	bodies := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- r
		bodies <- string(body)
		(<-answer)(w)
	}))
	t.Cleanup(server.Close)
	client := private.Client(5*time.Second, 2)
	t.Cleanup(client.CloseIdleConnections)
	m := signed.Message{URL: server.URL + "/in?token=hidden", Secret: "s", Event: "e", ID: "1", Body: []byte(`{"a":1}`)}
	post := func(f func(http.ResponseWriter)) (int, error) {
		answer <- f
		return signed.Post(t.Context(), client, m)
	}

	status, err := post(func(w http.ResponseWriter) { w.WriteHeader(http.StatusAccepted) })
	require.NoError(t, err)
	require.Equal(t, http.StatusAccepted, status)
	r := <-got
	require.Equal(t, `{"a":1}`, <-bodies)
	require.Equal(t, []string{signed.Sign("s", []byte(`{"a":1}`)), "e", "1", "application/json"},
		[]string{r.Header.Get(signed.Header), r.Header.Get(signed.EventHeader), r.Header.Get(signed.DeliveryHeader), r.Header.Get("Content-Type")})

	var refused *signed.RefusedError
	_, err = post(func(w http.ResponseWriter) {
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	require.ErrorAs(t, err, &refused)
	require.Equal(t, signed.RefusedError{Status: 503, RetryAfter: 7 * time.Second}, *refused)
	<-got
	<-bodies
	status, err = post(func(w http.ResponseWriter) { w.Header().Set("Location", "/elsewhere"); w.WriteHeader(http.StatusFound) })
	require.ErrorAs(t, err, &refused)
	require.Equal(t, http.StatusFound, status, "a redirect is not followed")

	server.Close()
	_, err = signed.Post(t.Context(), client, m)
	require.Error(t, err)
	require.NotContains(t, err.Error(), "hidden")
}

func TestWhoMayNotBeCalled(t *testing.T) {
	t.Parallel()
	public := signed.Reach{Setting: "X_PRIVATE"}
	for _, raw := range []string{
		"https://127.0.0.1/", "https://10.0.0.7/x", "https://192.168.1.1/", "https://169.254.169.254/latest", "https://100.64.0.1/", "https://[::1]/", "https://[fd00::1]/",
		"https://[::ffff:10.0.0.1]/", "https://0.0.0.0/", "https://[fe80::1%25eth0]/",
	} {
		require.ErrorIs(t, public.Check(raw), signed.ErrPrivate, raw)
		require.NoError(t, private.Check(raw), raw)
	}
	for _, raw := range []string{"http://example.com/", "ftp://example.com/", "https://user:secret@example.com/", "https://example.com/#x", "example.com", "", "https://", "\x00"} {
		err := public.Check(raw)
		require.Error(t, err, raw)
		require.NotContains(t, err.Error(), "secret")
	}
	require.NoError(t, public.Check("https://example.com/in?token=x"))
	require.NoError(t, private.Check("http://desk:8080/in"))

	// A name is looked up when it is called: what it is then decides.
	server := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	client := public.Client(5*time.Second, 1)
	t.Cleanup(client.CloseIdleConnections)
	_, err := signed.Post(t.Context(), client, signed.Message{URL: server.URL})
	require.ErrorIs(t, err, signed.ErrPrivate)
	require.ErrorContains(t, err, "X_PRIVATE")
}
