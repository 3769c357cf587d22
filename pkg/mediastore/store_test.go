package mediastore_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/mediastore"
)

// put keeps a content under a key.
func put(t *testing.T, s mediastore.Store, key, content string) error {
	t.Helper()
	draft, err := s.Draft()
	require.NoError(t, err)
	defer draft.Discard()
	_, err = draft.WriteString(content)
	require.NoError(t, err)
	sum := sha256.Sum256([]byte(content))
	return s.Keep(t.Context(), draft, key, mediastore.Info{ContentType: "image/png", Bytes: int64(len(content)), SHA256: hex.EncodeToString(sum[:])})
}

// files are those of a folder, by their paths in it.
func files(t *testing.T, folder string) []string {
	t.Helper()
	var out []string
	require.NoError(t, filepath.WalkDir(folder, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && d.Name() != ".parley-media" {
			rel, relErr := filepath.Rel(folder, path)
			require.NoError(t, relErr)
			out = append(out, rel)
		}
		return err
	}))
	return out
}

func TestAFolderHasWholeFilesOnly(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "made", "by", "it")
	d, err := mediastore.OpenDir(folder)
	require.NoError(t, err)
	defer func() { require.NoError(t, d.Close()) }()
	require.NoError(t, put(t, d, "178/2026-11/a", "one"))
	require.NoError(t, put(t, d, "178/2026-11/a", "another"), "an attempt that is made again")
	require.Equal(t, []string{"178/2026-11/a"}, files(t, folder))
	content, err := os.ReadFile(folder + "/178/2026-11/a")
	require.NoError(t, err)
	require.Equal(t, "another", string(content))

	draft, err := d.Draft()
	require.NoError(t, err)
	_, err = draft.WriteString("half")
	require.NoError(t, err)
	require.Len(t, files(t, folder), 2)
	draft.Discard()
	require.Equal(t, []string{"178/2026-11/a"}, files(t, folder))

	for _, key := range []string{"../outside", "/etc/outside", "178/../../outside"} {
		require.Error(t, put(t, d, key, "x"), key)
		require.Error(t, d.Remove(t.Context(), key), key)
	}
	require.NoError(t, d.Remove(t.Context(), "178/2026-11/a"))
	require.NoError(t, d.Remove(t.Context(), "178/2026-11/a"), "it is gone already")
	require.NoError(t, d.Remove(t.Context(), "999/2026-11/never"))
	require.Empty(t, files(t, folder))
}

// What a process that was killed left half written is removed, and not what another one is writing.
func TestAFolderIsKnownAgainAndTidiedUp(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	var names []string
	var all sync.WaitGroup
	var mu sync.Mutex
	for range 8 { // archivers that start at once agree on its name
		all.Go(func() {
			d, err := mediastore.OpenDir(folder)
			if err == nil {
				mu.Lock()
				names = append(names, d.Name())
				mu.Unlock()
				err = d.Close()
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	require.Len(t, slices.Compact(names), 1)
	require.Empty(t, files(t, folder))

	old, young := filepath.Join(folder, ".incoming", "old"), filepath.Join(folder, ".incoming", "young")
	for _, path := range []string{old, young} {
		require.NoError(t, os.WriteFile(path, []byte("half"), 0o600))
	}
	require.NoError(t, os.Chtimes(old, time.Time{}, time.Now().Add(-2*time.Hour)))
	d, err := mediastore.OpenDir(folder)
	require.NoError(t, err)
	require.NoError(t, d.Close())
	require.Equal(t, []string{".incoming/young"}, files(t, folder))

	other, err := mediastore.OpenDir(t.TempDir())
	require.NoError(t, err)
	require.NotEqual(t, d.Name(), other.Name())
	require.NoError(t, other.Close())
	_, err = mediastore.OpenDir(young)
	require.ErrorContains(t, err, "MEDIA_DIR")
}

// bucket is a service that speaks S3, as strict as Amazon's in what it checks: who asks, the signature over what came, the hash
// of the body, its length. It is written from Amazon's description of Signature Version 4.
type bucket struct {
	mu      sync.Mutex
	objects map[string]string
	types   map[string]string
	fail    bool
}

const (
	accessKey = "AKIDEXAMPLE"
	secretKey = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
	region    = "eu-central-1"
)

func (b *bucket) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	sum := sha256.Sum256(body)
	refuse := func(status int, code string) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>`+code+`</Code><Message>no</Message></Error>`)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	name, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	switch {
	case err != nil || r.ContentLength != int64(len(body)):
		refuse(http.StatusBadRequest, "IncompleteBody")
	case !signed(r):
		refuse(http.StatusForbidden, "SignatureDoesNotMatch")
	case r.Header.Get("X-Amz-Content-Sha256") != hex.EncodeToString(sum[:]):
		refuse(http.StatusBadRequest, "XAmzContentSHA256Mismatch")
	case name != "shop-media":
		refuse(http.StatusNotFound, "NoSuchBucket")
	case b.fail:
		refuse(http.StatusServiceUnavailable, "SlowDown")
	case r.Method == http.MethodPut:
		b.objects[key], b.types[key] = string(body), r.Header.Get("Content-Type")
	case r.Method == http.MethodDelete:
		delete(b.objects, key)
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodGet && b.objects[key] == "":
		refuse(http.StatusNotFound, "NoSuchKey")
	case r.Method == http.MethodGet:
		http.ServeContent(w, r, key, time.Time{}, strings.NewReader(b.objects[key]))
	default:
		refuse(http.StatusMethodNotAllowed, "MethodNotAllowed")
	}
}

// signed checks a signature.
func signed(r *http.Request) bool {
	fields := map[string]string{}
	kind, rest, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	for _, part := range strings.Split(rest, ", ") {
		name, value, _ := strings.Cut(part, "=")
		fields[name] = value
	}
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if kind != "AWS4-HMAC-SHA256" || err != nil || time.Since(at).Abs() > 15*time.Minute {
		return false
	}
	scope := at.Format("20060102") + "/" + region + "/s3/aws4_request"
	if fields["Credential"] != accessKey+"/"+scope {
		return false
	}
	names := strings.Split(fields["SignedHeaders"], ";")
	for _, needed := range []string{"host", "x-amz-content-sha256", "x-amz-date"} {
		if !slices.Contains(names, needed) {
			return false
		}
	}
	canonical := r.Method + "\n" + r.URL.EscapedPath() + "\n" + r.URL.RawQuery + "\n"
	for _, name := range names {
		value := r.Header.Get(name)
		switch name {
		case "host":
			value = r.Host
		case "content-length":
			value = r.Header.Get("Content-Length")
			if value == "" {
				value = strconv.FormatInt(r.ContentLength, 10)
			}
		}
		canonical += name + ":" + strings.TrimSpace(value) + "\n"
	}
	canonical += "\n" + fields["SignedHeaders"] + "\n" + r.Header.Get("X-Amz-Content-Sha256")
	hash := sha256.Sum256([]byte(canonical))
	text := "AWS4-HMAC-SHA256\n" + at.Format("20060102T150405Z") + "\n" + scope + "\n" + hex.EncodeToString(hash[:])
	key := []byte("AWS4" + secretKey)
	for _, part := range []string{at.Format("20060102"), region, "s3", "aws4_request", text} {
		mac := hmac.New(sha256.New, key)
		_, _ = mac.Write([]byte(part))
		key = mac.Sum(nil)
	}
	return hmac.Equal([]byte(fields["Signature"]), []byte(hex.EncodeToString(key)))
}

func TestABucketOfAServiceThatSpeaksS3(t *testing.T) {
	t.Parallel()
	b := &bucket{objects: map[string]string{}, types: map[string]string{}}
	server := httptest.NewServer(b)
	t.Cleanup(server.Close)
	host := strings.TrimPrefix(server.URL, "http://")
	o := mediastore.S3Options{Endpoint: server.URL, Bucket: "shop-media", Region: region, AccessKey: accessKey, SecretKey: secretKey}
	s := mediastore.OpenS3(o)
	defer func() { require.NoError(t, s.Close()) }()
	require.Equal(t, "s3:"+host+"/shop-media", s.Name())
	require.NoError(t, put(t, s, "178/2026-11/a", "one"))
	require.Equal(t, map[string]string{"178/2026-11/a": "one"}, b.objects)
	require.Equal(t, "image/png", b.types["178/2026-11/a"])
	require.NoError(t, s.Remove(t.Context(), "178/2026-11/a"))
	require.NoError(t, s.Remove(t.Context(), "178/2026-11/a"))
	require.Empty(t, b.objects)

	b.fail = true
	require.EqualError(t, put(t, s, "178/2026-11/a", "one"), "S3 answered 503 SlowDown")
	b.fail = false
	for change, want := range map[string]func(*mediastore.S3Options){
		"S3 answered 403 SignatureDoesNotMatch": func(o *mediastore.S3Options) { o.SecretKey = "wrong" },
		"S3 answered 404 NoSuchBucket":          func(o *mediastore.S3Options) { o.Bucket = "other" },
	} {
		bad := o
		want(&bad)
		wrong := mediastore.OpenS3(bad)
		require.EqualError(t, put(t, wrong, "178/2026-11/a", "one"), change)
		require.EqualError(t, wrong.Remove(t.Context(), "178/2026-11/a"), change)
		require.NoError(t, wrong.Close())
	}
	require.Empty(t, b.objects)
	draft, err := s.Draft()
	require.NoError(t, err)
	require.FileExists(t, draft.Name())
	draft.Discard()
	require.NoFileExists(t, draft.Name())
}
