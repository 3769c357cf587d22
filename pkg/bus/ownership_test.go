package bus_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestOwnershipSharesEvenlyOnJoinAndLeave(t *testing.T) {
	t.Parallel()
	const ttl = 20 * time.Second
	c := newCluster(t, ttl)
	a := c.join("a", nil)
	c.requireShares(10*time.Second, a)
	b := c.join("b", nil)
	c.requireShares(10*time.Second, a, b)
	d := c.join("d", nil)
	c.requireShares(10*time.Second, a, b, d)

	c.publish(40, 0, 5)
	c.requireAll(40, 5, 10*time.Second)

	begin := time.Now()
	b.leave()
	c.requireShares(ttl, a, d)
	require.Less(t, time.Since(begin), ttl/2, "a graceful leave hands over at once; nobody waits for a lease to end")
	c.publish(40, 5, 8)
	c.requireAll(40, 8, 10*time.Second)
}

func TestOwnershipOfAMemberThatIsCutOffMovesInOrder(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2*time.Second)
	// The first member holds a few messages when its connection stalls, and has acknowledged others.
	var stalled atomic.Bool
	release := make(chan struct{})
	a := c.join("a", func(context.Context, string) error {
		if stalled.Load() {
			<-release
		}
		return nil
	})
	c.requireShares(15*time.Second, a)
	c.publish(16, 0, 4)
	c.requireAll(16, 4, 15*time.Second)

	stalled.Store(true)
	c.publish(16, 4, 6)
	a.proxy.Stall()
	b := c.join("b", nil)
	c.publish(16, 6, 10)
	// Everything that the first left comes to the second before what is newer, and in order.
	c.requireAll(16, 10, 15*time.Second)
	c.requireShares(15*time.Second, b)

	// It wakes up: nothing that it still holds has an effect, and it gets its share again.
	close(release)
	a.proxy.Resume()
	stalled.Store(false)
	c.requireShares(20*time.Second, a, b)
	c.publish(16, 10, 12)
	c.requireAll(16, 12, 15*time.Second)
}

func TestOwnershipOfAClosedConnectionMovesWithinTTL(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2*time.Second)
	a := c.join("a", nil)
	b := c.join("b", nil)
	c.requireShares(15*time.Second, a, b)
	a.conn.Close()
	c.publish(16, 0, 3)
	c.requireAll(16, 3, 15*time.Second)
	c.requireShares(15*time.Second, b)
}

// Where a stream is deleted and made again, what members know of the old one would have them pass over as much of the new one.
func TestAStreamThatIsMadeAgainIsReadFromItsBeginning(t *testing.T) {
	t.Parallel()
	c := newCluster(t, time.Second)
	a, b := c.join("a", nil), c.join("b", nil)
	c.requireShares(15*time.Second, a, b)
	c.publish(16, 0, 5)
	c.requireAll(16, 5, 15*time.Second)

	require.NoError(t, c.conn.JetStream().DeleteStream(t.Context(), "WORK"))
	c.stream()
	c.publish(16, 5, 7) // fewer than there were
	c.requireAll(16, 7, 20*time.Second)
	c.requireShares(15*time.Second, a, b)
	c.publish(16, 7, 12)
	c.requireAll(16, 12, 15*time.Second)
}

func TestServerRestartRepeatsInOrderWithoutAStall(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2*time.Second)
	var hold sync.Once
	held, release := make(chan struct{}), make(chan struct{})
	a := c.join("a", func(context.Context, string) error {
		hold.Do(func() { close(held); <-release })
		return nil
	})
	c.requireShares(15*time.Second, a)
	c.publish(16, 0, 3)
	<-held
	c.server.Down()
	close(release)
	c.server.Up()
	c.publish(16, 3, 6)
	// Well under AckWait (10 s): what got lost in the broken connection is not waited for.
	c.requireAll(16, 6, 8*time.Second)
}

func TestStableMemberTakesItsLeasesBackAtOnce(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 30*time.Second)
	a := c.join("server", nil)
	c.requireShares(15*time.Second, a)
	c.publish(8, 0, 2)
	c.requireAll(8, 2, 15*time.Second)
	a.conn.Close() // killed: nothing was given back
	again := c.join("server", nil)
	c.requireShares(15*time.Second, again)
	c.publish(8, 2, 4)
	c.requireAll(8, 4, 15*time.Second)
}
