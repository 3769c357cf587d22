package bus

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

// Tap calls f with what is published on a subject, as it is published: at most once, and for a third of what a consumer
// costs. What is published while there is no connection is missed; again is called after each reconnect. Both may still be
// called for a moment after stop.
func (c *Conn) Tap(ctx context.Context, subject string, f func(payload []byte), again func()) (stop func(), err error) {
	sub, err := c.nc.Subscribe(subject, func(m *nats.Msg) { f(m.Data) })
	if err != nil {
		return nil, fmt.Errorf("tap %s: %w", subject, err)
	}
	off := c.onReconnect(func(time.Duration) { again() })
	stop = func() {
		off()
		_ = sub.Unsubscribe() // fails when the connection has been closed, which ends it too
	}
	if err := c.Flush(ctx); err != nil { // from here on the server knows of it
		stop()
		return nil, fmt.Errorf("tap %s: %w", subject, err)
	}
	return stop, nil
}
