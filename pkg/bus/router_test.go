package bus_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/telemetry/logtest"
)

var errBad = errors.New("a bad thing\nin two lines")

func TestAPanicBecomesADeadLetterWithItsStack(t *testing.T) {
	t.Parallel()
	f := setup(t)
	var seen calls
	f.route(bus.RouterConfig{}, f.subscriber(nil), func(m *message.Message) error {
		seen.add(m.UUID)
		if m.UUID == "poison" {
			panic("oh no")
		}
		return nil
	})
	f.publish("l", "poison", "next")
	letter := f.deadLetter(1)
	require.Equal(t, "panic: oh no", letter.Header.Get(bus.DeadReason))
	require.Equal(t, "permanent", letter.Header.Get(bus.DeadClass))
	require.Contains(t, letter.Header.Get(bus.DeadStack), "goroutine")
	seen.wait(t, "next", 1)
	require.Equal(t, 1, seen.count("poison"), "a panic is not tried again")
}

func TestAPermanentErrorBecomesADeadLetterAsTheMessageWas(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.route(bus.RouterConfig{}, f.subscriber(nil), func(*message.Message) error { return bus.Permanent(errBad) })
	m := job("l", "bad")
	m.Metadata["own"] = "header"
	m.Metadata[jetstream.ExpectedStreamHeader] = "JOBS" // a condition that another stream could not meet
	require.NoError(t, f.pub.Publish("jobs.a", m))
	letter := f.deadLetter(1)
	require.Equal(t, "payload of bad", string(letter.Data))
	require.Equal(t, "dead.work.l", letter.Subject)
	for key, want := range map[string]string{
		"own": "header", "lane": "l", bus.DeadReason: "a bad thing in two lines", bus.DeadClass: "permanent", bus.DeadAttempts: "1", bus.DeadStage: "work",
		bus.DeadSubject: "jobs.a", bus.DeadSequence: "1", bus.DeadID: "bad", bus.DeadStack: "", jetstream.ExpectedStreamHeader: "",
	} {
		require.Equal(t, want, letter.Header.Get(key), key)
	}
	at, err := time.Parse(time.RFC3339Nano, letter.Header.Get(bus.DeadTime))
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), at, time.Minute)
	require.Eventually(t, func() bool { return f.consumer().AckFloor.Stream == 1 }, 10*time.Second, 5*time.Millisecond, "it was acknowledged")
}

func TestATransientErrorIsTriedAgainInItsLaneAndOtherLanesGoOn(t *testing.T) {
	t.Parallel()
	f := setup(t)
	var healthy atomic.Bool
	var seen calls
	f.route(bus.RouterConfig{Retry: bus.RetryConfig{MaxAttempts: 1000, MinDelay: time.Millisecond, MaxDelay: 5 * time.Millisecond}}, f.subscriber(nil), func(m *message.Message) error {
		if m.UUID == "first" && !healthy.Load() {
			seen.add("failed")
			return errBad
		}
		seen.add(m.UUID)
		return nil
	})
	f.publish("a", "first", "second", "third")
	f.publish("b", "elsewhere", "elsewhere too")
	seen.wait(t, "elsewhere too", 1)
	seen.wait(t, "failed", 5)
	require.Zero(t, seen.count("second"))
	healthy.Store(true)
	seen.wait(t, "third", 1)
	var lane []string
	for _, id := range seen.all() {
		if id == "first" || id == "second" || id == "third" {
			lane = append(lane, id)
		}
	}
	require.Equal(t, []string{"first", "second", "third"}, lane)
	require.Zero(t, f.state("DEAD").Msgs)
}

func TestExhaustedAttemptsBecomeADeadLetter(t *testing.T) {
	t.Parallel()
	f := setup(t)
	var seen calls
	f.route(bus.RouterConfig{}, f.subscriber(nil), func(m *message.Message) error {
		seen.add(m.UUID)
		if m.UUID == "stubborn" {
			return errBad
		}
		return nil
	})
	f.publish("l", "stubborn", "next")
	letter := f.deadLetter(1)
	require.Equal(t, "3", letter.Header.Get(bus.DeadAttempts))
	require.Equal(t, "transient", letter.Header.Get(bus.DeadClass))
	seen.wait(t, "next", 1)
	require.Equal(t, 3, seen.count("stubborn"))
}

func TestADeferredErrorCountsNoAttempt(t *testing.T) {
	t.Parallel()
	f := setup(t)
	var seen calls
	var logged logtest.Buffer
	var due time.Time
	came := make(chan time.Time, 1)
	f.route(bus.RouterConfig{Logger: slog.New(slog.NewTextHandler(&logged, nil))}, f.subscriber(nil), func(m *message.Message) error {
		seen.add(m.UUID)
		switch n := seen.count(m.UUID); {
		case n <= 8:
			return bus.WhileAway(errBad)
		case n <= 16:
			return fmt.Errorf("wrapped: %w", bus.DeferUntil(errBad, time.Now().Add(-time.Hour))) // over already: must not spin
		case n == 17:
			due = time.Now().Add(300 * time.Millisecond)
			return bus.DeferUntil(errBad, due)
		default:
			came <- time.Now()
			return nil
		}
	})
	f.publish("l", "patient")
	seen.wait(t, "patient", 18)
	require.False(t, (<-came).Before(due), "it waits until the time that the error names")
	require.Zero(t, f.state("DEAD").Msgs)
	require.Equal(t, 5, strings.Count(logged.String(), "handler.retry"), "tries 1, 2, 4, 8 and 16 are logged:\n%s", logged.String())
}

func TestDrainingEndsAWaitAndTheMessageComesAgain(t *testing.T) {
	t.Parallel()
	f := setup(t)
	var seen calls
	stop := f.route(bus.RouterConfig{}, f.subscriber(nil), func(m *message.Message) error {
		seen.add(m.UUID)
		return bus.DeferUntil(errBad, time.Now().Add(time.Hour))
	})
	f.publish("l", "waiting")
	seen.wait(t, "waiting", 1)
	begin := time.Now()
	stop()
	require.Less(t, time.Since(begin), 4*time.Second, "within CloseTimeout")
	m := receive(t, f.subscribe(f.subscriber(nil)))
	require.Equal(t, "waiting", m.UUID)
	m.Ack()
}

func TestAHandlerThatHangsMeetsItsDeadline(t *testing.T) {
	t.Parallel()
	f := setup(t)
	var seen calls
	f.route(bus.RouterConfig{HandlerTimeout: 30 * time.Millisecond}, f.subscriber(nil), func(m *message.Message) error {
		seen.add(m.UUID)
		if m.UUID == "hangs" {
			<-m.Context().Done()
			return m.Context().Err()
		}
		return nil
	})
	f.publish("l", "hangs", "next")
	letter := f.deadLetter(1)
	require.Equal(t, "3", letter.Header.Get(bus.DeadAttempts))
	require.Contains(t, letter.Header.Get(bus.DeadReason), "longer than 30ms")
	seen.wait(t, "next", 1)
}

func TestAMessageWhoseDeadLetterCannotBePublishedStays(t *testing.T) {
	t.Parallel()
	f := setup(t)
	require.NoError(t, f.conn.JetStream().DeleteStream(t.Context(), "DEAD"))
	dead := bus.NewPublisher(f.conn, bus.PublisherConfig{AckTimeout: 50 * time.Millisecond})
	var seen calls
	stop := f.route(bus.RouterConfig{DeadLetters: dead}, f.subscriber(nil), func(m *message.Message) error {
		seen.add(m.UUID)
		return bus.Permanent(errBad)
	})
	f.publish("l", "bad")
	seen.wait(t, "bad", 1)
	require.Zero(t, f.consumer().AckFloor.Stream)
	// Once there is a place for it again, it goes there, and the handler was not run for it again meanwhile.
	_, err := f.conn.JetStream().CreateStream(t.Context(), jetstream.StreamConfig{Name: "DEAD", Subjects: []string{"dead.>"}})
	require.NoError(t, err)
	f.deadLetter(1)
	require.Equal(t, 1, seen.count("bad"))
	stop()
	require.Equal(t, uint64(1), f.consumer().AckFloor.Stream)

	// And when the stop comes first, the message is still there.
	require.NoError(t, f.conn.JetStream().DeleteStream(t.Context(), "DEAD"))
	stop = f.route(bus.RouterConfig{DeadLetters: dead}, f.subscriber(nil), func(m *message.Message) error {
		seen.add(m.UUID)
		return bus.Permanent(errBad)
	})
	f.publish("l", "bad too")
	seen.wait(t, "bad too", 1)
	stop()
	m := receive(t, f.subscribe(f.subscriber(nil)))
	require.Equal(t, "bad too", m.UUID)
	m.Ack()
}

func TestADeadLetterTooLargeWithItsHeadersGoesWithoutItsPayload(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.route(bus.RouterConfig{}, f.subscriber(nil), func(*message.Message) error { return bus.Permanent(errBad) })
	m := job("l", "huge")
	m.Payload = make([]byte, 1<<20-60) // the server takes 1 MiB, headers included
	require.NoError(t, f.pub.Publish("jobs.a", m))
	letter := f.deadLetter(1)
	require.Empty(t, letter.Data)
	require.Equal(t, "omitted", letter.Header.Get(bus.DeadPayload))
	require.Equal(t, "1", letter.Header.Get(bus.DeadSequence))
}

func TestClassify(t *testing.T) {
	t.Parallel()
	at := time.Now().Add(time.Hour)
	for name, c := range map[string]struct {
		err   error
		class bus.Class
		at    time.Time
	}{
		"nobody said":        {errBad, bus.Transient, time.Time{}},
		"permanent, wrapped": {fmt.Errorf("x: %w", bus.Permanent(errBad)), bus.Poison, time.Time{}},
		"deferred":           {fmt.Errorf("x: %w", bus.DeferUntil(errBad, at)), bus.Deferred, at},
		"away":               {bus.WhileAway(errBad), bus.Deferred, time.Time{}},
		"bus away":           {fmt.Errorf("x: %w", bus.ErrUnavailable), bus.Deferred, time.Time{}},
		"no stream":          {fmt.Errorf("x: %w", bus.ErrNoStream), bus.Deferred, time.Time{}},
		"refused":            {fmt.Errorf("x: %w", bus.ErrRefused), bus.Poison, time.Time{}},
		"panic":              {&bus.PanicError{Value: 1}, bus.Poison, time.Time{}},
		"cancelled":          {context.Canceled, bus.Transient, time.Time{}},
	} {
		class, until := bus.Classify(c.err)
		require.Equal(t, c.class, class, name)
		require.Equal(t, c.at, until, name)
	}
	require.NoError(t, bus.Permanent(nil))
	require.NoError(t, bus.DeferUntil(nil, at))
	require.ErrorIs(t, bus.WhileAway(errBad), errBad)
}

func TestLanesThatWaitLeaveTheirSlotsToOthers(t *testing.T) {
	t.Parallel()
	f := setup(t)
	// One slot, and many lanes that wait for a time far away: whoever can be handled is handled all the same.
	sub := f.subscriber(func(c *bus.SubscriberConfig) { c.MaxInFlight, c.MaxHeld = 1, 100 })
	var waiting atomic.Bool
	var running, most atomic.Int32
	waiting.Store(true)
	var seen calls
	f.route(bus.RouterConfig{Retry: bus.RetryConfig{MinDelay: time.Millisecond}}, sub, func(m *message.Message) error {
		most.Store(max(most.Load(), running.Add(1)))
		defer running.Add(-1)
		seen.add(m.UUID)
		if waiting.Load() && strings.HasPrefix(m.UUID, "paused") {
			return bus.DeferUntil(errBad, time.Now().Add(20*time.Millisecond))
		}
		return nil
	})
	for i := range 30 {
		f.publish(fmt.Sprintf("lane %d", i), fmt.Sprintf("paused %d", i))
	}
	for i := range 30 {
		seen.wait(t, fmt.Sprintf("paused %d", i), 1)
	}
	f.publish("healthy", "one", "two", "three")
	seen.wait(t, "three", 1)
	waiting.Store(false)
	for i := range 30 {
		f.publish(fmt.Sprintf("lane %d", i), fmt.Sprintf("behind %d", i))
	}
	for i := range 30 {
		seen.wait(t, fmt.Sprintf("behind %d", i), 1)
	}
	require.Equal(t, int32(1), most.Load(), "never more at once than MaxInFlight")
}
