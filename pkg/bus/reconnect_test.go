package bus_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/bus"
)

// Many publishers go on through two restarts of the server: what Publish said yes to arrives, and nothing else.
func TestNothingIsLostOverRestarts(t *testing.T) {
	t.Parallel()
	s := newSuite(t)
	pub, sub := s.create(t)
	const topic, publishers, each = "reconnect", 20, 100
	stream, ok := sub.(message.SubscribeInitializer)
	require.True(t, ok)
	require.NoError(t, stream.SubscribeInitialize(topic))
	messages, err := sub.Subscribe(t.Context(), topic)
	require.NoError(t, err)

	third, half := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	for p := range publishers {
		wg.Go(func() {
			for i := range each {
				if p == 0 && i == each/3 {
					close(third)
				}
				if p == 0 && i == each/2 {
					close(half)
				}
				publishUntilAcknowledged(t, pub, topic, message.NewMessage(fmt.Sprintf("%d-%d", p, i), []byte("x")))
			}
		})
	}
	wg.Go(func() {
		for _, when := range []chan struct{}{third, half} {
			<-when
			s.server.Down()
			s.server.Up()
		}
	})
	seen := map[string]bool{}
	deadline := time.After(time.Minute)
	for len(seen) < publishers*each {
		select {
		case m := <-messages:
			seen[m.UUID] = true
			m.Ack()
		case <-deadline:
			t.Fatalf("%d of %d messages came", len(seen), publishers*each)
		}
	}
	wg.Wait()
}

// publishUntilAcknowledged publishes again, with the same id, what was not acknowledged: as every caller does.
func publishUntilAcknowledged(t *testing.T, pub message.Publisher, topic string, m *message.Message) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Second)
	defer cancel()
	for ctx.Err() == nil {
		if err := pub.Publish(topic, m); err == nil {
			return
		} else if !retry(err) {
			t.Errorf("publish %s: %v", m.UUID, err)
			return
		}
	}
	t.Errorf("publish %s: not acknowledged", m.UUID)
}

func retry(err error) bool {
	class, _ := bus.Classify(err)
	return class != bus.Poison
}
