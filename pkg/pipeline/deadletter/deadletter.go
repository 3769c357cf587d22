// Package deadletter looks at the messages that a stage gave up on, and replays or drops them.
package deadletter

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/pipeline/replay"
	"github.com/parley-dm/parley/pkg/topology"
)

// Letter is one dead letter. Number is its place in the dead letters' stream, which names it.
type Letter struct {
	Number   uint64    `json:"number"`
	Stage    string    `json:"stage"`
	Account  string    `json:"account"`
	Class    string    `json:"class"`
	Reason   string    `json:"reason"`
	Attempts int       `json:"attempts"`
	At       time.Time `json:"at"`
	// Subject, Sequence and ID are those that the message had.
	Subject  string `json:"subject"`
	Sequence uint64 `json:"sequence"`
	ID       string `json:"id"`
	Stack    string `json:"stack,omitempty"`
	// Envelope is the message as it was.
	Envelope []byte `json:"-"`

	headers map[string][]string
}

// Filter picks dead letters. Empty fields pick all.
type Filter struct {
	Numbers        []uint64
	Stage, Account string
	// Reason is a part of the reason, in any case.
	Reason string
	// OlderThan and NewerThan bound the age.
	OlderThan, NewerThan time.Duration
}

func (f *Filter) subject() string {
	token := func(s string) string {
		if s == "" {
			return "*"
		}
		return topology.Token(s)
	}
	return "dm.dead." + token(f.Stage) + "." + token(f.Account)
}

func (f *Filter) matches(l *Letter, now time.Time) bool {
	if len(f.Numbers) > 0 {
		wanted := false
		for _, n := range f.Numbers {
			wanted = wanted || n == l.Number
		}
		if !wanted {
			return false
		}
	}
	age := now.Sub(l.At)
	return (f.Reason == "" || strings.Contains(strings.ToLower(l.Reason), strings.ToLower(f.Reason))) &&
		(f.OlderThan == 0 || age >= f.OlderThan) && (f.NewerThan == 0 || age <= f.NewerThan)
}

// List calls f with each dead letter that the filter picks, oldest first, until f says no.
func List(ctx context.Context, conn *bus.Conn, filter Filter, f func(Letter) (more bool, err error)) error {
	now := time.Now()
	scan := replay.Scan{Stream: topology.Dead.Name, Subjects: []string{filter.subject()}}
	return replay.Each(ctx, conn.JetStream(), scan, func(msg jetstream.Msg, meta *jetstream.MsgMetadata) (bool, error) {
		l := read(meta.Sequence.Stream, meta.Timestamp, msg.Headers(), msg.Data())
		if !filter.matches(&l, now) {
			return true, nil
		}
		return f(l)
	})
}

// ErrNone is the error for a number that no dead letter has.
var ErrNone = errors.New("no such dead letter")

// Get reads one.
func Get(ctx context.Context, conn *bus.Conn, number uint64) (Letter, error) {
	stream, err := conn.JetStream().Stream(ctx, topology.Dead.Name)
	if err != nil {
		return Letter{}, fmt.Errorf("read dead letter %d: %w", number, err)
	}
	msg, err := stream.GetMsg(ctx, number)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return Letter{}, fmt.Errorf("%w: %d", ErrNone, number)
	}
	if err != nil {
		return Letter{}, fmt.Errorf("read dead letter %d: %w", number, err)
	}
	return read(number, msg.Time, msg.Header, msg.Data), nil
}

func read(number uint64, stored time.Time, headers map[string][]string, payload []byte) Letter {
	get := func(k string) string {
		if v := headers[k]; len(v) > 0 {
			return v[0]
		}
		return ""
	}
	l := Letter{
		Number: number, Stage: get(bus.DeadStage), Account: get(replay.HeaderAccount), Class: get(bus.DeadClass), Reason: get(bus.DeadReason),
		Subject: get(bus.DeadSubject), ID: get(bus.DeadID), Stack: get(bus.DeadStack), At: stored, Envelope: payload, headers: headers,
	}
	l.Attempts, _ = strconv.Atoi(get(bus.DeadAttempts))
	l.Sequence, _ = strconv.ParseUint(get(bus.DeadSequence), 10, 64)
	return l
}

// Replay publishes the picked letters again, each to the stage that gave up on it and no other, marked with its number and
// who asked, and removes each once it is stored. It returns how many.
func Replay(ctx context.Context, conn *bus.Conn, filter Filter, by string) (int, error) {
	publisher := bus.NewPublisher(conn, bus.PublisherConfig{})
	done := 0
	err := each(ctx, conn, filter, func(stream jetstream.Stream, l Letter) error {
		if err := l.complete(ctx, conn); err != nil {
			return err
		}
		// The number makes the id: a replay that is cut off in the middle and run again publishes once.
		again := replay.Again(l.Subject, l.original(), l.Envelope, replay.Mark{
			To: l.Stage, Cause: "dead letter " + strconv.FormatUint(l.Number, 10), By: by, ID: l.ID + ".dead-" + strconv.FormatUint(l.Number, 10),
		})
		if err := publisher.PublishAll(ctx, again); err != nil {
			return fmt.Errorf("replay dead letter %d: %w", l.Number, err)
		}
		if err := remove(ctx, stream, l.Number); err != nil {
			return err
		}
		done++
		return nil
	})
	return done, errors.Join(err, publisher.Close())
}

// complete makes sure that the letter has what a replay needs. A message that was too large to travel with its reason is
// read from where it came from.
func (l *Letter) complete(ctx context.Context, conn *bus.Conn) error {
	if l.Subject == "" {
		return fmt.Errorf("dead letter %d does not say on which subject it came", l.Number)
	}
	if len(l.headers[bus.DeadPayload]) == 0 {
		return nil
	}
	name, err := conn.JetStream().StreamNameBySubject(ctx, l.Subject)
	if err != nil {
		return fmt.Errorf("dead letter %d: find the stream of %s: %w", l.Number, l.Subject, err)
	}
	stream, err := conn.JetStream().Stream(ctx, name)
	if err != nil {
		return fmt.Errorf("dead letter %d: %w", l.Number, err)
	}
	msg, err := stream.GetMsg(ctx, l.Sequence)
	if err != nil {
		return fmt.Errorf("dead letter %d: its message was too large to be kept with it, and is gone from stream %s: %w", l.Number, name, err)
	}
	if msg.Subject != l.Subject {
		return fmt.Errorf("dead letter %d: message %d of stream %s is another one now", l.Number, l.Sequence, name)
	}
	l.Envelope = msg.Data
	return nil
}

// Drop removes the picked letters for good. It returns how many.
func Drop(ctx context.Context, conn *bus.Conn, filter Filter) (int, error) {
	done := 0
	err := each(ctx, conn, filter, func(stream jetstream.Stream, l Letter) error {
		if err := remove(ctx, stream, l.Number); err != nil {
			return err
		}
		done++
		return nil
	})
	return done, err
}

func each(ctx context.Context, conn *bus.Conn, filter Filter, f func(jetstream.Stream, Letter) error) error {
	stream, err := conn.JetStream().Stream(ctx, topology.Dead.Name)
	if err != nil {
		return fmt.Errorf("open the dead letters: %w", err)
	}
	return List(ctx, conn, filter, func(l Letter) (bool, error) { return true, f(stream, l) })
}

func remove(ctx context.Context, stream jetstream.Stream, number uint64) error {
	if err := stream.DeleteMsg(ctx, number); err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) {
		return fmt.Errorf("remove dead letter %d: %w", number, err)
	}
	return nil
}

// original is the headers that the message had before it became a dead letter.
func (l *Letter) original() map[string][]string {
	out := make(map[string][]string, len(l.headers))
	for k, v := range l.headers {
		if !strings.HasPrefix(k, "Dead-") && !strings.HasPrefix(k, "Nats-") {
			out[k] = v
		}
	}
	return out
}
