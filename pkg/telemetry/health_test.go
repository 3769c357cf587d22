package telemetry

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEveryCheckIsAskedAndOneFailureIsEnough(t *testing.T) {
	t.Parallel()
	const checks = 50
	h := &Health{}
	for i := range checks {
		h.Add(fmt.Sprintf("good%02d", i), func(context.Context) error { return nil })
	}
	service := h.For("responder")
	results, ready := service.parent.Run(t.Context())
	require.True(t, ready)
	require.Len(t, results, checks)

	service.Add("rules", func(context.Context) error { return errors.New("not loaded yet") })
	results, ready = h.Run(t.Context())
	require.False(t, ready)
	require.Len(t, results, checks+1)
	require.Contains(t, results, Result{Name: "responder.rules", Error: "not loaded yet"})
}
