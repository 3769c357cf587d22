package bus_test

import (
	"context"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/tests"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/bus/bustest"
)

// features is what we claim of Watermill's list.
var features = tests.Features{
	ConsumerGroups: true,
	// At least once: a handler that dies before its acknowledgement sees the message again.
	ExactlyOnceDelivery: false,
	// Order holds in a lane of one subscriber. Between subscribers that share a consumer there is none (the suite's
	// concurrent tests subscribe so); owned partitions, which keep it between processes, are tested in ownership_test.go.
	GuaranteedOrder:                     true,
	GuaranteedOrderWithSingleSubscriber: true,
	Persistent:                          true,
	// A group gets what it has not acknowledged. Reading everything again is a replay, not a subscription.
	NewSubscriberReceivesOldMessages: false,
	// A context does not travel over a network.
	ContextPreserved: false,
}

func TestPubSub(t *testing.T) {
	suite := newSuite(t)
	features := features
	if !raceDetector {
		// With the detector, only the suite's own race would be found: see race_test.go. TestNothingIsLostOverRestarts is the
		// same without it.
		features.RestartServiceCommand = suite.restartCommand(t)
	}
	tests.TestPubSub(t, features, suite.create, suite.createGroup)
}

func TestPubSubStressTest(t *testing.T) {
	// The suite's default of ten rounds takes minutes; STRESS_TEST_COUNT=10 asks for them.
	if os.Getenv("STRESS_TEST_COUNT") == "" {
		require.NoError(t, os.Setenv("STRESS_TEST_COUNT", "2"))                 //nolint:forbidigo,usetesting // Setenv of testing forbids the rounds to be parallel
		defer func() { require.NoError(t, os.Unsetenv("STRESS_TEST_COUNT")) }() //nolint:forbidigo // as above
	}
	suite := newSuite(t)
	tests.TestPubSubStressTest(t, features, suite.create, suite.createGroup)
}

// suite runs Watermill's contract suite against one server. Each of its topics gets a stream of its own, as it publishes
// the same ids to several.
type suite struct {
	server *bustest.Server
}

func newSuite(t *testing.T) *suite {
	t.Helper()
	return &suite{server: bustest.Start(t)}
}

// restartCommand restarts the embedded server when the suite runs it: the suite wants a command, so it is a signal to us.
func (s *suite) restartCommand(t *testing.T) []string {
	t.Helper()
	restart := make(chan os.Signal, 1)
	signal.Notify(restart, syscall.SIGUSR1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range restart {
			s.server.Down()
			s.server.Up()
		}
	}()
	t.Cleanup(func() {
		signal.Stop(restart)
		close(restart)
		<-done
	})
	return []string{"kill", "-USR1", strconv.Itoa(os.Getpid())}
}

func (s *suite) create(t *testing.T) (message.Publisher, message.Subscriber) {
	t.Helper()
	return s.createGroup(t, "suite")
}

func (s *suite) createGroup(t *testing.T, group string) (message.Publisher, message.Subscriber) {
	t.Helper()
	conn := s.server.Connect()
	sub, err := bus.NewSubscriber(conn, bus.SubscriberConfig{
		Group: group, Stream: func(ctx context.Context, topic string) (string, error) { return ensureStream(ctx, conn, topic) },
		Key: func(string, *message.Message) string { return "one lane" }, CloseTimeout: time.Second, AckWait: 3 * time.Second,
	})
	require.NoError(t, err)
	// The suite forgets to close some; closing twice does nothing.
	t.Cleanup(func() { require.NoError(t, sub.Close()) })
	pub, init := bus.NewPublisher(conn, bus.PublisherConfig{}), initializer{sub, conn}
	if strings.Contains(t.Name(), "/TestReconnect/") {
		return slowReader(pub, init)
	}
	return pub, init
}

// slowReader hands a message on only when Publish has returned for it a moment ago. TestReconnect compares what it received
// with what it knows to have published, and does not wait for the latter.
func slowReader(pub message.Publisher, sub initializer) (message.Publisher, message.Subscriber) {
	r := &reader{Publisher: pub, initializer: sub, published: map[string]chan struct{}{}}
	return publisherOf{r}, r
}

type reader struct {
	message.Publisher
	initializer

	mu        sync.Mutex
	published map[string]chan struct{}
}

type publisherOf struct{ r *reader }

func (p publisherOf) Close() error { return p.r.Publisher.Close() }

func (p publisherOf) Publish(topic string, messages ...*message.Message) error {
	err := p.r.Publisher.Publish(topic, messages...)
	for _, m := range messages {
		if done := p.r.of(m.UUID); err == nil {
			time.AfterFunc(100*time.Millisecond, func() { close(done) })
		}
	}
	return err
}

func (r *reader) of(id string) chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.published[id] == nil {
		r.published[id] = make(chan struct{})
	}
	return r.published[id]
}

func (r *reader) Close() error { return r.initializer.Close() }

func (r *reader) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	in, err := r.initializer.Subscribe(ctx, topic)
	out := make(chan *message.Message)
	go func() {
		defer close(out)
		for m := range in {
			<-r.of(m.UUID)
			out <- m
		}
	}()
	return out, err
}

// initializer makes a topic's stream when the suite asks for it.
type initializer struct {
	*bus.Subscriber
	conn *bus.Conn
}

func (i initializer) SubscribeInitialize(topic string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, err := ensureStream(ctx, i.conn, topic)
	return err
}

func ensureStream(ctx context.Context, conn *bus.Conn, topic string) (string, error) {
	name := strings.NewReplacer(".", "_", "*", "_", ">", "_").Replace(topic)
	// The same stream may be created again; to update it would race with the making of consumers inside nats-server 2.15.2.
	_, err := conn.JetStream().CreateStream(ctx, jetstream.StreamConfig{
		Name: name, Subjects: []string{topic}, Storage: jetstream.FileStorage, Duplicates: time.Minute,
	})
	return name, err
}
