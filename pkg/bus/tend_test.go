package bus_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/bus"
)

// What runs beside the handlers of a partition has begun before its first message is handed out, runs in one member at a
// time, and has ended before another member gets the partition.
func TestWorkBesideTheHandlersFollowsThePartition(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2*time.Second)
	var mu sync.Mutex
	tending, failed, wrong := map[int]string{}, map[int]bool{}, []string(nil)
	note := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	c.tend = func(ctx context.Context, member string, p int) (func(), error) {
		mu.Lock()
		defer mu.Unlock()
		if !failed[p] {
			failed[p] = true
			return nil, errors.New("not yet")
		}
		if other, busy := tending[p]; busy {
			note("%s begins with partition %d while %s is at it", member, p, other)
		}
		tending[p] = member
		return func() {
			beside := bus.Beside(ctx, "h", "some.subject", 7)
			select {
			case <-bus.Draining(ctx):
			case <-ctx.Done():
			}
			mu.Lock()
			defer mu.Unlock()
			delete(tending, p)
			if bus.Subject(beside) != "some.subject" || bus.Sequence(beside) != 7 || bus.Draining(beside) == nil {
				note("a context beside does not know its message")
			}
			if bus.Owned(beside) != nil {
				note("partition %d was lost before the work ended", p)
			}
		}, nil
	}
	member := func(name string) *member {
		return c.join(name, func(_ context.Context, id string) error {
			key, _, _ := strings.Cut(id, ".")
			k, err := strconv.Atoi(key[1:])
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			if by := tending[k%testPartitions]; by != name {
				note("%s handles %s, which %q tends", name, id, by)
			}
			return nil
		})
	}
	c.publish(16, 0, 4)
	a := member("a")
	c.requireShares(15*time.Second, a)
	b := member("b")
	c.publish(16, 4, 8)
	c.requireShares(15*time.Second, a, b)
	a.leave()
	c.publish(16, 8, 12)
	c.requireAll(16, 12, 15*time.Second)
	c.requireShares(15*time.Second, b)
	b.leave()
	mu.Lock()
	defer mu.Unlock()
	require.Empty(t, wrong)
	require.Empty(t, tending)
	require.Len(t, failed, testPartitions)
}
