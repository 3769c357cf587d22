package graph

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/url"
)

// errNoBaseURL is a mistake of the caller, not of the network.
var errNoBaseURL = errors.New("no usable base URL of the Graph API")

// target is where a call goes and what opens it. It is only read, so calls may share one.
type target struct {
	url  *url.URL
	auth []string
}

// maxSenders bounds the targets that are kept; each takes less than a kilobyte.
const maxSenders = 4096

// sender is the target of an account's messages: working the proof and the URL out again for each message costs more than
// the rest of building the request.
func (c *Client) sender(cred Credentials) (target, error) {
	c.mu.Lock()
	t, ok := c.senders[cred]
	c.mu.Unlock()
	if ok {
		return t, nil
	}
	t, err := c.target(cred, "me/messages", nil)
	if err != nil {
		return t, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.senders) >= maxSenders { // tokens change and accounts go; who is still there comes back at once
		clear(c.senders)
	}
	c.senders[cred] = t
	return t, nil
}

// target works out one call's URL. The token travels in a header and never in the URL, which proxies log; the proof is of
// no use without the token.
func (c *Client) target(cred Credentials, path string, query url.Values) (target, error) {
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
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return target{}, errNoBaseURL
	}
	return target{url: u, auth: []string{"Bearer " + cred.Token.Reveal()}}, nil
}

// Header values that every request shares; the transport only reads them.
var (
	jsonType  = []string{"application/json"}
	userAgent = []string{"parley"}
)

// request builds one call.
func (t target) request(ctx context.Context, method string, body []byte) *http.Request {
	r := &http.Request{
		Method: method, URL: t.url, Host: t.url.Host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Authorization": t.auth, "User-Agent": userAgent, "Accept": jsonType},
	}
	if body != nil {
		r.Header["Content-Type"] = jsonType
		r.ContentLength = int64(len(body))
		r.Body = io.NopCloser(bytes.NewReader(body))
		// Lets the transport take another connection when it has written nothing into the first.
		r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	}
	return r.WithContext(ctx)
}

// proof is Meta's appsecret_proof: the hexadecimal HMAC-SHA256 of the token under the app's secret.
func proof(cred Credentials) string {
	mac := hmac.New(sha256.New, []byte(cred.AppSecret.Reveal()))
	_, _ = io.WriteString(mac, cred.Token.Reveal())
	return hex.EncodeToString(mac.Sum(nil))
}
