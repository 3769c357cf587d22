package view_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/services/console/internal/view"
)

var now = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

func TestTimesAreSaidAsPeopleDo(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "just now", 44 * time.Second: "just now", 50 * time.Second: "1 min ago", 5 * time.Minute: "5 min ago", 90 * time.Minute: "1 h ago",
		30 * time.Hour: "1 day ago", 72 * time.Hour: "3 days ago", 10 * 24 * time.Hour: "15 Nov", 400 * 24 * time.Hour: "21 Oct 2025",
		-10 * time.Second: "in a moment", -3 * time.Hour: "in 3 h",
	} {
		require.Equal(t, want, view.Ago(now.Add(-d), now), d.String())
	}
	require.Equal(t, "11:59", view.Clock(now.Add(-time.Minute), now))
	require.Equal(t, "24 Nov, 12:00", view.Clock(now.Add(-24*time.Hour), now))
}

func TestOnlyLinksToTheWebAreLinks(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"https://example.com/a?b=c": "https://example.com/a?b=c", "http://example.com": "http://example.com",
		"javascript:alert(1)": "", "JaVaScRiPt:alert(1)": "", "\tjavascript:alert(1)": "", "java\nscript:alert(1)": "", "data:text/html,x": "",
		"vbscript:x": "", "//evil.example": "", "/inbox": "", "https://user:pw@example.com": "", "": "", "https://": "",
	} {
		require.Equal(t, want, view.Link(raw), raw)
	}
}

func TestNumbersAndInitials(t *testing.T) {
	t.Parallel()
	require.Equal(t, "1,234,567", view.Number(1234567))
	require.Equal(t, "-1,000", view.Number(-1000))
	require.Equal(t, "999", view.Number(int64(999)))
	for name, want := range map[string]string{"Ann Lee": "AL", "ann@example.com": "AE", "": "?", "<script>": "S", "Жанна д'Арк": "ЖД", "🎉": "?"} {
		require.Equal(t, want, view.Initials(name), name)
	}
}

func TestEveryTemplateIsParsedAndAnUnknownOneIsAnError(t *testing.T) {
	t.Parallel()
	r, err := view.New(func() time.Time { return now })
	require.NoError(t, err)
	var out bytes.Buffer
	require.ErrorContains(t, r.Page(&out, "no/such", view.Frame{}), "no such template")
	require.NoError(t, r.Page(&out, "error/error", view.Frame{Title: "<b>", Data: map[string]any{"Text": `"><img src=x>`, "RequestID": ""}}))
	require.NotContains(t, out.String(), "<img src=x>")
	require.NotContains(t, out.String(), "style=")
}

func TestAssetsAreKeptForEverUnderTheirSum(t *testing.T) {
	t.Parallel()
	get := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		view.Assets().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody))
		return w
	}
	w := get(view.Asset("console.css"))
	require.Equal(t, http.StatusOK, w.Code)
	require.Contains(t, w.Header().Get("Cache-Control"), "immutable")
	require.Contains(t, w.Header().Get("Content-Type"), "text/css")
	require.Equal(t, "no-cache", get("/assets/another/console.css").Header().Get("Cache-Control"), "of another version")
	for _, path := range []string{"/assets/", "/assets/x", "/assets/x/", "/assets/x/../view.go", "/assets/x/nothing.css"} {
		require.Equal(t, http.StatusNotFound, get(path).Code, path)
	}
}
