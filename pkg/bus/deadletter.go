package bus

import (
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
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
)

// stackLines is how much of a panic's stack a dead letter carries.
const stackLines = 12

// DeadLetter publishes a message that was given up on to the dead letters, as it was, with the reason, and lets it be
// acknowledged. When the dead letter cannot be published the message stays and comes again.
func DeadLetter(stage string, to *Publisher, subject func(*message.Message) string, log *slog.Logger, metrics *handlerMetrics) message.HandlerMiddleware {
	return func(h message.HandlerFunc) message.HandlerFunc {
		return func(m *message.Message) ([]*message.Message, error) {
			produced, err := h(m)
			var givenUp *GivenUpError
			if !errors.As(err, &givenUp) {
				return produced, err
			}
			letter := deadLetter(stage, m, givenUp)
			if perr := to.PublishAll(m.Context(), Addressed{Subject: subject(m), Message: letter}); perr != nil {
				return nil, errors.Join(err, perr)
			}
			metrics.dead.WithLabelValues(handlerName(m.Context()), givenUp.Class.String()).Inc()
			log.Error("handler.dead_letter", "stage", stage, "message_id", m.UUID, "attempts", givenUp.Attempts, "class", givenUp.Class.String(), "error", givenUp.Err)
			return nil, nil
		}
	}
}

func deadLetter(stage string, m *message.Message, e *GivenUpError) *message.Message {
	ctx := m.Context()
	letter := message.NewMessage("dead."+stage+"."+m.UUID, m.Payload)
	for k, v := range m.Metadata {
		letter.Metadata[k] = v
	}
	letter.Metadata[DeadStage] = stage
	letter.Metadata[DeadReason] = oneLine(e.Err.Error())
	letter.Metadata[DeadClass] = e.Class.String()
	letter.Metadata[DeadAttempts] = strconv.Itoa(e.Attempts)
	letter.Metadata[DeadTime] = time.Now().UTC().Format(time.RFC3339Nano)
	letter.Metadata[DeadSubject] = Subject(ctx)
	letter.Metadata[DeadSequence] = strconv.FormatUint(Sequence(ctx), 10)
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
