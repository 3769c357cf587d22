package media_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/mediastore"
	"github.com/parley-dm/parley/pkg/postgres/pgtest"
	"github.com/parley-dm/parley/pkg/publicnet"
	"github.com/parley-dm/parley/services/archiver/internal/media"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// pixel is a whole PNG of one pixel.
const pixel = "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89\x00\x00\x00\rIDATx\x9cc\xf8\xff\xff?\x00\x05\xfe\x02\xfe\xa75\x81\x84\x00\x00\x00\x00IEND\xaeB`\x82"

func serve(t *testing.T, h http.HandlerFunc) (*httptest.Server, string) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s, strings.TrimPrefix(s.URL, "http://")
}

// fetch fetches into a file of its own.
func fetch(t *testing.T, f *media.Fetcher, url string) (mediastore.Info, string, error) {
	t.Helper()
	to, err := os.Create(filepath.Join(t.TempDir(), "file"))
	require.NoError(t, err)
	defer func() { require.NoError(t, to.Close()) }()
	info, err := f.Fetch(t.Context(), url, to)
	content, readErr := os.ReadFile(to.Name())
	require.NoError(t, readErr)
	return info, string(content), err
}

func fetcher(t *testing.T, o media.FetcherOptions) *media.Fetcher {
	t.Helper()
	if o.MaxBytes == 0 {
		o.MaxBytes = 1 << 20
	}
	f := media.NewFetcher(o)
	t.Cleanup(f.Close)
	return f
}

func TestFilesAreTypedByTheirContent(t *testing.T) {
	t.Parallel()
	files := map[string]struct{ claimed, content, want string }{
		"/png":   {"text/html", pixel, "image/png"},
		"/mp3":   {"video/mp4", "\xff\xfb\x90\xc4" + strings.Repeat("\x00", 413), "audio/mpeg"},
		"/heic":  {"image/jpeg", "\x00\x00\x00\x18ftypheic\x00\x00\x00\x00heicmif1", "image/heic"},
		"/m4a":   {"video/mp4", "\x00\x00\x00\x18ftypM4A \x00\x00\x00\x00M4A mp42", "audio/x-m4a"},
		"/pdf":   {"image/png", "%PDF-1.4\n", "application/pdf"},
		"/other": {"image/png", "\x00\x01\x02\x03", "application/octet-stream"},
	}
	_, host := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.UserAgent() != "Parley" {
			t.Errorf("asked as %s", r.UserAgent())
		}
		w.Header().Set("Content-Type", files[r.URL.Path].claimed)
		_, _ = io.WriteString(w, files[r.URL.Path].content)
	})
	f := fetcher(t, media.FetcherOptions{Trusted: []string{host}})
	for path, want := range files {
		info, content, err := fetch(t, f, "http://"+host+path)
		require.NoError(t, err, path)
		require.Equal(t, want.content, content, path)
		require.Equal(t, want.want, info.ContentType, path)
		require.EqualValues(t, len(want.content), info.Bytes, path)
		require.Len(t, info.SHA256, 64)
	}
}

// Nothing that a link says makes the archiver call what only it can reach.
func TestOnlyPublicAddressesAreAsked(t *testing.T) {
	t.Parallel()
	asked := false
	_, host := serve(t, func(http.ResponseWriter, *http.Request) { asked = true })
	port := host[strings.LastIndexByte(host, ':'):]
	f := fetcher(t, media.FetcherOptions{})
	for _, url := range []string{
		"https://127.0.0.1" + port, "https://localhost" + port, "https://[::1]" + port, "https://[::ffff:127.0.0.1]" + port, "https://0.0.0.0" + port, "https://127.1" + port,
		"https://2130706433" + port, "https://10.0.0.1/", "https://192.168.0.1/", "https://100.64.0.1/", "https://169.254.169.254/latest/meta-data/", "https://[fd00:ec2::254]/", "https://[fe80::1]/",
		"https://[64:ff9b::7f00:1]/", "https://[::a9fe:a9fe]/",
	} {
		_, _, err := fetch(t, f, url)
		require.Error(t, err, url)
		var failure *media.FetchError
		if errors.As(err, &failure) && failure.Reason != "its host is not known" { // 127.1 is a name to some resolvers
			require.Equal(t, publicnet.ErrPrivate.Error(), failure.Reason, url)
			require.Equal(t, 1, failure.Tries, url)
		}
	}
	for url, reason := range map[string]string{
		"http://" + host: "its URL is not https", "ftp://example.com/x": "its URL is not https", "file:///etc/passwd": "its URL cannot be used",
		"https://user:secret@example.com/": "its URL cannot be used", "https://": "its URL cannot be used", "": "its URL cannot be used", "::": "its URL cannot be used",
	} {
		_, _, err := fetch(t, f, url)
		require.EqualError(t, err, reason, url)
	}
	require.False(t, asked)
}

func TestRedirectsAreBoundedAndLeadNowhereElse(t *testing.T) {
	t.Parallel()
	_, inside := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("what is not trusted was asked") })
	_, host := serve(t, func(w http.ResponseWriter, r *http.Request) {
		var n int
		_, _ = fmt.Sscanf(r.URL.Path, "/times/%d", &n)
		switch {
		case r.URL.Path == "/inside":
			http.Redirect(w, r, "https://"+inside+"/", http.StatusFound)
		case r.URL.Path == "/plain":
			http.Redirect(w, r, "http://"+inside+"/", http.StatusFound)
		case r.URL.Path == "/metadata":
			http.Redirect(w, r, "https://169.254.169.254/", http.StatusFound)
		case n > 0:
			if r.Referer() != "" {
				t.Error("the link is nobody else's business")
			}
			http.Redirect(w, r, fmt.Sprintf("/times/%d?token=secret", n-1), http.StatusFound)
		default:
			_, _ = io.WriteString(w, pixel)
		}
	})
	f := fetcher(t, media.FetcherOptions{Trusted: []string{host}})
	_, content, err := fetch(t, f, "http://"+host+"/times/3")
	require.NoError(t, err)
	require.Equal(t, pixel, content)
	for path, reason := range map[string]string{
		"/times/4": "too many redirects", "/inside": publicnet.ErrPrivate.Error(), "/plain": "redirected to what is not https", "/metadata": publicnet.ErrPrivate.Error(),
	} {
		_, _, err := fetch(t, f, "http://"+host+path)
		require.EqualError(t, err, reason, path)
	}
}

func TestWhatIsNoFileIsRefused(t *testing.T) {
	t.Parallel()
	_, host := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/large": // says so
			w.Header().Set("Content-Length", "5000")
			_, _ = w.Write(make([]byte, 5000))
		case "/endless": // does not
			for range 100 {
				_, _ = w.Write(make([]byte, 1000))
				w.(http.Flusher).Flush() //nolint:errcheck,forcetypeassert // it is one
			}
		case "/broken":
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, pixel[:20])
		case "/page":
			w.Header().Set("Content-Type", "image/png")
			_, _ = io.WriteString(w, "<!doctype html><title>Sign in</title>")
		case "/json":
			_, _ = io.WriteString(w, `{"error":{"message":"no"}}`)
		case "/empty":
		case "/gone":
			http.Error(w, "URL signature expired", http.StatusForbidden)
		case "/busy":
			http.Error(w, "later", http.StatusTooManyRequests)
		case "/ill":
			http.Error(w, "later", http.StatusBadGateway)
		}
	})
	f := fetcher(t, media.FetcherOptions{MaxBytes: 4096, Trusted: []string{host}})
	for path, want := range map[string]media.FetchError{
		"/large": {Reason: "larger than 4096 bytes (MEDIA_MAX_BYTES)", Tries: 1}, "/endless": {Reason: "larger than 4096 bytes (MEDIA_MAX_BYTES)", Tries: 1},
		"/page": {Reason: "answered with text/html, which is no medium", Tries: 4}, "/json": {Reason: "answered with application/json, which is no medium", Tries: 4},
		"/empty": {Reason: "answered with nothing", Tries: 4}, "/gone": {Reason: "answered 403", Tries: 4},
		"/busy": {Reason: "answered 429"}, "/ill": {Reason: "answered 502"},
	} {
		_, _, err := fetch(t, f, "http://"+host+path+"?token=secret")
		var failure *media.FetchError
		require.ErrorAs(t, err, &failure, path)
		require.Equal(t, want, *failure, path)
	}
	_, _, err := fetch(t, f, "http://"+host+"/broken?token=secret")
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.NotContains(t, err.Error(), "secret")
}
