package bus

import (
	"context"
	"fmt"
	"log/slog"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

// owner is one member's side of an ownership: it watches the members and the leases, takes what it should have and gives
// up what another should have.
type owner struct {
	sub           *subscription
	cfg           *Ownership
	group, stream string
	js            jetstream.JetStream
	log           *slog.Logger
	incarnation   string

	// ctx is that of all that is begun; it ends a moment after a stop has begun.
	ctx    context.Context
	cancel context.CancelFunc
	wake   chan struct{}
	left   chan struct{} // closed when the loop has ended: nothing is ours any more
	wg     sync.WaitGroup

	announcing sync.Mutex

	mu      sync.Mutex
	synced  bool // what others wrote has been read
	leaving bool
	members map[string]sighting
	leases  map[int]leaseSighting
	mine    map[int]*partition
	beat    time.Time
}

// sighting is when, on our clock, a key was last seen to change.
type sighting struct {
	value string
	at    time.Time
}

type leaseSighting struct {
	lease
	at time.Time
}

// startOwned joins the group and begins to take partitions.
func (sub *subscription) startOwned(ctx context.Context) error {
	cfg := sub.s.cfg.Ownership
	o := &owner{
		sub: sub, cfg: cfg, group: sub.s.cfg.Group, stream: sub.stream, js: sub.s.conn.js, log: sub.s.cfg.Logger.With("group", sub.s.cfg.Group, "member", cfg.Member),
		incarnation: strings.ToLower(nuid.Next()), wake: make(chan struct{}, 1), left: make(chan struct{}),
		members: map[string]sighting{}, leases: map[int]leaseSighting{}, mine: map[int]*partition{},
	}
	if _, err := o.streamCreated(ctx); err != nil {
		return err
	}
	o.ctx, o.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if err := o.announce(ctx); err != nil {
		o.cancel()
		return err
	}
	sub.owner = o
	o.wg.Go(o.watch)
	o.wg.Go(o.loop)
	return nil
}

func (o *owner) memberKey() string { return o.group + ".member." + o.cfg.Member }

// announce says that we live. What it writes changes every time, so that others see it change.
func (o *owner) announce(ctx context.Context) error {
	o.announcing.Lock()
	defer o.announcing.Unlock()
	o.mu.Lock()
	o.beat = time.Now()
	leaving := o.leaving
	o.mu.Unlock()
	if leaving {
		return nil
	}
	value := o.incarnation + "." + strconv.FormatInt(monotonic(), 36)
	if _, err := o.cfg.Bucket.Put(ctx, o.memberKey(), []byte(value)); err != nil {
		return fmt.Errorf("announce member %s: %w", o.cfg.Member, err)
	}
	return nil
}

// watch keeps what others wrote. After a break of the connection it begins anew.
func (o *owner) watch() {
	for o.ctx.Err() == nil {
		err := o.cfg.Bucket.Watch(o.ctx, o.group+".>", o.saw)
		if err != nil && o.ctx.Err() == nil {
			o.log.Warn("ownership.watch", "error", err)
			select {
			case <-o.ctx.Done():
			case <-time.After(o.cfg.TTL / 10):
			}
		}
	}
}

func (o *owner) saw(e *Entry) {
	defer o.nudge()
	o.mu.Lock()
	defer o.mu.Unlock()
	if e == nil {
		o.synced = true
		return
	}
	now := time.Now()
	kind, name, _ := strings.Cut(strings.TrimPrefix(e.Key, o.group+"."), ".")
	switch kind {
	case "member":
		if e.Deleted {
			delete(o.members, name)
		} else if o.members[name].value != string(e.Value) {
			o.members[name] = sighting{value: string(e.Value), at: now}
		}
	case "lease":
		p, err := strconv.Atoi(name)
		if err != nil {
			return
		}
		if e.Deleted {
			delete(o.leases, p)
		} else if e.Revision > o.leases[p].revision {
			o.leases[p] = leaseSighting{lease: parseLease(*e), at: now}
		}
	}
}

func (o *owner) nudge() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// loop looks, whenever something changed and often enough to see leases end, at what is to be done.
func (o *owner) loop() {
	ticker := time.NewTicker(o.cfg.TTL / 20)
	defer ticker.Stop()
	offReconnect := o.sub.s.conn.onReconnect(o.reconnected)
	defer offReconnect()
	defer close(o.left)
	for !o.done() {
		select {
		case <-ticker.C:
		case <-o.wake:
		}
		o.step()
	}
}

// done says whether we are leaving and nothing is ours any more.
func (o *owner) done() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.leaving && len(o.mine) == 0
}

// step announces us, and compares what each partition's owner is with what it should be.
func (o *owner) step() {
	o.mu.Lock()
	leaving, synced := o.leaving, o.synced
	due := !leaving && time.Since(o.beat) >= o.cfg.TTL/3
	if due {
		o.beat = time.Now()
	}
	o.mu.Unlock()
	if due {
		o.wg.Go(func() {
			ctx, cancel := context.WithTimeout(o.ctx, o.cfg.TTL/2)
			defer cancel()
			if err := o.announce(ctx); err != nil && o.ctx.Err() == nil {
				o.log.Warn("ownership.announce", "error", err)
			}
		})
	}
	if !synced {
		return
	}
	wanted := make([]string, o.cfg.Partitions) // nobody's, when we leave
	if !leaving {
		wanted = assign(o.cfg.Partitions, o.alive())
	}
	for p := range o.cfg.Partitions {
		o.consider(p, wanted[p])
	}
}

// consider acts on one partition. What takes time is done beside the loop, one thing at a time for each partition.
func (o *owner) consider(p int, wanted string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	mine, seen := o.mine[p], o.leases[p]
	switch {
	case mine != nil && mine.busy:
	case mine != nil && (wanted != o.cfg.Member):
		mine.busy = true
		o.wg.Go(func() { o.handOver(mine) })
	case mine != nil && mine.due():
		mine.busy = true
		o.wg.Go(func() { o.renew(mine) })
	case mine == nil && wanted == o.cfg.Member && o.free(seen):
		fresh := &partition{number: p, busy: true}
		o.mine[p] = fresh
		o.wg.Go(func() { o.acquire(fresh, seen.lease) })
	}
}

// free says whether a lease may be taken: never written, given back, ours from before, or over.
func (o *owner) free(seen leaseSighting) bool {
	return seen.revision == 0 || seen.Member == "" || seen.Member == o.cfg.Member || time.Since(seen.at) >= o.cfg.TTL
}

// alive lists the members that were seen to change within TTL; we are always one of them.
func (o *owner) alive() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	members := []string{o.cfg.Member}
	for name, seen := range o.members {
		if name == o.cfg.Member {
			continue
		}
		if age := time.Since(seen.at); age < o.cfg.TTL {
			members = append(members, name)
		} else if age > 10*o.cfg.TTL {
			delete(o.members, name)
			o.wg.Go(func() { _ = o.cfg.Bucket.Delete(o.ctx, o.group+".member."+name) })
		}
	}
	sort.Strings(members)
	return members
}

// reconnected: what the server sent into the broken connection is lost to us and would come again only after AckWait,
// behind newer messages. A new generation brings it at once and in order. That others were silent while we could not hear
// them says nothing; that they had been silent for long before still does.
func (o *owner) reconnected(outage time.Duration) {
	o.mu.Lock()
	for name, seen := range o.members {
		seen.at = seen.at.Add(outage)
		o.members[name] = seen
	}
	for p, seen := range o.leases {
		seen.at = seen.at.Add(outage)
		o.leases[p] = seen
	}
	mine := make([]*partition, 0, len(o.mine))
	for _, p := range o.mine {
		mine = append(mine, p)
	}
	o.mu.Unlock()
	for _, p := range mine {
		o.restart(p)
	}
}

func (o *owner) owned() []int {
	o.mu.Lock()
	defer o.mu.Unlock()
	var out []int
	for p, mine := range o.mine {
		if mine.feed != nil {
			out = append(out, p)
		}
	}
	sort.Ints(out)
	return out
}

// stop leaves the group: the others see it at once, and get each partition as soon as what runs in it has ended.
func (o *owner) stop() {
	o.mu.Lock()
	o.leaving = true
	o.mu.Unlock()
	o.nudge()
	// What was begun may end: a lease that was just being taken would have to run out otherwise.
	late := time.AfterFunc(releaseTimeout, o.cancel)
	o.sayGoodbye()
	<-o.left
	late.Stop()
	o.cancel()
	o.wg.Wait()
}

// sayGoodbye takes our name from the members, after what is being announced, or we would live on for the others.
func (o *owner) sayGoodbye() {
	o.announcing.Lock()
	defer o.announcing.Unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(o.ctx), releaseTimeout)
	defer cancel()
	if err := o.cfg.Bucket.Delete(ctx, o.memberKey()); err != nil {
		o.log.Warn("ownership.leave", "error", err)
	}
}
