//go:build unix

package pglocal

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

func TestWhatWasCommittedOutlivesACrash(t *testing.T) {
	t.Parallel()
	s, err := Start(t.Context(), Options{Port: AnyPort})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Stop()) })
	conn, err := pgx.Connect(t.Context(), s.TCPURL())
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "CREATE TABLE kept AS SELECT 'kept'::text AS what")
	require.NoError(t, err)
	socket, tcp := s.URL(), s.TCPURL()

	require.NoError(t, s.Crash(t.Context()))
	require.Error(t, conn.Ping(t.Context()), "its connections are gone")
	_, err = pgx.Connect(t.Context(), socket)
	require.Error(t, err)

	require.NoError(t, s.Restart(t.Context()))
	require.Equal(t, []string{socket, tcp}, []string{s.URL(), s.TCPURL()})
	require.Equal(t, "kept", query(t, s.URL(), "SELECT what FROM kept"))
	require.NoError(t, s.Restart(t.Context()), "also in order")
	require.Equal(t, "kept", query(t, s.TCPURL(), "SELECT what FROM kept"))
}

func TestAServerThatStandsStillAnswersNothingAndGoesOn(t *testing.T) {
	t.Parallel()
	s, err := Start(t.Context(), Options{Unsafe: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Stop()) })
	conn, err := pgx.Connect(t.Context(), s.URL())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	require.NoError(t, s.Stall(t.Context(), true))
	answered := make(chan error, 1)
	go func() { answered <- conn.Ping(context.WithoutCancel(t.Context())) }()
	select {
	case err := <-answered:
		t.Fatalf("a server that stands still answered: %v", err)
	case <-time.After(200 * time.Millisecond):
	}
	require.NoError(t, s.Stall(t.Context(), false))
	require.NoError(t, <-answered)
}
