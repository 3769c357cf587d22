package bus

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Errors of the bus.
var (
	// ErrUnavailable: the server did not acknowledge within the deadline. The message may be stored all the same; publish
	// it again with the same UUID.
	ErrUnavailable = errors.New("the bus did not acknowledge in time")
	// ErrNoStream: no stream takes the subject, or JetStream is not up yet.
	ErrNoStream = errors.New("no stream takes this subject")
	// ErrRefused: the server, or the client, will not have the message for what it is: too large, without an id, with a
	// subject that is none. Publishing it again cannot help.
	ErrRefused = errors.New("the message was refused")
	// ErrClosed: the publisher or subscriber has been closed.
	ErrClosed = errors.New("closed")
	// ErrLeaseLost is the cause of a message's context when its partition has another owner now: stop, publish nothing.
	ErrLeaseLost = errors.New("the partition has another owner")
	// ErrDrainTimeout is the cause of a message's context when a stop took longer than it may.
	ErrDrainTimeout = errors.New("the stop took too long")

	// ErrKeyExists: Create found a value.
	ErrKeyExists = errors.New("the key exists")
	// ErrKeyNotFound: there is no value.
	ErrKeyNotFound = errors.New("no such key")
	// ErrWrongRevision: somebody else wrote the key since it was read.
	ErrWrongRevision = errors.New("the key has another revision")
)

// errStopping ends a wait for another attempt. It is a context.Canceled so that Watermill's router does not report it.
var errStopping = fmt.Errorf("the subscriber is stopping: %w", context.Canceled)

// Class says what the bus does with a handler's error.
type Class int

// The classes of errors.
const (
	// Transient: try again, in the lane, with growing delays, up to a bound.
	Transient Class = iota
	// Deferred: try again, in the lane, at the time that the error names, or with growing delays when it names none; this
	// counts as no attempt.
	Deferred
	// Poison: trying again cannot help; to the dead letters.
	Poison
)

func (c Class) String() string {
	return [...]string{"transient", "deferred", "permanent"}[c]
}

// Permanent marks an error as one that trying again cannot help. Its message becomes a dead letter.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanentError{err}
}

type permanentError struct{ error }

func (e *permanentError) Unwrap() error { return e.error }

// DeferUntil marks an error as one that is over at a known time: a rate limit, a pause.
func DeferUntil(err error, at time.Time) error {
	if err == nil {
		return nil
	}
	return &deferredError{error: err, at: at}
}

// WhileAway marks an error as one of a dependency that is away: tried again with growing delays for as long as it takes,
// since no message is at fault.
func WhileAway(err error) error { return DeferUntil(err, time.Time{}) }

type deferredError struct {
	error
	at time.Time
}

func (e *deferredError) Unwrap() error { return e.error }

// PanicError is a handler's panic. It is permanent: the same message would most likely panic again.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Classify says what class an error is of and, if it is deferred, until when. An error that nobody classified is
// transient: trying again costs little, a message thrown away cannot be had back.
func Classify(err error) (Class, time.Time) {
	var deferred *deferredError
	var permanent *permanentError
	var panicked *PanicError
	switch {
	case errors.As(err, &permanent), errors.As(err, &panicked), errors.Is(err, ErrRefused):
		return Poison, time.Time{}
	case errors.As(err, &deferred):
		return Deferred, deferred.at
	case errors.Is(err, ErrUnavailable), errors.Is(err, ErrNoStream):
		return Deferred, time.Time{}
	default:
		return Transient, time.Time{}
	}
}

// away gives an error of a call to JetStream its class: what the server said of the call stays as it is, anything else
// means that the server is away or overloaded.
func away(err error) error {
	var api *jetstream.APIError
	switch {
	case err == nil, errors.Is(err, context.Canceled), errors.Is(err, ErrUnavailable):
		return err
	case errors.As(err, &api) && !overloaded(api):
		return err
	default:
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
}

// duplicateInProcess is the server's error for a message id that it is storing just now, on a stream with several copies: an
// earlier try of ours, whose answer was lost. Whether it is stored is known in a moment.
const duplicateInProcess jetstream.ErrorCode = 10158

// overloaded says whether the server refused for its own sake: it is starting, out of room, has too much to do, or is not done
// with an earlier try. A stream at its bound answers so.
func overloaded(api *jetstream.APIError) bool {
	return api.ErrorCode == duplicateInProcess || api.Code >= http.StatusInternalServerError || api.Code == http.StatusTooManyRequests || api.Code == http.StatusRequestTimeout
}
