// Package fence keeps the order of a conversation between replicas of ingress. A webhook that waits in the spool of one must
// not be overtaken by a later one that another takes.
//
// Each replica tells the others, in a bucket, which lanes its spool holds and since when each, for as long as it holds any. A webhook in a
// lane that another holds does not go straight to the bus; what waits in spools leaves them in the order of its coming, as the
// replicas' clocks have it. Other lanes do not wait. After each outage nothing is published until the others are back as well, and
// one knows what they hold.
//
// An outage is a time in which a replica could not tell the others something and hear itself say it: its connection was lost or
// stalled, the bucket had no leader, its disk stood still. Each tries that four times a second, so that all know of an outage of the
// bus, even those that had nothing to publish meanwhile. One that is alone is content with answers of the server. One whose server does not
// answer, in a cluster, goes to another server, before its webhooks have waited for too long.
//
// What a replica accepts while it cannot reach the bus, and others can, is not known to them. One that has died is waited for, for some
// seconds: its lanes when they are known, everything when it died in an outage and nobody knows what it holds. After that
// what is in its spool is published when it has started again, out of turn.
package fence

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/services/ingress/internal/spool"
)

const (
	// settle is how long nothing is published after the bus is back. Clients try again every 100 to 200 ms.
	settle = 500 * time.Millisecond
	// deadAfter is how long a replica is waited for of which nothing is heard.
	deadAfter = 20 * time.Second
	// heartbeat is how often one that holds something says so again; one that holds nothing does every half of deadAfter.
	heartbeat = time.Second
	// pulseEvery is how often the bus is asked for a sign of life; when there was none for stallAfter it counts as away. That is less
	// than a webhook waits for the bus: what is accepted unpublished during a stall is accepted when all replicas know of it.
	pulseEvery, stallAfter = 250 * time.Millisecond, time.Second
	// reconnectEvery is how often another server is tried.
	reconnectEvery = 2 * time.Second
	// tellWithin bounds one write to the bucket.
	tellWithin = time.Second
	// soon is the pace while it waits for something that nobody announces.
	soon = 50 * time.Millisecond
)

// Bucket is where replicas tell what they hold; [bus.Bucket] is one.
type Bucket interface {
	Put(ctx context.Context, key string, value []byte) (uint64, error)
	Delete(ctx context.Context, key string) error
	Watch(ctx context.Context, keys string, f func(*bus.Entry)) error
}

// Options says whose fence it is.
type Options struct {
	// Name is the replica's, of its own among all that ever were.
	Name string
	// Open opens the bucket, and waits for a bus that is away.
	Open func(ctx context.Context) (Bucket, error)
	// Held is what the replica's spool holds.
	Held func() spool.Held
	// Connected says whether there is a connection to the bus, and how often one was lost; Ping asks it for a sign of life.
	Connected func() (losses uint64, ok bool)
	Ping      func(ctx context.Context) error
	// Reconnect leaves the server for another one, if there is one; nil where there never is.
	Reconnect func()
	Log       *slog.Logger
	Metrics   prometheus.Registerer
	// Settle and DeadAfter are for tests: 500 ms and 20 s if 0.
	Settle, DeadAfter time.Duration
}

// Fence is one replica's. It is safe for concurrent use.
type Fence struct {
	o      Options
	nudged chan struct{}
	wanted atomic.Uint64 // tellings that somebody waits for
	pulse  pulse
	// settled is the pulse's epoch in which it was known what others hold; 0: none.
	settled atomic.Uint64
	holding atomic.Int32 // others that hold something
	deaf    atomic.Bool  // the bucket did not take what it was told last
	asked   atomic.Bool  // another wants to know what is held here

	mu      sync.Mutex
	others  map[string]*other
	buried  map[string]bool // others whose names are to be taken out of the bucket
	told    uint64
	changed chan struct{} // closed, and made anew, when anything here has changed
	watched uint64        // how often the connection had been lost, and one, when the bucket was last known whole
	heardAs uint64        // the revision of our own last telling that was heard

	listening   time.Time // since when the watch is as it is
	listenAgain func()    // has it begin anew
}

// other is another replica.
type other struct {
	spool.Held

	// seen is when it was last heard, revision that of what it told.
	seen     time.Time
	revision uint64
	losses   uint64
}

// New makes a fence, which is closed until [Fence.Run] has found out what others hold, and registers its metric.
func New(o Options) *Fence {
	if o.Settle <= 0 {
		o.Settle = settle
	}
	if o.DeadAfter <= 0 {
		o.DeadAfter = deadAfter
	}
	f := &Fence{o: o, nudged: make(chan struct{}, 1), others: map[string]*other{}, buried: map[string]bool{}, changed: make(chan struct{}), listenAgain: func() {}}
	o.Metrics.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "ingress_spools_elsewhere", Help: "Other replicas whose spools hold webhooks, as far as is known.",
	}, func() float64 { return float64(f.holding.Load()) }))
	return f
}

// Live says whether the bus gives signs of life, and what others hold is known.
func (f *Fence) Live() bool {
	return f.pulse.alive(f.o.Connected()) && f.settled.Load() == f.pulse.epoch.Load()
}

// Open says whether the bus may be given something in these lanes: nothing older of them waits elsewhere, as far as is known.
func (f *Fence) Open(lanes []uint16) bool {
	if !f.Live() {
		return false
	}
	if f.holding.Load() == 0 {
		return true
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.buryLocked()
	for _, o := range f.others {
		for _, l := range lanes {
			if _, holds := o.Lanes[l]; holds {
				return false
			}
		}
	}
	return true
}

// May is how many of these records, which are the spool's first, may leave now: others hold nothing older in their lanes. When it
// may be more, changed is closed.
func (f *Fence) May(records []spool.Record) (n int, changed <-chan struct{}) {
	live := f.Live()
	f.mu.Lock()
	defer f.mu.Unlock()
	if !live {
		return 0, f.changed
	}
	f.buryLocked()
	for n = range records {
		for _, o := range f.others {
			if o.before(&records[n]) {
				return n, f.changed
			}
		}
	}
	return len(records), f.changed
}

// before says whether the other holds something that came before the record in one of its lanes. Each lane is looked at by itself:
// with only the oldest of all, replicas would take turns for each message. That one may leave all the same, whatever the lanes say:
// where one webhook was written down later than another that came after it, each replica would wait for the other.
func (o *other) before(r *spool.Record) bool {
	if !r.At.After(o.Oldest) {
		return false
	}
	for _, l := range r.Lanes {
		if since, holds := o.Lanes[l]; holds && r.At.After(since) {
			return true
		}
	}
	return false
}

// Note says that what the spool holds has changed: others are told soon.
func (f *Fence) Note() { f.nudge() }

// Tell tells others what the spool holds, and returns when they can know it, when ctx ends or when the bus does not take it.
func (f *Fence) Tell(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, tellWithin)
	defer cancel()
	want := f.wanted.Add(1)
	f.nudge()
	for {
		f.mu.Lock()
		told, changed := f.told, f.changed
		f.mu.Unlock()
		if !f.pulse.alive(f.o.Connected()) || told >= want || f.deaf.Load() {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// alone says whether no other replica is known.
func (f *Fence) alone() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.others) == 0
}

func (f *Fence) nudge() {
	select {
	case f.nudged <- struct{}{}:
	default:
	}
}

// buryLocked gives up those of whom nothing was heard for long.
func (f *Fence) buryLocked() {
	for name, o := range f.others {
		if f.silentFor(o) <= f.o.DeadAfter {
			continue
		}
		delete(f.others, name)
		f.buried[name] = true
		if len(o.Lanes) > 0 {
			f.o.Log.Warn("fence.gone", "replica", name, "held_since", o.Oldest,
				"meaning", "what its spool holds is published when it has started again, out of turn")
		}
	}
	f.countLocked()
}

// silentFor is how long another could have been heard and was not.
func (f *Fence) silentFor(o *other) time.Duration {
	return min(time.Since(o.seen), time.Since(f.pulse.back()))
}

func (f *Fence) countLocked() {
	n := int32(0)
	for _, o := range f.others {
		if len(o.Lanes) > 0 {
			n++
		}
	}
	f.holding.Store(n)
}

func (f *Fence) tellChangedLocked() {
	close(f.changed)
	f.changed = make(chan struct{})
}

// Run tells and listens until ctx ends.
func (f *Fence) Run(ctx context.Context) error {
	bucket, err := f.o.Open(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	var watching sync.WaitGroup
	defer watching.Wait()
	watching.Go(func() { f.watch(ctx, bucket) })
	watching.Go(func() { f.feel(ctx) })
	t := teller{f: f, bucket: bucket}
	defer t.leave(ctx)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-f.nudged:
		case <-timer.C:
		}
		timer.Reset(t.turn(ctx))
	}
}
