package fence

import (
	"context"
	"errors"
	"time"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/telemetry"
)

// watch follows what others hold.
func (f *Fence) watch(ctx context.Context, bucket Bucket) {
	for ctx.Err() == nil {
		watching, again := context.WithCancel(ctx)
		f.mu.Lock()
		f.listening, f.listenAgain = time.Now(), again
		f.mu.Unlock()
		err := bucket.Watch(watching, ">", f.heard)
		again()
		if err == nil || errors.Is(err, context.Canceled) {
			continue // it was to begin anew, or ctx has ended
		}
		if !errors.Is(err, bus.ErrUnavailable) && ctx.Err() == nil {
			f.o.Log.Warn("fence.watch", telemetry.KeyError, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(10 * soon):
		}
	}
}

// heard takes what another replica tells, or what we told ourselves; nil when that was all that there is.
func (f *Fence) heard(e *bus.Entry) {
	losses, connected := f.o.Connected()
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case e == nil:
		for name, o := range f.others {
			if o.losses < losses { // it was not among what there is
				delete(f.others, name)
			}
		}
		f.watched = losses + 1
		f.nudge()
	case e.Key == f.o.Name:
		if e.Revision <= f.heardAs {
			break // from before, told once more by a watch that begins
		}
		f.heardAs = e.Revision
		if len(f.others) > 0 && connected && f.pulse.felt(losses) {
			f.nudge()
		}
	case e.Deleted:
		delete(f.others, e.Key)
	default:
		f.otherLocked(e, losses)
	}
	f.countLocked()
	f.tellChangedLocked()
}

// otherLocked takes what another replica tells.
func (f *Fence) otherLocked(e *bus.Entry, losses uint64) {
	held, asks, err := decode(e.Value)
	if err != nil {
		f.o.Log.Warn("fence.unreadable", "replica", e.Key, telemetry.KeyError, err)
		return
	}
	delete(f.buried, e.Key)
	o := &other{Held: held, seen: time.Now(), revision: e.Revision, losses: losses}
	if before := f.others[e.Key]; before != nil && before.revision == e.Revision {
		o.seen = before.seen // a watch that began anew tells it once more
	}
	if len(f.others) == 0 {
		f.nudge() // it is not alone any more, and has to hear itself from now on
	}
	f.others[e.Key] = o
	if asks && f.Live() { // else it tells all the time
		f.asked.Store(true)
		f.nudge()
	}
}
