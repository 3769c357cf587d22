package spool

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
)

// extent is where a record's frame stands in its segment.
type extent struct {
	record   Record
	from, to int
}

// written makes a spool of some webhooks, each of them acknowledged, the last three in one write, and gives the bytes of
// its one segment as they are when the process is killed.
func written(t *testing.T) (name string, content []byte, extents []extent) {
	t.Helper()
	dir, d := t.TempDir(), &disk{}
	s := open(t, dir, func(o *Options) { o.create = d.create })
	for i := range 6 {
		add(t, s, record(i))
	}
	d.hold = make(chan struct{})
	var commits []*Commit
	first, err := s.Enqueue(record(6))
	require.NoError(t, err)
	commits = append(commits, first)
	d.hold <- struct{}{} // the first write is under way: the other three share the next
	for i := 7; i < 10; i++ {
		c, err := s.Enqueue(record(i))
		require.NoError(t, err)
		commits = append(commits, c)
	}
	close(d.hold)
	for _, c := range commits {
		require.NoError(t, c.Wait(t.Context()))
	}
	require.NoError(t, s.Close())
	segment := files(t, dir, segmentSuffix)
	require.Len(t, segment, 1)
	content, err = os.ReadFile(segment[0])
	require.NoError(t, err)
	_, mark, ok := parseSegmentName(filepath.Base(segment[0]))
	require.True(t, ok)
	for at := 0; at < len(content); {
		b, end, ok := frameAt(content, mark, at)
		require.True(t, ok)
		if r, ok := parseRecord(b); ok {
			extents = append(extents, extent{r, at, end})
		}
		at = end
	}
	require.Len(t, extents, 10)
	return filepath.Base(segment[0]), content, extents
}

// after is what a spool gives whose one segment has this content, and how many places it calls damaged.
func after(t *testing.T, name string, content []byte) (out []Record, damaged int) {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
	s := open(t, dir)
	waiting := s.Stats().Webhooks
	out = drain(t, s, 4)
	require.Len(t, out, waiting, "what is counted is there")
	// It goes on working.
	add(t, s, record(99))
	require.Equal(t, []Record{record(99)}, drain(t, s, 4))
	require.NoError(t, s.Close())
	require.Empty(t, files(t, dir, segmentSuffix))
	require.LessOrEqual(t, len(files(t, dir, damagedSuffix)), 1)
	return out, int(testutil.ToFloat64(s.damaged))
}

// A power cut leaves a file that ends anywhere. Every record that was written whole is there, and what was torn is no damage:
// nobody was told that it was durable.
func TestAPowerCutAtEveryByte(t *testing.T) {
	t.Parallel()
	name, content, extents := written(t)
	for cut := extents[4].from; cut <= len(content); cut++ {
		var want []Record
		for _, e := range extents {
			if e.to <= cut {
				want = append(want, e.record)
			}
		}
		got, damaged := after(t, name, content[:cut])
		require.Equal(t, want, got, "cut at %d of %d", cut, len(content))
		require.Zero(t, damaged, "cut at %d", cut)

		// Some file systems give the file its length before its bytes.
		got, damaged = after(t, name, append(content[:cut:cut], make([]byte, len(content)-cut)...))
		require.Equal(t, want, got, "zeros from %d of %d", cut, len(content))
		require.Zero(t, damaged, "zeros from %d", cut)
	}
}

// One byte that is wrong costs the record that it is in, and nothing before or behind it.
func TestDamageAtEveryByte(t *testing.T) {
	t.Parallel()
	name, content, extents := written(t)
	for at := extents[4].from; at < len(content); at++ {
		var want []Record
		hit := false
		for _, e := range extents {
			if e.from <= at && at < e.to {
				hit = true
				continue
			}
			want = append(want, e.record)
		}
		damagedContent := append([]byte(nil), content...)
		damagedContent[at] ^= 0xff
		got, damaged := after(t, name, damagedContent)
		require.Equal(t, want, got, "damaged at %d", at)
		if hit {
			require.Equal(t, 1, damaged, "a damaged record is told, at %d", at)
		}
	}
}

// What is damaged while the spool is open is found when it is read.
func TestDamageWhileOpen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	for i := range 5 {
		add(t, s, record(i))
	}
	path := files(t, dir, segmentSuffix)[0]
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	f, err := os.OpenFile(path, os.O_WRONLY, 0o600)
	require.NoError(t, err)
	_, err = f.WriteAt([]byte("damage"), int64(len(content)/2))
	require.NoError(t, err)
	require.NoError(t, f.Close())

	got := drainAll(t, s, 4)
	require.Len(t, got, 4)
	require.Equal(t, record(0), got[0])
	require.Equal(t, record(4), got[3])
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = s.Next(ended, 4)
	require.ErrorIs(t, err, context.Canceled, "nothing is left")
	require.InDelta(t, 1, testutil.ToFloat64(s.damaged), 0)
	require.False(t, s.Busy([]uint16{0, 1, 2, 3, 4, 65535}), "no conversation waits for what is lost")
	add(t, s, record(9))
	require.Equal(t, []Record{record(9)}, drainAll(t, s, 1))
	require.Len(t, files(t, dir, damagedSuffix), 1)
}

// drainAll reads a number of records.
func drainAll(t *testing.T, s *Spool, n int) []Record {
	t.Helper()
	var out []Record
	for len(out) < n {
		records, err := s.Next(t.Context(), 2)
		require.NoError(t, err)
		out = append(out, records...)
		s.Done()
	}
	return out
}

func FuzzScan(f *testing.F) {
	mark := salt{9, 9, 9, 9, 9, 9, 9, 9}
	r := record(3)
	whole := appendFrame(appendFrame(nil, mark, &r), mark, nil)
	f.Add(whole)
	f.Add(append([]byte("xx"), whole...))
	f.Add(append(whole, whole[:20]...))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := scan(b, mark, 1000)
		require.LessOrEqual(t, c.end, len(b))
		behind := scan(append(b, whole...), mark, 1_000_000)
		require.NotEmpty(t, behind.records, "whatever stands before it, a whole record is found")
		last := behind.records[len(behind.records)-1]
		require.Equal(t, r, last)
	})
}

// A process that is killed closes nothing. What was acknowledged until then is there, at every moment.
func TestAKillAtEveryMoment(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	done := 0
	for n := range 30 {
		add(t, s, record(n))
		if n%3 == 2 {
			_, err := s.Next(t.Context(), 2)
			require.NoError(t, err)
			s.Done()
			done += 2
		}
		left := t.TempDir()
		require.NoError(t, os.CopyFS(left, os.DirFS(dir)))
		after := open(t, left)
		got := drain(t, after, 100)
		require.NoError(t, after.Close())
		require.Len(t, got, n+1-done)
		require.Equal(t, record(done), got[0])
		require.Equal(t, record(n), got[len(got)-1])
	}
}
