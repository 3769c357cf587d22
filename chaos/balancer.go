package main

import (
	"context"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync/atomic"
	"time"
)

// balancer is what stands before the replicas of ingress, as in any installation with two: requests go to them in turn. When
// one takes no connection the next is asked; what was sent to one is never sent to another, because that is Meta's business.
type balancer struct {
	server *http.Server
	listen net.Listener
	addrs  []string
	turn   atomic.Uint64
}

func newBalancer(ctx context.Context) (*balancer, error) {
	listen, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	b := &balancer{listen: listen}
	proxy := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: "ingress"}) },
		Transport: &http.Transport{DialContext: b.dial, DisableKeepAlives: true, ResponseHeaderTimeout: 10 * time.Second},
		ErrorHandler: func(rw http.ResponseWriter, _ *http.Request, _ error) {
			rw.WriteHeader(http.StatusBadGateway)
		},
	}
	b.server = &http.Server{Handler: proxy, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = b.server.Serve(listen) }()
	return b, nil
}

// add adds a replica; all are added before there are requests.
func (b *balancer) add(addr string) { b.addrs = append(b.addrs, addr) }

func (b *balancer) url() string { return "http://" + b.listen.Addr().String() }

func (b *balancer) close() { _ = b.server.Close() }

// dial connects to the replica whose turn it is, or else to another.
func (b *balancer) dial(ctx context.Context, network, _ string) (conn net.Conn, err error) {
	first := int(b.turn.Add(1) % uint64(len(b.addrs))) //nolint:gosec // a small number
	for _, addr := range slices.Concat(b.addrs[first:], b.addrs[:first]) {
		if conn, err = (&net.Dialer{Timeout: time.Second}).DialContext(ctx, network, addr); err == nil {
			return conn, nil
		}
	}
	return nil, err
}
