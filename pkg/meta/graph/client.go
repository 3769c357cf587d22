package graph

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/parley-dm/parley/pkg/config"
)

// The bounds of one call. Meta's answers are a few hundred bytes; a page of a conversation is some tens of kilobytes.
const (
	maxResponseBytes = 1 << 20
	dialTimeout      = 5 * time.Second
	// idleTimeout is shorter than any server's we know, so that a request is not written into a connection which the
	// other side is just closing: that would be an outcome nobody can know.
	idleTimeout = 30 * time.Second
)

// Options says how to call. The zero value works.
type Options struct {
	// Version is the Graph API's version, such as v26.0. Without one, calls go to the version that the app defaults to.
	Version string
	// Timeout bounds one call from dialling to the last byte of the answer; 10 seconds if zero.
	Timeout time.Duration
	// MaxInFlight is how many calls may be under way at once: as many connections are kept alive. 256 if zero.
	MaxInFlight int
	// Transport replaces the client's own, for tests. It must not follow redirects.
	Transport http.RoundTripper
}

// Client calls the Graph API. It is safe for concurrent use.
type Client struct {
	transport http.RoundTripper
	own       *http.Transport
	version   string
	timeout   time.Duration

	mu      sync.Mutex
	senders map[Credentials]target // where messages go, worked out once for each account
}

// Credentials are one account's: where its Graph API is and what opens it.
type Credentials struct {
	// BaseURL is the Graph API's host, such as https://graph.facebook.com, without a slash at its end.
	BaseURL string
	// Token is the Page token or the Instagram user token.
	Token config.Secret
	// AppSecret makes the appsecret_proof that apps may demand. Empty: none is sent.
	AppSecret config.Secret
}

// New makes a client. Close it to let go of its connections.
func New(o Options) *Client {
	if o.Timeout <= 0 {
		o.Timeout = 10 * time.Second
	}
	if o.MaxInFlight <= 0 {
		o.MaxInFlight = 256
	}
	c := &Client{transport: o.Transport, version: strings.Trim(o.Version, "/"), timeout: o.Timeout, senders: map[Credentials]target{}}
	if c.transport == nil {
		c.own = newTransport(o)
		c.transport = c.own
	}
	return c
}

func newTransport(o Options) *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:    dialTimeout, // the answer is bounded by the call's context
		IdleConnTimeout:        idleTimeout,
		MaxIdleConns:           0, // no limit of its own; the one for each host bounds it
		MaxIdleConnsPerHost:    o.MaxInFlight,
		MaxResponseHeaderBytes: 64 << 10,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true, // answers are small
	}
}

// Close lets go of the idle connections.
func (c *Client) Close() {
	if c.own != nil {
		c.own.CloseIdleConnections()
	}
}

// answer is what came back of one call.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// call makes one HTTP call. It returns an answer of the API, whatever its status, or an [*Error] that says whether the
// request can have reached it. Errors name no URL, because URLs may hold ids and proofs.
func (c *Client) call(ctx context.Context, t target, method string, body []byte) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	progress := &progress{}
	// The transport is called directly: it follows no redirects, keeps no cookies and puts no URL into its errors.
	resp, err := c.transport.RoundTrip(t.request(progress.watch(ctx), method, body))
	if err != nil {
		return answer{}, connectionError(ctx, err, progress.mayHaveArrived())
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := readBody(resp)
	if err != nil {
		return answer{}, connectionError(ctx, err, true)
	}
	return answer{status: resp.StatusCode, header: resp.Header, body: data}, nil
}

// readBody reads an answer to its end, so that the connection can be used again, but not beyond the bound.
func readBody(resp *http.Response) ([]byte, error) {
	var b bytes.Buffer
	if n := resp.ContentLength; n > 0 && n <= maxResponseBytes {
		b.Grow(int(n) + bytes.MinRead)
	}
	n, err := b.ReadFrom(io.LimitReader(resp.Body, maxResponseBytes+1))
	if err == nil && n > maxResponseBytes {
		err = fmt.Errorf("the answer is longer than %d bytes", maxResponseBytes)
	}
	return b.Bytes(), err
}
