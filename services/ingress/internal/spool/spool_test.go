package spool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, dir string, change ...func(*Options)) *Spool {
	t.Helper()
	o := Options{Dir: dir, MaxBytes: 64 << 20, Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry()}
	for _, f := range change {
		f(&o)
	}
	s, err := Open(o)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// record is the n-th one. Its body has frames of another segment in it, which are none of ours.
func record(n int) Record {
	body := appendFrame([]byte(fmt.Sprintf(`{"n":%d,"x":"`, n)), salt{1, 2, 3, 4, 5, 6, 7, 8}, nil)
	return Record{
		At: time.Unix(1_762_000_000, int64(n)).UTC(), Request: fmt.Sprintf("r%d", n), Lanes: []uint16{uint16(n), 65535}, Body: append(body, strings.Repeat("y", n%40)...),
	}
}

func add(t *testing.T, s *Spool, records ...Record) {
	t.Helper()
	for _, r := range records {
		c, err := s.Enqueue(r)
		require.NoError(t, err)
		require.NoError(t, c.Wait(t.Context()))
	}
}

// drain reads all that there is, some at a time.
func drain(t *testing.T, s *Spool, most int) []Record {
	t.Helper()
	var out []Record
	for s.Stats().Webhooks > 0 {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		records, err := s.Next(ctx, most)
		if err != nil { // what is left turned out to be lost
			require.Zero(t, s.Stats().Webhooks)
		} else {
			out = append(out, records...)
			s.Done()
		}
		cancel()
	}
	return out
}

func files(t *testing.T, dir, suffix string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "*"+suffix))
	require.NoError(t, err)
	return found
}

func TestOnlyTheFirstOfThemMayLeave(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	var want []Record
	for i := range 20 {
		want = append(want, record(i))
	}
	add(t, s, want...)
	require.Equal(t, want[0].At, s.Held().Oldest)
	require.Len(t, s.Held().Lanes, 21)
	require.Equal(t, []time.Time{want[0].At, want[7].At}, []time.Time{s.Held().Lanes[65535], s.Held().Lanes[7]})
	_, err := s.Next(t.Context(), 10)
	require.NoError(t, err)
	require.Equal(t, want[:3], s.First(3))
	require.Equal(t, want[:3], s.First(7), "no more come back before they are done")
	s.Done()
	require.Len(t, s.Held().Lanes, 18)
	require.Equal(t, want[3].At, s.Held().Lanes[65535], "since the first of those that are left")

	require.NoError(t, s.Close())
	s = open(t, dir)
	require.Equal(t, want[3:], drain(t, s, 9))
	require.Equal(t, Held{}, s.Held())
}

// A record that could not be written leaves in the middle of others, and what is told of its lane stays true.
func TestALaneIsHeldSinceItsFirst(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	var at []Record
	for n := range 4 {
		at = append(at, Record{At: time.Unix(1_762_000_000, int64(n)).UTC(), Lanes: []uint16{7}})
		s.enter(&at[n])
	}
	for _, step := range []struct{ leaves, first int }{{1, 0}, {0, 2}, {3, 2}} {
		s.leave(&at[step.leaves])
		require.Equal(t, map[uint16]time.Time{7: at[step.first].At}, s.Held().Lanes)
	}
	s.leave(&at[2])
	require.Equal(t, Held{}, s.Held())
	require.False(t, s.Busy([]uint16{7}))
}

func TestWhatWasAddedComesOutInOrderAndLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	var want []Record
	for i := range 100 {
		want = append(want, record(i))
	}
	add(t, s, want...)
	require.True(t, s.Busy([]uint16{7}))
	require.False(t, s.Busy([]uint16{101}))
	require.Equal(t, want[0].At, s.Stats().Oldest)
	require.Equal(t, 100, s.Stats().Webhooks)

	first, err := s.Next(t.Context(), 30)
	require.NoError(t, err)
	require.Equal(t, want[:30], first)
	again, err := s.Next(t.Context(), 30)
	require.NoError(t, err)
	require.Equal(t, first, again, "until it is said to be done")
	s.Done()
	require.False(t, s.Busy([]uint16{7}))
	require.True(t, s.Busy([]uint16{7, 30}))

	require.NoError(t, s.Close())
	s = open(t, dir)
	require.Equal(t, 70, s.Stats().Webhooks, "how far it was read is kept")
	require.Equal(t, want[30].At, s.Stats().Oldest)
	require.True(t, s.Busy([]uint16{30}))
	require.Equal(t, want[30:], drain(t, s, 9))
	require.False(t, s.Busy([]uint16{99, 65535}))
	require.Zero(t, s.Stats().Bytes)
	require.Empty(t, files(t, dir, segmentSuffix), "an empty spool takes no room")
}

func TestRecordsOfAnySizeOverManySegments(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, func(o *Options) { o.MaxBytes = 32 << 20 })
	var want []Record
	for i := range 40 {
		r := record(i)
		r.Body = []byte(strings.Repeat(fmt.Sprint(i%10), 1+i*i*900))
		want = append(want, r)
	}
	add(t, s, want...)
	require.Greater(t, len(files(t, dir, segmentSuffix)), 3)
	require.NoError(t, s.Close())
	s = open(t, dir)
	require.Equal(t, want, drain(t, s, 7))
	require.Empty(t, files(t, dir, segmentSuffix))
}

// counted counts fsyncs, holds them up, and fails when it is told to.
type counted struct {
	file
	disk *disk
}

type disk struct {
	syncs       atomic.Int64
	hold        chan struct{}
	mu          sync.Mutex
	write, sync error
}

func (d *disk) fail(write, sync error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.write, d.sync = write, sync
}

func (d *disk) create(path string) (file, error) {
	f, err := createFile(path)
	return &counted{f, d}, err
}

func (c *counted) WriteAt(b []byte, at int64) (int, error) {
	c.disk.mu.Lock()
	err := c.disk.write
	c.disk.mu.Unlock()
	if err != nil {
		n, _ := c.file.WriteAt(b[:len(b)/2], at) // as a full disk does
		return n, err
	}
	return c.file.WriteAt(b, at)
}

func (c *counted) Sync() error {
	if c.disk.hold != nil {
		<-c.disk.hold
	}
	c.disk.syncs.Add(1)
	c.disk.mu.Lock()
	defer c.disk.mu.Unlock()
	return errors.Join(c.disk.sync, c.file.Sync())
}

func TestManyShareOneFsync(t *testing.T) {
	t.Parallel()
	d := &disk{hold: make(chan struct{}, 2)}
	s := open(t, t.TempDir(), func(o *Options) { o.create = d.create })
	var commits []*Commit
	for i := range 200 {
		c, err := s.Enqueue(record(i))
		require.NoError(t, err)
		commits = append(commits, c)
	}
	// One fsync is held up; what came meanwhile goes with the next.
	d.hold <- struct{}{}
	d.hold <- struct{}{}
	for _, c := range commits {
		require.NoError(t, c.Wait(t.Context()))
	}
	require.LessOrEqual(t, d.syncs.Load(), int64(2))
	require.Len(t, drain(t, s, 1000), 200)
}

func TestADiskThatStalls(t *testing.T) {
	t.Parallel()
	d := &disk{hold: make(chan struct{})}
	s := open(t, t.TempDir(), func(o *Options) { o.create = d.create })
	ctx, cancel := context.WithCancel(t.Context())
	begun, err := s.Enqueue(record(0))
	require.NoError(t, err)
	require.Eventually(t, func() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.writing }, 10*time.Second, time.Millisecond)
	waiting, err := s.Enqueue(record(1))
	require.NoError(t, err)
	cancel()
	require.ErrorIs(t, begun.Wait(ctx), ErrBroken)
	require.ErrorIs(t, waiting.Wait(ctx), ErrBroken)

	huge := record(2)
	huge.Body = make([]byte, maxPending)
	s.maxBytes = 1 << 30
	_, err = s.Enqueue(huge)
	require.ErrorIs(t, err, ErrBroken, "memory is bounded")
	close(d.hold)
	<-begun.done
	require.NoError(t, begun.err)
	got := drain(t, s, 10)
	require.Equal(t, []Record{record(0)}, got, "what was begun is there, what nobody waited for was not begun")
}

func TestADiskThatFails(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(d *disk, err error){
		"write": func(d *disk, err error) { d.fail(err, nil) },
		"fsync": func(d *disk, err error) { d.fail(nil, err) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, d, broken := t.TempDir(), &disk{}, errors.New("no space left on device")
			s := open(t, dir, func(o *Options) { o.create = d.create })
			add(t, s, record(0))
			for range 2 { // to the file that is there, and to a new one
				fail(d, broken)
				c, err := s.Enqueue(record(1))
				require.NoError(t, err)
				err = c.Wait(t.Context())
				require.ErrorIs(t, err, ErrBroken)
				require.ErrorIs(t, err, broken)
				require.False(t, s.Busy([]uint16{1}))
				_, err = s.Check(t.Context())
				require.ErrorIs(t, err, ErrBroken)
			}
			fail(d, nil)
			add(t, s, record(2))
			_, err := s.Check(t.Context())
			require.NoError(t, err)
			require.NoError(t, s.Close())
			s = open(t, dir)
			require.Equal(t, []Record{record(0), record(2)}, drain(t, s, 10))
			require.Zero(t, testutil.ToFloat64(s.damaged))
			require.Empty(t, files(t, dir, segmentSuffix))
		})
	}
}

func TestFull(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), func(o *Options) { o.MaxBytes = 64 << 10 })
	n := 0
	for {
		r := record(n)
		r.Body = make([]byte, 1000)
		c, err := s.Enqueue(r)
		if errors.Is(err, ErrFull) {
			break
		}
		require.NoError(t, err)
		require.NoError(t, c.Wait(t.Context()))
		n++
	}
	require.Greater(t, n, 50)
	require.LessOrEqual(t, s.Stats().Bytes, int64(64<<10))
	_, err := s.Check(t.Context())
	require.ErrorIs(t, err, ErrFull)
	first, err := s.Next(t.Context(), n) // what one segment holds
	require.NoError(t, err)
	require.Less(t, len(first), n/2)
	s.Done()
	add(t, s, record(n))
	rest := drain(t, s, n)
	require.Len(t, rest, n-len(first)+1, "room is given back before all is read")
	require.Equal(t, record(n), rest[len(rest)-1])
}

func TestOneProcessAtATime(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open(t, dir)
	_, err := Open(Options{Dir: dir, MaxBytes: 1 << 20, Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry()})
	require.ErrorContains(t, err, "SPOOL_DIR "+dir)
	require.ErrorContains(t, err, "in use by another ingress")
}

func TestNextWaits(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	got := make(chan []Record, 1)
	go func() {
		records, _ := s.Next(t.Context(), 10)
		got <- records
	}()
	add(t, s, record(1))
	require.Equal(t, []Record{record(1)}, <-got)
	s.Done()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Next(ctx, 10)
	require.ErrorIs(t, err, context.Canceled)
}

// Writers and a reader at once: each writer's records come out in its order, each once.
func TestAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, func(o *Options) { o.MaxBytes = 1 << 20 }) // segments of 128 KiB
	const writers, each = 8, 300
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				r := record(i)
				r.Request, r.Body = fmt.Sprint(w), make([]byte, 600)
				for {
					c, err := s.Enqueue(r)
					if err == nil {
						err = c.Wait(t.Context())
					}
					if err == nil {
						break
					}
					if !errors.Is(err, ErrFull) {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	next := map[string]int64{}
	for n := 0; n < writers*each; {
		records, err := s.Next(t.Context(), 50)
		require.NoError(t, err)
		for _, r := range records {
			require.Equal(t, next[r.Request], int64(r.At.Nanosecond()))
			next[r.Request]++
		}
		n += len(records)
		s.Done()
	}
	wg.Wait()
	require.Zero(t, s.Stats().Webhooks)
	require.Zero(t, testutil.ToFloat64(s.damaged))
	require.Eventually(t, func() bool { return s.Stats().Bytes == 0 || len(files(t, dir, segmentSuffix)) == 1 }, 10*time.Second, time.Millisecond)
}

func TestKeptForAPerson(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	add(t, s, record(0))
	_, err := s.Next(t.Context(), 1)
	require.NoError(t, err)
	s.Keep()
	s.Done()
	kept := files(t, dir, damagedSuffix)
	require.Len(t, kept, 1)
	info, err := os.Stat(kept[0])
	require.NoError(t, err)
	require.Equal(t, info.Size(), s.Stats().Bytes, "it counts")
	require.NoError(t, s.Close())
	s = open(t, dir)
	require.Equal(t, info.Size(), s.Stats().Bytes)
	require.Zero(t, s.Stats().Webhooks)
}
