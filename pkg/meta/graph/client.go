package graph

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
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
	c := &Client{transport: o.Transport, version: strings.Trim(o.Version, "/"), timeout: o.Timeout}
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
		TLSHandshakeTimeout:    dialTimeout,
		ResponseHeaderTimeout:  o.Timeout,
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
func (c *Client) call(ctx context.Context, cred Credentials, method, path string, query url.Values, body []byte) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	progress := &progress{}
	req, err := c.request(progress.watch(ctx), cred, method, path, query, body)
	if err != nil {
		return answer{}, err
	}
	// The transport is called directly: it follows no redirects, keeps no cookies and puts no URL into its errors.
	resp, err := c.transport.RoundTrip(req)
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

// errNoBaseURL is a mistake of the caller, not of the network.
var errNoBaseURL = errors.New("no usable base URL of the Graph API")

// request builds one call. The token travels in a header and never in the URL, which proxies log; the proof is of no use
// without the token.
func (c *Client) request(ctx context.Context, cred Credentials, method, path string, query url.Values, body []byte) (*http.Request, error) {
	address := cred.BaseURL + "/"
	if c.version != "" {
		address += c.version + "/"
	}
	address += path
	sep := "?"
	if len(query) > 0 {
		address += sep + query.Encode()
		sep = "&"
	}
	if cred.AppSecret != "" {
		address += sep + "appsecret_proof=" + proof(cred)
	}
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, address, reader)
	if err != nil || req.URL.Host == "" {
		return nil, errNoBaseURL
	}
	req.Header["Authorization"] = []string{"Bearer " + cred.Token.Reveal()}
	req.Header["User-Agent"] = userAgent
	req.Header["Accept"] = jsonType
	if body != nil {
		req.Header["Content-Type"] = jsonType
	}
	return req, nil
}

// Header values that every request shares; the transport only reads them.
var (
	jsonType  = []string{"application/json"}
	userAgent = []string{"parley"}
)

// proof is Meta's appsecret_proof: the hexadecimal HMAC-SHA256 of the token under the app's secret.
func proof(cred Credentials) string {
	mac := hmac.New(sha256.New, []byte(cred.AppSecret.Reveal()))
	_, _ = io.WriteString(mac, cred.Token.Reveal())
	return hex.EncodeToString(mac.Sum(nil))
}
