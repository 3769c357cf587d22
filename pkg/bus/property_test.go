package bus_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestPropertyOrderedNeverLostOnce drives random joins, leaves, kills, stalls, failures, restarts of the server and
// publishes. Whatever happens: the effects of each key come in order, none is missing in the end, none happens twice.
//
// The effects are idempotent, as every handler's are; a member whose lease is over by its own clock has none. Both are what
// the bus asks of handlers, and the cluster's handler does no more than that.
//
// BUS_PROPERTY_MINUTES runs it for longer than the few seconds of a normal run.
func TestPropertyOrderedNeverLostOnce(t *testing.T) { //nolint:tparallel // its rounds go one after another, until the time is over
	t.Parallel()
	deadline, rounds := time.Now().Add(15*time.Second), 4
	if minutes, err := strconv.Atoi(os.Getenv("BUS_PROPERTY_MINUTES")); err == nil {
		deadline, rounds = time.Now().Add(time.Duration(minutes)*time.Minute), 1<<30
	}
	for round := 0; round < rounds && time.Now().Before(deadline); round++ {
		// A seed of its own for each round; its number makes a failure repeatable in what is drawn, if not in its timing.
		script := rapid.Custom(drawScript).Example(int(time.Now().UnixNano()%1e9) + round)
		ok := t.Run(fmt.Sprintf("round %d", round), func(t *testing.T) { runScript(t, script) })
		require.True(t, ok, "script: %s", strings.Join(script, ", "))
	}
}

// drawScript draws what happens, in order.
func drawScript(t *rapid.T) []string {
	step := rapid.SampledFrom([]string{
		"join", "join", "leave", "kill", "stall", "resume", "fail", "slow", "restart", "cut", "publish", "publish", "publish", "publish", "pause", "pause",
	})
	return rapid.SliceOfN(step, 10, 25).Draw(t, "script")
}

// world is a cluster and those of its members that are about.
type world struct {
	c               *cluster
	names           int
	up, stalled     []*member
	failing, slow   atomic.Int64
	published, keys int
	publishing      sync.WaitGroup
	numbers         chan int
}

func runScript(t *testing.T, script []string) {
	t.Helper()
	w := &world{c: newCluster(t, 700*time.Millisecond), keys: 12, numbers: make(chan int, 1000)}
	w.publishing.Go(func() { // beside what happens, since it may take long while the server is away
		for n := range w.numbers {
			w.c.publish(w.keys, n, n+1)
		}
	})
	w.step("join")
	for _, s := range append(script, "publish") {
		w.step(s)
	}
	for len(w.stalled) > 0 {
		w.step("resume")
	}
	if len(w.up) == 0 {
		w.step("join")
	}
	w.failing.Store(0)
	close(w.numbers)
	w.publishing.Wait()
	w.c.requireAll(w.keys, w.published, 40*time.Second)

	// Nothing is left behind on the server once the last has left.
	w.c.requireShares(20*time.Second, w.up...)
	for _, m := range w.up {
		m.leave()
	}
	stream, err := w.c.conn.JetStream().Stream(context.Background(), "WORK")
	require.NoError(t, err)
	if !slices.Contains(script, "stall") { // whose requests can arrive late, and make a consumer that only time removes
		require.Zero(t, stream.CachedInfo().State.Consumers)
	}
}

func (w *world) step(s string) {
	switch s {
	case "join":
		if len(w.up) < 4 {
			w.names++
			w.up = append(w.up, w.c.join(fmt.Sprintf("m%d", w.names), w.work))
		}
	case "leave":
		if m := take(&w.up); m != nil {
			m.leave()
		}
	case "kill":
		if m := take(&w.up); m != nil {
			m.conn.Close()
		}
	case "stall":
		if m := take(&w.up); m != nil {
			m.proxy.Stall()
			w.stalled = append(w.stalled, m)
		}
	case "resume":
		if m := take(&w.stalled); m != nil {
			m.proxy.Resume()
			w.up = append(w.up, m)
		}
	case "cut":
		if len(w.up) > 0 {
			w.up[0].proxy.Cut()
		}
	case "fail":
		w.failing.Add(5)
	case "slow":
		w.slow.Add(5)
	case "restart":
		w.c.server.Down()
		w.c.server.Up()
	case "publish":
		for range 3 {
			w.numbers <- w.published
			w.published++
		}
	case "pause":
		w.pause(200 * time.Millisecond)
	}
}

func (*world) pause(d time.Duration) { <-time.After(d) }

// take removes the member that has been there the longest.
func take(from *[]*member) *member {
	if len(*from) == 0 {
		return nil
	}
	m := (*from)[0]
	*from = (*from)[1:]
	return m
}

// work fails or dawdles when it was told to. It says with its error whether the message is to be refused.
func (w *world) work(ctx context.Context, _ string) error {
	if w.slow.Add(-1) >= 0 {
		select {
		case <-time.After(300 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	if w.failing.Add(-1) >= 0 {
		return errBad
	}
	return nil
}
