package graph

import (
	"context"
	"net/http/httptrace"
	"sync/atomic"
)

// progress watches how far a request gets, to tell a call that the other side cannot have seen from one that it may have.
//
// A request cannot have arrived when no connection was had for it, or when writing it failed before its end. Everything
// else may have: when the context ends while the transport is writing, the last byte may leave just then. When the
// transport itself tries again on another connection (it does so only if it has written nothing), watching begins anew.
type progress struct{ state atomic.Int32 }

const (
	notConnected int32 = iota
	connected          // has a connection; may be writing
	written            // was written whole
	writeFailed        // was not written whole
)

func (p *progress) watch(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { p.state.Store(notConnected) },
		GotConn: func(httptrace.GotConnInfo) { p.state.Store(connected) },
		WroteRequest: func(info httptrace.WroteRequestInfo) {
			if info.Err == nil {
				p.state.Store(written)
			} else {
				p.state.CompareAndSwap(connected, writeFailed)
			}
		},
	})
}

// mayHaveArrived says whether the other side may have the request.
func (p *progress) mayHaveArrived() bool {
	s := p.state.Load()
	return s == connected || s == written
}
