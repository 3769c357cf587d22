package media

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/gabriel-vasile/mimetype"

	"github.com/parley-dm/parley/pkg/mediastore"
	"github.com/parley-dm/parley/pkg/publicnet"
)

// maxRedirects is how many are followed; Meta's links have one at most.
const maxRedirects = 3

// FetchError is why a file could not be fetched. The reason tells no URL, which may be as good as a password.
type FetchError struct {
	Reason string
	// Tries is how often it is worth trying; 0 for as often as there is time.
	Tries int
}

func (f *FetchError) Error() string { return f.Reason }

func never(format string, args ...any) error {
	return &FetchError{Reason: fmt.Sprintf(format, args...), Tries: 1}
}

func refused(format string, args ...any) error {
	return &FetchError{Reason: fmt.Sprintf(format, args...), Tries: refusedTries}
}

// judge says why an attempt failed and how often such a thing is worth trying.
func judge(err error) (reason string, tries int) {
	var f *FetchError
	if errors.As(err, &f) {
		return f.Reason, f.Tries
	}
	return safe(err), 0
}

// safe is what an error says, unless that has an address in it.
func safe(err error) string {
	for {
		var in *url.Error
		if !errors.As(err, &in) {
			break
		}
		err = in.Err
	}
	text := err.Error()
	if strings.Contains(text, "://") || strings.Contains(text, "?") {
		return "it could not be reached"
	}
	return text[:min(len(text), 200)]
}

// FetcherOptions says what may be fetched.
type FetcherOptions struct {
	// MaxBytes is the largest file.
	MaxBytes int64
	// Trusted are hosts, as in URLs, that may be at private addresses and speak plain http. Nothing else leads to them.
	Trusted []string
}

// Fetcher fetches files from where anybody may.
type Fetcher struct {
	o       FetcherOptions
	public  *http.Client
	trusted *http.Client
}

// Errors of redirects, told as reasons.
var (
	errRedirects = errors.New("too many redirects")
	errPlain     = errors.New("redirected to what is not https")
)

// NewFetcher makes a Fetcher; Close it.
func NewFetcher(o FetcherOptions) *Fetcher {
	f := &Fetcher{o: o}
	guarded := publicnet.Dialer()
	plain := &net.Dialer{Timeout: guarded.Timeout, KeepAlive: guarded.KeepAlive}
	f.public = f.client(guarded.DialContext, func(u *url.URL) bool { return u.Scheme == "https" })
	f.trusted = f.client(func(ctx context.Context, network, address string) (net.Conn, error) {
		if f.trusts(address) {
			return plain.DialContext(ctx, network, address)
		}
		return guarded.DialContext(ctx, network, address)
	}, func(u *url.URL) bool { return u.Scheme == "https" || f.trusts(hostPort(u)) })
	return f
}

// Close ends idle connections.
func (f *Fetcher) Close() {
	f.public.CloseIdleConnections()
	f.trusted.CloseIdleConnections()
}

// client asks no proxy, which would look names up after they were checked, and takes nothing compressed: a small answer is a
// small file.
func (f *Fetcher) client(dial func(context.Context, string, string) (net.Conn, error), allowed func(*url.URL) bool) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext: dial, ForceAttemptHTTP2: true, TLSHandshakeTimeout: 5 * time.Second, ResponseHeaderTimeout: 20 * time.Second,
			MaxIdleConns: 8, IdleConnTimeout: 30 * time.Second, MaxResponseHeaderBytes: 64 << 10, DisableCompression: true,
		},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			switch {
			case len(via) > maxRedirects:
				return errRedirects
			case !allowed(r.URL) || r.URL.User != nil:
				return errPlain
			}
			r.Header.Del("Referer") // it would tell the next host the whole link
			return nil
		},
	}
}

func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// trusts says whether an address to be connected to is a trusted host's.
func (f *Fetcher) trusts(address string) bool {
	return slices.ContainsFunc(f.o.Trusted, func(host string) bool { return strings.EqualFold(host, address) })
}

// Fetch writes what a URL has to a file, and says what it is.
func (f *Fetcher) Fetch(ctx context.Context, raw string, to *os.File) (mediastore.Info, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" || u.User != nil {
		return mediastore.Info{}, never("its URL cannot be used")
	}
	client := f.public
	switch {
	case f.trusts(hostPort(u)):
		client = f.trusted
	case u.Scheme != "https":
		return mediastore.Info{}, never("its URL is not https")
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), http.NoBody)
	if err != nil {
		return mediastore.Info{}, never("its URL cannot be used")
	}
	request.Header.Set("User-Agent", "Parley")
	response, err := client.Do(request)
	if err != nil {
		return mediastore.Info{}, unreached(err)
	}
	defer func() { _ = response.Body.Close() }()
	if err := f.answered(response); err != nil {
		return mediastore.Info{}, err
	}
	return f.take(response.Body, to)
}

// unreached says why there is no answer.
func unreached(err error) error {
	var name *net.DNSError
	switch {
	case errors.Is(err, publicnet.ErrPrivate):
		return never("%v", publicnet.ErrPrivate)
	case errors.Is(err, errRedirects):
		return never("%v", errRedirects)
	case errors.Is(err, errPlain):
		return never("%v", errPlain)
	case errors.As(err, &name) && name.IsNotFound:
		return refused("its host is not known")
	}
	return err
}

func (f *Fetcher) answered(r *http.Response) error {
	switch code := r.StatusCode; {
	case code == http.StatusOK && r.ContentLength > f.o.MaxBytes:
		return f.tooLarge()
	case code == http.StatusOK:
		return nil
	case code == http.StatusRequestTimeout, code == http.StatusTooEarly, code == http.StatusTooManyRequests, code >= http.StatusInternalServerError:
		return &FetchError{Reason: fmt.Sprintf("answered %d", code)}
	default:
		return refused("answered %d", code)
	}
}

func (f *Fetcher) tooLarge() error {
	return never("larger than %d bytes (MEDIA_MAX_BYTES)", f.o.MaxBytes)
}

// instead are what servers answer with instead of a file.
var instead = []string{"text/html", "application/xhtml+xml", "application/json"}

// take copies a file within its bound and looks what it is.
func (f *Fetcher) take(from io.Reader, to *os.File) (mediastore.Info, error) {
	sum := sha256.New()
	source := &noting{Reader: io.LimitReader(from, f.o.MaxBytes+1)}
	n, err := io.Copy(io.MultiWriter(to, sum), source)
	switch {
	case source.err != nil:
		return mediastore.Info{}, source.err
	case err != nil:
		return mediastore.Info{}, fmt.Errorf("write a file: %w", err)
	case n > f.o.MaxBytes:
		return mediastore.Info{}, f.tooLarge()
	case n == 0:
		return mediastore.Info{}, refused("answered with nothing")
	}
	if _, err := to.Seek(0, io.SeekStart); err != nil {
		return mediastore.Info{}, fmt.Errorf("read a file: %w", err)
	}
	kind, err := mimetype.DetectReader(to)
	if err != nil {
		return mediastore.Info{}, fmt.Errorf("read a file: %w", err)
	}
	for _, page := range instead {
		if kind.Is(page) {
			return mediastore.Info{}, refused("answered with %s, which is no medium", page)
		}
	}
	content, _, _ := strings.Cut(kind.String(), ";")
	return mediastore.Info{ContentType: content, Bytes: n, SHA256: hex.EncodeToString(sum.Sum(nil))}, nil
}

// noting remembers why reading ended, to tell a server that breaks off from a disk that is full.
type noting struct {
	io.Reader
	err error
}

func (r *noting) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return n, err //nolint:wrapcheck // a reader's own
}
