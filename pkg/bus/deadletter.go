package bus

import (
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/cenkalti/backoff/v5"
)

// The metadata of a dead letter, beside those that the message had.
const (
	DeadStage    = "Dead-Stage"    // which stage gave up
	DeadReason   = "Dead-Reason"   // the last error
	DeadClass    = "Dead-Class"    // permanent or transient
	DeadAttempts = "Dead-Attempts" // how many attempts
	DeadTime     = "Dead-Time"     // RFC 3339
	DeadSubject  = "Dead-Subject"  // the subject that it came on
	DeadSequence = "Dead-Sequence" // its place in the stream that it came from
	DeadID       = "Dead-Id"       // the UUID that it had
	DeadStack    = "Dead-Stack"    // of a panic: the first lines, joined by " | "
	DeadPayload  = "Dead-Payload"  // "omitted" when the payload was too large for a dead letter; see Dead-Sequence
)

// stackLines is how much of a panic's stack a dead letter carries.
const stackLines = 12

// letterbox publishes messages that were given up on to the dead letters.
type letterbox struct {
	stage   string
	to      *Publisher
	subject func(*message.Message) string
	log     *slog.Logger
	metrics *handlerMetrics
}

// middleware turns a message that was given up on into a dead letter, as it was, with the reason, and lets it be
// acknowledged.
func (b *letterbox) middleware(h message.HandlerFunc) message.HandlerFunc {
	return func(m *message.Message) ([]*message.Message, error) {
		produced, err := h(m)
		if err == nil {
			return produced, nil
		}
		var givenUp *GivenUpError
		if !errors.As(err, &givenUp) {
			return produced, err
		}
		if err := b.post(m, givenUp); err != nil {
			return nil, err
		}
		b.metrics.dead.WithLabelValues(handlerName(m.Context()), givenUp.Class.String()).Inc()
		b.log.Error("handler.dead_letter", "stage", b.stage, "message_id", m.UUID, "attempts", givenUp.Attempts, "class", givenUp.Class.String(), "error", givenUp.Err)
		return nil, nil
	}
}

// post publishes a dead letter, for as long as it takes: the message keeps its lane meanwhile, and is not handled again
// for want of a place to put it. When the subscriber drains first, the message comes again.
func (b *letterbox) post(m *message.Message, givenUp *GivenUpError) error {
	ctx := m.Context()
	letter := deadLetter(b.stage, m, givenUp)
	delays := backoff.NewExponentialBackOff()
	delays.InitialInterval, delays.MaxInterval = 100*time.Millisecond, 10*time.Second
	for try := 1; ; try++ {
		if Owned(ctx) != nil || ctx.Err() != nil {
			return fmt.Errorf("%w: %w", errStopping, givenUp)
		}
		err := b.to.PublishAll(ctx, Addressed{Subject: b.subject(m), Message: letter})
		if err == nil {
			return nil
		}
		if errors.Is(err, ErrRefused) && letter.Payload != nil {
			// Most likely too large with the headers that were added. The stream that it came from still has it.
			letter.Payload, letter.Metadata[DeadPayload] = nil, "omitted"
			continue
		}
		if powerOfTwo(try) {
			b.log.Warn("handler.dead_letter.retry", "stage", b.stage, "message_id", m.UUID, "attempt", try, "error", err)
		}
		if !waiting(ctx, func() bool { return wait(ctx, delays.NextBackOff()) }) {
			return fmt.Errorf("%w: %w", errStopping, givenUp)
		}
	}
}

func deadLetter(stage string, m *message.Message, e *GivenUpError) *message.Message {
	ctx := m.Context()
	// One letter for each handler and each time that the message was published: a replay that fails again is news.
	sequence := strconv.FormatUint(Sequence(ctx), 10)
	letter := message.NewMessage(strings.Join([]string{"dead", stage, handlerName(ctx), m.UUID, sequence}, "."), m.Payload)
	for k, v := range m.Metadata {
		if !strings.HasPrefix(k, "Nats-") { // conditions that its publisher set on another stream
			letter.Metadata[k] = v
		}
	}
	letter.Metadata[DeadStage] = stage
	letter.Metadata[DeadReason] = oneLine(e.Err.Error())
	letter.Metadata[DeadClass] = e.Class.String()
	letter.Metadata[DeadAttempts] = strconv.Itoa(e.Attempts)
	letter.Metadata[DeadTime] = time.Now().UTC().Format(time.RFC3339Nano)
	letter.Metadata[DeadSubject] = Subject(ctx)
	letter.Metadata[DeadSequence] = sequence
	letter.Metadata[DeadID] = m.UUID
	var panicked *PanicError
	if errors.As(e.Err, &panicked) {
		lines := strings.SplitN(string(panicked.Stack), "\n", stackLines+1)
		letter.Metadata[DeadStack] = oneLine(strings.Join(lines[:min(stackLines, len(lines))], " | "))
	}
	return letter
}

// oneLine makes a header's value of a text: NATS headers end at a line break.
func oneLine(s string) string {
	const most = 2048
	s = strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, s)
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "")
	}
	return s
}
