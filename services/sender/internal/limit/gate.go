package limit

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-dm/parley/pkg/config"
)

// Key names what is paused: one account, or all accounts of an app.
type Key struct{ Kind, ID string }

// The kinds of key.
const (
	KindAccount = "account"
	KindApp     = "app"
)

// Account and App make keys.
func Account(id string) Key { return Key{KindAccount, id} }

// App is the app that the accounts of one login belong to.
func App(login string) Key { return Key{KindApp, login} }

// probeFor is how long the one message that tries whether a pause is over keeps the others waiting.
const probeFor = 500 * time.Millisecond

// maxPause bounds pauses that grow by themselves; those that Meta asks for are kept as they are.
const maxPause = time.Hour

// A pause that begins within relapse after the last one of the same key ended goes on growing. maxEnded bounds what is
// remembered of pauses that have ended.
const (
	relapse  = 2 * time.Minute
	maxEnded = 4096
)

// Gate holds back what is paused. When a pause is over one message goes first; the pause ends when it succeeds and grows
// when it does not. A new token ends the pause of a dead one at once.
type Gate struct {
	now   func() time.Time
	count atomic.Int32 // of pauses, so that an open gate costs nothing

	mu     sync.Mutex
	paused map[Key]*pause
	ended  map[Key]ended
}

type pause struct {
	Pause
	until time.Time
	// lasts is how long the pause is, growing; probing says that one message tries whether it is over.
	lasts   time.Duration
	probing bool
}

// ended is a pause that has ended.
type ended struct {
	at    time.Time
	lasts time.Duration
}

// Pause says why and for how long.
type Pause struct {
	Reason string
	// Token is the one that was used: with another one the pause is over. Empty when the token does not matter.
	Token config.Secret
	// For is how long; Exact that Meta gave it and that it does not grow.
	For   time.Duration
	Exact bool
	// Most bounds how long it may become by growing; an hour if zero.
	Most time.Duration
}

// NewGate makes an open gate; now is the clock, time.Now if nil.
func NewGate(now func() time.Time) *Gate {
	if now == nil {
		now = time.Now
	}
	return &Gate{now: now, paused: map[Key]*pause{}, ended: map[Key]ended{}}
}

// Verdict is what the gate says of a message.
type Verdict struct {
	// Until is until when to wait, and Reason why. Zero means go on.
	Until  time.Time
	Reason string
	// Renewed: there was a pause, and the token is another one now: it is over.
	Renewed bool
}

// Closed says whether to wait. Whoever is let through the end of a pause is the one that tries, and reports with
// [Gate.Pause] or [Gate.Open].
func (g *Gate) Closed(k Key, token config.Secret) Verdict {
	if g.count.Load() == 0 {
		return Verdict{}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	p, ok := g.paused[k]
	switch {
	case !ok:
		return Verdict{}
	case p.Token != "" && p.Token != token:
		g.remove(k)
		return Verdict{Renewed: true}
	}
	now := g.now()
	if now.Before(p.until) {
		return Verdict{Until: p.until, Reason: p.Reason}
	}
	p.probing, p.until = true, now.Add(probeFor)
	return Verdict{}
}

// Shut says whether there is a pause, also one that waits for somebody to try whether it is over: for those whose calls are
// not worth a trial.
func (g *Gate) Shut(k Key, token config.Secret) bool {
	if g.count.Load() == 0 {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	p, ok := g.paused[k]
	return ok && (p.Token == "" || p.Token == token)
}

// Pause closes the gate and says until when, and whether that is news: several messages that were under way together
// make one pause.
func (g *Gate) Pause(k Key, why Pause) (until time.Time, news bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	p, known := g.paused[k]
	if known && !p.probing && now.Before(p.until) {
		if at := now.Add(why.For); why.Exact && at.After(p.until) {
			p.until = at
		}
		return p.until, false
	}
	next := &pause{Pause: why, lasts: why.For}
	if !why.Exact {
		before := time.Duration(0)
		if known {
			before = p.lasts
		} else if e, ok := g.ended[k]; ok && now.Sub(e.at) < relapse {
			before = e.lasts
		}
		next.lasts = max(why.For, min(2*before, why.most()))
	}
	if !known {
		g.count.Add(1)
	}
	next.until = now.Add(next.lasts)
	g.paused[k] = next
	return next.until, true
}

func (p Pause) most() time.Duration {
	if p.Most > 0 {
		return p.Most
	}
	return maxPause
}

// Keep closes the gate until a time, as somebody else has found it to be closed. It does not touch a pause of our own.
func (g *Gate) Keep(k Key, why Pause, until time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, known := g.paused[k]; known {
		return
	}
	g.count.Add(1)
	g.paused[k] = &pause{Pause: why, until: until, lasts: why.For}
}

// Open ends a pause whose trial message went well, and says whether there was one.
func (g *Gate) Open(k Key) bool {
	if g.count.Load() == 0 {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	// A success of a call that began before the pause says nothing about it.
	if p, ok := g.paused[k]; !ok || !p.probing {
		return false
	}
	g.remove(k)
	return true
}

// Clear ends a pause because somebody else has found that it is over.
func (g *Gate) Clear(k Key) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, known := g.paused[k]; known {
		g.remove(k)
	}
}

func (g *Gate) remove(k Key) {
	if len(g.ended) >= maxEnded {
		clear(g.ended)
	}
	if p := g.paused[k]; !p.Exact {
		g.ended[k] = ended{at: g.now(), lasts: p.lasts}
	}
	delete(g.paused, k)
	g.count.Add(-1)
}

// Size is the number of pauses.
func (g *Gate) Size() int { return int(g.count.Load()) }
