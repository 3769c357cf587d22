package bus

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// Deadline ends the context of each attempt after a while, so that a handler that hangs is tried again and in the end
// given up on, and its lane goes on.
//
//nolint:contextcheck,nolintlint // the message's context is what it derives from; said here for all callers
func Deadline(timeout time.Duration) message.HandlerMiddleware {
	return func(h message.HandlerFunc) message.HandlerFunc {
		return func(m *message.Message) ([]*message.Message, error) {
			before := m.Context()
			ctx := &lazyContext{Context: before, deadline: time.Now().Add(timeout)}
			m.SetContext(ctx)
			defer func() {
				ctx.end(context.Canceled)
				m.SetContext(before)
			}()
			produced, err := h(m)
			if err != nil && ctx.Err() != nil && before.Err() == nil {
				err = fmt.Errorf("handler took longer than %s: %w", timeout, err)
			}
			return produced, err
		}
	}
}

// Recover turns a handler's panic into a [PanicError].
func Recover(h message.HandlerFunc) message.HandlerFunc {
	return func(m *message.Message) (produced []*message.Message, err error) {
		defer func() {
			if v := recover(); v != nil {
				err = &PanicError{Value: v, Stack: debug.Stack()}
			}
		}()
		return h(m)
	}
}
