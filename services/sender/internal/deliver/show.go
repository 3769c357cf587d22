package deliver

import (
	"context"
	"sync"
	"time"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/meta/graph"
	"github.com/parley-dm/parley/services/sender/internal/limit"
)

// The bounds of what is shown beside the messages: that one was seen, that an answer is being written. It is shown as well as
// that goes. It has no entry in the ledger, is not tried again, and fails no message.
const (
	showTimeout = 3 * time.Second
	// maxShowing bounds what is being shown at once; what is more is not shown.
	maxShowing = 64
	// showWithin is how old an intent may be: it comes again when its sender was killed, and by then nobody is typing.
	showWithin = 30 * time.Second
	// maxShown bounds what is remembered as shown, of messages that are tried again.
	maxShown = 10_000
)

// shows is what is being shown.
type shows struct {
	slots chan struct{}
	group sync.WaitGroup

	mu    sync.Mutex
	shown map[string]struct{}
}

func newShows() *shows {
	return &shows{slots: make(chan struct{}, maxShowing), shown: map[string]struct{}{}}
}

// first says whether a message's actions were not shown yet.
func (s *shows) first(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, again := s.shown[key]; again {
		return false
	}
	if len(s.shown) >= maxShown {
		clear(s.shown)
	}
	s.shown[key] = struct{}{}
	return true
}

// shown forgets a message that has its outcome.
func (v *Deliverer) shown(m *message) {
	if len(m.actions) == 0 {
		return
	}
	v.shows.mu.Lock()
	defer v.shows.mu.Unlock()
	delete(v.shows.shown, m.key())
}

// greeting is what the settings show before an automatic answer. A person who writes in the console has typed already.
func (v *Deliverer) greeting(i *dm.ReplyIntent) []dm.PartKind {
	if i.Origin == dm.OriginOperator || i.Private() || !v.o.MarkSeen && v.o.TypingTime <= 0 {
		return nil
	}
	var out []dm.PartKind
	if v.o.MarkSeen {
		out = append(out, dm.PartMarkSeen)
	}
	if v.o.TypingTime > 0 {
		out = append(out, dm.PartTypingOn)
	}
	return out
}

// greet shows what is to be shown before a message, once, and waits for the typing time when typing is among it: in the
// message's lane, so that other conversations go on. shown says that it waited.
func (v *Deliverer) greet(ctx context.Context, m *message) (shown bool, err error) {
	if len(m.actions) == 0 || !v.fresh(m) || !v.shows.first(m.key()) {
		return false, nil
	}
	v.show(ctx, m)
	if v.o.TypingTime <= 0 || !typing(m.actions) {
		return false, nil
	}
	if !bus.Pause(ctx, v.o.TypingTime) {
		return false, limit.ErrStopped
	}
	return true, nil
}

// typing says whether typing is what the customer sees in the end.
func typing(actions []dm.PartKind) bool {
	on := false
	for _, kind := range actions {
		on = kind == dm.PartTypingOn || on && kind != dm.PartTypingOff
	}
	return on
}

// parting shows what comes after the last message of an intent, or all there is of it.
func (v *Deliverer) parting(ctx context.Context, m *message) {
	var known bool
	if m.account, known = v.d.Accounts.Get(m.intent.Channel, m.intent.Account); !known || m.account.Token == "" || !v.fresh(m) {
		return
	}
	if e := m.intent.Expires; !e.IsZero() && !v.o.Now().Before(e) {
		return
	}
	if reason, err := v.held(ctx, m); err != nil || reason != "" {
		return // somebody else has the conversation, as far as is known
	}
	if v.turn(ctx, m) == nil { // while the account is paused nothing is shown
		v.show(ctx, m)
	}
}

func (v *Deliverer) fresh(m *message) bool {
	return m.intent.CreatedAt.IsZero() || v.o.Now().Sub(m.intent.CreatedAt) < showWithin
}

// show begins to show a message's actions, one after another, and waits for none of them.
func (v *Deliverer) show(ctx context.Context, m *message) {
	select {
	case v.shows.slots <- struct{}{}:
	default:
		v.metrics.shown.WithLabelValues("skipped").Add(float64(len(m.actions)))
		return
	}
	cred, account, customer, kinds := v.credentials(m.account), m.intent.Account, m.intent.Customer, m.actions
	v.shows.group.Go(func() {
		defer func() { <-v.shows.slots }()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), showTimeout)
		defer cancel()
		for _, kind := range kinds {
			v.metrics.shown.WithLabelValues(v.showOne(ctx, cred, account, customer, kind)).Inc()
		}
	})
}

// showOne makes one call, within the account's rate, and says how it went.
func (v *Deliverer) showOne(ctx context.Context, cred graph.Credentials, account, customer string, kind dm.PartKind) string {
	if _, err := v.rates.Wait(ctx, account, limit.Texts, nil); err != nil {
		return "skipped"
	}
	if _, err := v.d.Graph.Send(ctx, cred, customer, dm.Part{Kind: kind}); err != nil {
		return "failed"
	}
	return "shown"
}
