package telemetry_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/telemetry"
)

func TestErrorsAreRememberedByServiceAndToldOnce(t *testing.T) {
	t.Parallel()
	tel, err := telemetry.Start(t.Context(), telemetry.Options{Service: "parley", Common: config.Common{AppName: "test"}, NoAdmin: true, LogTo: io.Discard})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, tel.Close(context.Background())) })
	sender := tel.For("sender")
	require.Empty(t, sender.Troubles())
	sender.Log.Warn("not.an_error")
	for n := range 3 {
		sender.Log.Error("account.paused", telemetry.KeyAccount, "17", telemetry.KeyError, fmt.Errorf("refusal %d", n), "text", "nobody keeps this")
	}
	sender.Log.With(telemetry.KeyAccount, "18").Error("account.paused", telemetry.KeyError, errors.New(strings.Repeat("x", 1000)))
	tel.For("archiver").Log.Error("archive.away")

	got := sender.Troubles()
	require.Len(t, got, 2)
	require.Equal(t, "18", got[0].Account)
	require.Less(t, len(got[0].Error), 600)
	require.Equal(t, "account.paused", got[1].Message)
	require.Equal(t, "17", got[1].Account)
	require.Equal(t, "refusal 2", got[1].Error)
	require.Equal(t, 3, got[1].Count)
	require.False(t, got[1].Last.Before(got[1].First))

	for n := range 100 {
		sender.Log.Error("another", telemetry.KeyAccount, fmt.Sprint(n))
	}
	require.Len(t, sender.Troubles(), 20)
	require.Equal(t, "99", sender.Troubles()[0].Account)
	require.Empty(t, telemetry.Discard().Troubles())
}

func TestAPartOfTheHealthIsItsOwn(t *testing.T) {
	t.Parallel()
	all := &telemetry.Health{}
	a, b := all.For("a"), all.For("b")
	a.Add("nats", func(context.Context) error { return nil })
	b.Add("nats", func(context.Context) error { return errors.New("away") })
	results, ready := a.Run(t.Context())
	require.True(t, ready)
	require.Equal(t, []telemetry.Result{{Name: "a.nats", OK: true}}, results)
	_, ready = all.Run(t.Context())
	require.False(t, ready)
}
