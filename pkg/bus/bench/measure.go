package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// bench is one run: a server and what was measured with it.
type bench struct {
	o       options
	server  *server
	js      jetstream.JetStream
	total   usage
	rates   map[string][]float64 // messages a second
	cost    map[string][]float64 // CPU time a message, ours and the server's, in microseconds
	allocs  map[string]float64   // a message
	gaps    map[string]time.Duration
	heap    [2]uint64 // after a tenth and after all of the messages of the memory measure
	rss     [2]int
	streams int
}

func measureAll(ctx context.Context, o options) (*bench, error) {
	s, err := startServer(ctx)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	nc, err := nats.Connect(s.url)
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	if _, err := js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "leases"}); err != nil {
		return nil, err
	}
	b := &bench{o: o, server: s, js: js, rates: map[string][]float64{}, cost: map[string][]float64{}, allocs: map[string]float64{}, gaps: map[string]time.Duration{}}
	for round := range o.rounds {
		if err := b.round(ctx, round); err != nil {
			return nil, err
		}
	}
	if o.million > 0 && o.only == "" {
		if err := b.memory(ctx); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// The measures. Those that are compared stand beside each other, so that they meet the same machine.
const (
	publishRaw, publishBus, publishBus8, publishStock = "publish raw, window of 4000", "publish slices of 100", "publish slices of 100, 8 callers", "publish watermill-nats"
	consumeRaw, consumeKeyed, consumeUnkeyed          = "consume raw", "consume keyed lanes", "consume unkeyed"
	consumeRaw16                                      = "consume raw, 16 filtered consumers"
	consumeStock                                      = "consume watermill-nats"
	owned1, owned2, owned3                            = "consume 16 owned partitions, 1 member", "consume 16 owned partitions, 2 members", "consume 16 owned partitions, 3 members"
)

func (b *bench) round(ctx context.Context, round int) error {
	n := b.o.messages
	publish := func(name string, n int, f func(stream string) error) error {
		return b.withStream(ctx, func(stream string) error { return b.measure(name, n, func() error { return f(stream) }) })
	}
	if err := publish(publishRaw, n, func(s string) error { return b.rawPublish(ctx, s, n) }); err != nil {
		return err
	}
	if err := publish(publishBus, n, func(s string) error { return b.busPublish(ctx, s, n, 1) }); err != nil {
		return err
	}
	if err := publish(publishBus8, n, func(s string) error { return b.busPublish(ctx, s, n, 8) }); err != nil {
		return err
	}
	if err := publish(publishStock, b.o.slow, func(s string) error { return b.stockPublish(ctx, s, b.o.slow) }); err != nil {
		return err
	}
	if err := b.withFull(ctx, n, func(s string) error { return b.consumers(ctx, s, round) }); err != nil {
		return err
	}
	return b.withFull(ctx, b.o.slow, func(s string) error {
		c := newCounter(b.o.slow)
		return b.measureConsume(consumeStock, c, func() error { return b.stockConsume(ctx, s, c) })
	})
}

func (b *bench) consumers(ctx context.Context, stream string, round int) error {
	n := b.o.messages
	for i, m := range []struct {
		name    string
		consume func(group string, c *counter) error
	}{
		{consumeRaw, func(_ string, c *counter) error { return b.rawConsume(ctx, stream, []string{stream + ".>"}, c) }},
		{consumeRaw16, func(_ string, c *counter) error { return b.rawConsume(ctx, stream, filters(stream), c) }},
		{consumeKeyed, func(g string, c *counter) error { return b.busConsume(ctx, stream, g, 1, how{keyed: true}, c) }},
		{consumeUnkeyed, func(g string, c *counter) error { return b.busConsume(ctx, stream, g, 1, how{}, c) }},
		{owned1, func(g string, c *counter) error { return b.busConsume(ctx, stream, g, 1, how{true, true}, c) }},
		{owned2, func(g string, c *counter) error { return b.busConsume(ctx, stream, g, 2, how{true, true}, c) }},
		{owned3, func(g string, c *counter) error { return b.busConsume(ctx, stream, g, 3, how{true, true}, c) }},
	} {
		c := newCounter(n)
		group := fmt.Sprintf("r%d-%d", round, i)
		if err := b.measureConsume(m.name, c, func() error { return m.consume(group, c) }); err != nil {
			return err
		}
	}
	return nil
}

// measureConsume is measure for what c counts; its time is that from the first message to the last.
func (b *bench) measureConsume(name string, c *counter, f func() error) error {
	if err := b.measure(name, int(c.want), f); err != nil || c.n.Load() == 0 {
		return err
	}
	rates := b.rates[name]
	rates[len(rates)-1] = float64(c.want-1) / time.Duration(c.last.Load()-c.first.Load()).Seconds()
	b.gaps[name] = max(b.gaps[name], time.Duration(c.gap.Load()))
	return nil
}

// measure runs f, which handles n messages.
func (b *bench) measure(name string, n int, f func() error) error {
	if !strings.Contains(name, b.o.only) {
		return nil
	}
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	begin, err := look(os.Getpid(), b.server.pid())
	if err != nil {
		return err
	}
	start := time.Now()
	if err := f(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	took := time.Since(start)
	end, err := look(os.Getpid(), b.server.pid())
	if err != nil {
		return err
	}
	runtime.ReadMemStats(&after)
	used := end.minus(begin)
	b.total = b.total.plus(used)
	b.rates[name] = append(b.rates[name], float64(n)/took.Seconds())
	b.cost[name] = append(b.cost[name], float64(used.own.Microseconds())/float64(n))
	b.allocs[name] = float64(after.Mallocs-before.Mallocs) / float64(n)
	return nil
}

// withStream calls f with a fresh stream.
func (b *bench) withStream(ctx context.Context, f func(stream string) error) error {
	b.streams++
	name := fmt.Sprintf("B%d", b.streams)
	_, err := b.js.CreateStream(ctx, jetstream.StreamConfig{Name: name, Subjects: []string{name + ".>"}, Storage: jetstream.FileStorage, Duplicates: 2 * time.Minute})
	if err != nil {
		return err
	}
	if err := f(name); err != nil {
		return err
	}
	return b.js.DeleteStream(ctx, name)
}

// withFull calls f with a stream that holds n messages.
func (b *bench) withFull(ctx context.Context, n int, f func(stream string) error) error {
	return b.withStream(ctx, func(stream string) error {
		if err := b.rawPublish(ctx, stream, n); err != nil {
			return err
		}
		return f(stream)
	})
}

// memory sends many messages through one subscriber and looks at the heap on the way.
func (b *bench) memory(ctx context.Context) error {
	const chunk = 100_000
	return b.withStream(ctx, func(stream string) error {
		for done := 0; done < b.o.million; done += chunk {
			if err := b.rawPublish(ctx, stream, chunk); err != nil {
				return err
			}
			if err := b.busConsume(ctx, stream, "memory", 1, how{keyed: true}, newCounter(chunk)); err != nil {
				return err
			}
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			if done == 0 {
				b.heap[0], b.rss[0] = m.HeapAlloc, b.server.rss()
			}
			b.heap[1], b.rss[1] = m.HeapAlloc, b.server.rss()
			s, err := b.js.Stream(ctx, stream)
			if err != nil {
				return err
			}
			if err := s.Purge(ctx); err != nil {
				return err
			}
			// The ids of the next chunk must be new to the server.
			if err := b.js.DeleteStream(ctx, stream); err != nil {
				return err
			}
			if _, err := b.js.CreateStream(ctx, s.CachedInfo().Config); err != nil {
				return err
			}
		}
		return nil
	})
}

// filters match the partitions.
func filters(stream string) []string {
	out := make([]string, partitions)
	for p := range out {
		out[p] = fmt.Sprintf("%s.%d.>", stream, p)
	}
	return out
}

func (b *bench) foreign() float64 { return b.total.foreign() }

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(v))
	return s[len(s)/2]
}

func (b *bench) print(w io.Writer) {
	out := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }
	out("\n| measure | messages/s | CPU a message, with the server | allocations a message | longest gap |\n| --- | ---: | ---: | ---: | ---: |\n")
	for _, name := range []string{publishRaw, publishBus, publishBus8, publishStock, consumeRaw, consumeRaw16, consumeKeyed, consumeUnkeyed, owned1, owned2, owned3, consumeStock} {
		if len(b.rates[name]) > 0 {
			gap := "–"
			if g := b.gaps[name]; g > 0 {
				gap = g.Round(time.Millisecond).String()
			}
			out("| %s | %.0f | %.1f µs | %.1f | %s |\n", name, median(b.rates[name]), median(b.cost[name]), b.allocs[name], gap)
		}
	}
	out("\n| ratio | floor | here | by CPU time |\n| --- | ---: | ---: | ---: |\n")
	for _, r := range []struct {
		name, a, b string
		floor      float64
		times      bool
	}{
		{"publishing slices of 100, 8 callers ÷ raw", publishBus8, publishRaw, 0.55, false},
		{"publishing slices of 100, one caller ÷ raw", publishBus, publishRaw, 0.55, false},
		{"publishing slices of 100, one caller ÷ watermill-nats", publishBus, publishStock, 6, true},
		{"consuming by keyed lanes ÷ raw", consumeKeyed, consumeRaw, 0.45, false},
		{"consuming by keyed lanes ÷ watermill-nats", consumeKeyed, consumeStock, 3, true},
		{"keyed ÷ unkeyed", consumeKeyed, consumeUnkeyed, 0.9, false},
		{"16 owned partitions ÷ one consumer", owned1, consumeKeyed, 0.8, false},
		{"raw: 16 filtered consumers ÷ one, for comparison", consumeRaw16, consumeRaw, 0, false},
		{"two members ÷ one", owned2, owned1, 1, false},
		{"three members ÷ one", owned3, owned1, 1, false},
	} {
		x, y := median(b.rates[r.a]), median(b.rates[r.b])
		if x == 0 || y == 0 {
			continue
		}
		cpu := median(b.cost[r.b]) / median(b.cost[r.a])
		if r.times {
			out("| %s | %.0f× | %.1f× | %.1f× |\n", r.name, r.floor, x/y, cpu)
		} else {
			out("| %s | %.0f %% | %.0f %% | %.0f %% |\n", r.name, r.floor*100, x/y*100, cpu*100)
		}
	}
	if b.heap[0] > 0 {
		out("\nHeap after %d messages %.1f MiB, after %d %.1f MiB (server %d and %d MiB)\n", 100_000, float64(b.heap[0])/(1<<20), b.o.million, float64(b.heap[1])/(1<<20), b.rss[0], b.rss[1])
	}
	for name, gap := range b.gaps {
		if gap > time.Second {
			out("STALL: %s: %s without a message\n", name, gap)
		}
	}
}
