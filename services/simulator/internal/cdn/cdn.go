// Package cdn plays the hosts that Meta's links to media lead to: a link is signed, it expires, and what the server says of a
// file is not always what it is. What is behind a link is made when it is asked for.
package cdn

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Prefix is where the files are.
const Prefix = "/cdn/"

// life is how long a link works.
const life = 5 * 24 * time.Hour

// CDN makes links and serves what they lead to. It is safe for concurrent use.
type CDN struct {
	secret []byte
	now    func() time.Time
	base   atomic.Pointer[string]
}

// New makes a CDN that nobody can reach yet.
func New(now func() time.Time) *CDN { return &CDN{secret: []byte(rand.Text()), now: now} }

// At says under which URL it is reached.
func (c *CDN) At(base string) {
	base = strings.TrimRight(base, "/")
	c.base.Store(&base)
}

// Link is a new link to a file of a kind, which an id chooses; empty while nobody can reach it.
func (c *CDN) Link(kind, id string) string {
	base := c.base.Load()
	if base == nil || *base == "" {
		return ""
	}
	file := Prefix + kind + "/" + id + fileOf(kind).extension
	ends := strconv.FormatInt(c.now().Add(life).Unix(), 16)
	return *base + file + "?" + url.Values{"oe": {ends}, "oh": {c.sign(file, ends)}}.Encode()
}

func (c *CDN) sign(file, ends string) string {
	mac := hmac.New(sha256.New, c.secret)
	_, _ = mac.Write([]byte(file + "?" + ends))
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

// ServeHTTP answers 403 to links that are old or that it did not make, as Meta does.
func (c *CDN) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	ends, err := strconv.ParseInt(q.Get("oe"), 16, 64)
	switch {
	case !hmac.Equal([]byte(q.Get("oh")), []byte(c.sign(r.URL.Path, q.Get("oe")))):
		http.Error(w, "Bad URL hash", http.StatusForbidden)
		return
	case err != nil || !c.now().Before(time.Unix(ends, 0)):
		http.Error(w, "URL signature expired", http.StatusForbidden)
		return
	}
	kind, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, Prefix), "/")
	f := fileOf(kind)
	h := w.Header()
	h.Set("Content-Type", f.claimed)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'")
	http.ServeContent(w, r, path.Base(name), time.Time{}, bytes.NewReader(f.make(name)))
}
