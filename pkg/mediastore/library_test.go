package mediastore_test

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/mediastore"
)

// answered is what a library answers with to a request for a key, as far as it goes; part is a Range, if not empty.
func answered(t *testing.T, l *mediastore.Library, key, part string) (*httptest.ResponseRecorder, string, error) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/x", http.NoBody)
	if part != "" {
		r.Header.Set("Range", part)
	}
	w := httptest.NewRecorder()
	w.Header().Set("Content-Type", "image/png")
	err := l.Serve(w, r, key)
	return w, w.Body.String(), err
}

// requireReads has a library read what a store keeps.
func requireReads(t *testing.T, s mediastore.Store, l *mediastore.Library) {
	t.Helper()
	const key = "178/2026-11/a"
	name, err := l.Name()
	require.NoError(t, err)
	require.Equal(t, s.Name(), name)
	_, _, err = answered(t, l, key, "")
	require.ErrorIs(t, err, fs.ErrNotExist)

	require.NoError(t, put(t, s, key, "0123456789"))
	whole, body, err := answered(t, l, key, "")
	require.NoError(t, err)
	require.Equal(t, "0123456789", body)
	require.Equal(t, http.StatusOK, whole.Code)
	require.Equal(t, []string{"image/png", "10", "bytes"}, []string{whole.Header().Get("Content-Type"), whole.Header().Get("Content-Length"), whole.Header().Get("Accept-Ranges")})

	part, body, err := answered(t, l, key, "bytes=2-4")
	require.NoError(t, err)
	require.Equal(t, "234", body, "as players ask that are moved")
	require.Equal(t, http.StatusPartialContent, part.Code)
	require.Equal(t, []string{"3", "bytes 2-4/10"}, []string{part.Header().Get("Content-Length"), part.Header().Get("Content-Range")})

	part, _, err = answered(t, l, key, "bytes=90-")
	require.NoError(t, err)
	require.Equal(t, http.StatusRequestedRangeNotSatisfiable, part.Code)
	require.Equal(t, "bytes */10", part.Header().Get("Content-Range"))

	require.NoError(t, s.Remove(t.Context(), key))
	_, _, err = answered(t, l, key, "")
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestALibraryReadsAFolder(t *testing.T) {
	t.Parallel()
	settings := mediastore.Settings{Dir: filepath.Join(t.TempDir(), "media")}
	l := settings.Library()
	defer func() { require.NoError(t, l.Close()) }()
	_, err := l.Name()
	require.ErrorContains(t, err, "MEDIA_DIR")
	require.NoDirExists(t, settings.Dir, "it makes nothing")
	require.NoError(t, os.Mkdir(settings.Dir, 0o750))
	_, err = l.Name()
	require.ErrorContains(t, err, "no archiver's folder")

	s, err := settings.Store()
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	requireReads(t, s, l)
	require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(settings.Dir), "secret"), []byte("secret"), 0o600))
	for _, key := range []string{"../secret", "/etc/passwd", ".incoming", "."} {
		_, body, err := answered(t, l, key, "")
		require.Error(t, err, key)
		require.Empty(t, body)
	}
}

func TestALibraryReadsABucket(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(&bucket{objects: map[string]string{}, types: map[string]string{}})
	t.Cleanup(server.Close)
	settings := mediastore.Settings{Endpoint: server.URL, Bucket: "shop-media", Region: region, AccessKey: accessKey, SecretKey: secretKey}
	s, err := settings.Store()
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	l := settings.Library()
	requireReads(t, s, l)
	require.NoError(t, l.Close())

	settings.SecretKey = "wrong"
	wrong := settings.Library()
	_, _, err = answered(t, wrong, "178/2026-11/a", "")
	require.EqualError(t, err, "S3 answered 403 SignatureDoesNotMatch")
	require.NotErrorIs(t, err, fs.ErrNotExist)
	require.NoError(t, wrong.Close())
	server.Close()
	_, _, err = answered(t, l, "178/2026-11/a", "")
	require.ErrorContains(t, err, "ask S3: ")
	require.NotContains(t, err.Error(), "178", "a key names an account")
}

func TestSettingsSayWhereItIs(t *testing.T) {
	t.Parallel()
	load := func(environ string) (mediastore.Settings, error) {
		return config.Load[mediastore.Settings](strings.Fields(environ))
	}
	none, err := load("")
	require.NoError(t, err)
	require.False(t, none.Keeps(), "nothing is kept unless somebody asks for it")
	require.Nil(t, none.Library())
	amazon, err := load("MEDIA_S3_BUCKET=b MEDIA_S3_ACCESS_KEY=a MEDIA_S3_SECRET_KEY=s MEDIA_S3_REGION=eu-west-1")
	require.NoError(t, err)
	require.True(t, amazon.Keeps())
	require.Equal(t, "***", amazon.SecretKey.String())
	name, err := amazon.Library().Name()
	require.NoError(t, err)
	require.Equal(t, "s3:s3.eu-west-1.amazonaws.com/b", name)
	_, err = load("MEDIA_DIR=x MEDIA_S3_BUCKET=a/b MEDIA_S3_ENDPOINT=x")
	for _, variable := range []string{"MEDIA_DIR", "MEDIA_S3_BUCKET", "MEDIA_S3_ENDPOINT", "MEDIA_S3_ACCESS_KEY", "MEDIA_S3_SECRET_KEY"} {
		require.ErrorContains(t, err, variable+": ")
	}
}
