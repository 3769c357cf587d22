package bus

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLazyContextEndsAsOthersDo(t *testing.T) {
	t.Parallel()
	cause := errors.New("cause")
	ends := map[string]func(t *testing.T, begin func(parent context.Context, d time.Duration) *lazyContext) (*lazyContext, error, error){
		"with its parent": func(_ *testing.T, begin func(context.Context, time.Duration) *lazyContext) (*lazyContext, error, error) {
			parent, cancel := context.WithCancelCause(context.Background())
			c := begin(parent, time.Hour)
			cancel(cause)
			return c, context.Canceled, cause
		},
		"at its deadline": func(_ *testing.T, begin func(context.Context, time.Duration) *lazyContext) (*lazyContext, error, error) {
			c := begin(t.Context(), 20*time.Millisecond)
			<-time.After(40 * time.Millisecond)
			return c, context.DeadlineExceeded, context.DeadlineExceeded
		},
		"when it is ended": func(_ *testing.T, begin func(context.Context, time.Duration) *lazyContext) (*lazyContext, error, error) {
			c := begin(t.Context(), 0)
			c.end(context.Canceled)
			c.end(context.DeadlineExceeded) // changes nothing
			return c, context.Canceled, context.Canceled
		},
	}
	begins := map[string]func(parent context.Context, d time.Duration) *lazyContext{
		"nobody watched": lazy,
		"somebody watched": func(parent context.Context, d time.Duration) *lazyContext {
			c := lazy(parent, d)
			c.Done()
			return c
		},
	}
	for how, end := range ends {
		for who, begin := range begins {
			t.Run(how+", "+who, func(t *testing.T) {
				t.Parallel()
				var child context.Context
				var cancel context.CancelFunc
				ran := make(chan struct{})
				c, err, why := end(t, func(parent context.Context, d time.Duration) *lazyContext {
					c := begin(parent, d)
					require.NoError(t, c.Err())
					if who == "somebody watched" {
						child, cancel = context.WithCancel(c)                             //nolint:fatcontext // one
						context.AfterFunc(c, func() { close(ran) })                       //nolint:contextcheck // it is the one that is tested
						stop := context.AfterFunc(c, func() { panic("stopped in time") }) //nolint:contextcheck // as above
						require.True(t, stop())
						require.False(t, stop())
					}
					return c
				})
				if child != nil {
					defer cancel()
					<-child.Done()
					<-ran
				}
				<-c.Done()
				require.ErrorIs(t, c.Err(), err)
				require.ErrorIs(t, context.Cause(c), why)
				after := make(chan struct{})
				context.AfterFunc(c, func() { close(after) })
				<-after
			})
		}
	}
}

func TestLazyContextValuesAndDeadline(t *testing.T) {
	t.Parallel()
	type key struct{}
	parent, cancel := context.WithTimeout(context.WithValue(t.Context(), key{}, "value"), time.Hour)
	defer cancel()
	h := &held{subject: "s", seq: 7}
	c := &lazyContext{Context: parent, held: h}
	require.Equal(t, "value", c.Value(key{}))
	require.Same(t, h, heldOf(context.WithValue(c, key{}, "another")))
	require.Equal(t, "s", Subject(c))
	require.Equal(t, uint64(7), Sequence(c))
	inner := &lazyContext{Context: c, deadline: time.Now().Add(time.Minute)}
	require.Same(t, h, heldOf(inner))
	at, ok := inner.Deadline()
	require.True(t, ok)
	require.Equal(t, inner.deadline, at)
	at, ok = (&lazyContext{Context: c, deadline: time.Now().Add(2 * time.Hour)}).Deadline()
	require.True(t, ok)
	want, _ := parent.Deadline()
	require.Equal(t, want, at)
	require.Empty(t, Subject(parent))
	require.Zero(t, Sequence(parent))
	require.Nil(t, Draining(parent))
	require.NoError(t, Owned(parent))
}

func lazy(parent context.Context, d time.Duration) *lazyContext {
	c := &lazyContext{Context: parent}
	if d > 0 {
		c.deadline = time.Now().Add(d)
	}
	return c
}
