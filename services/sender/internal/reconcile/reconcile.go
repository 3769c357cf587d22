// Package reconcile finds out whether a message that may have been sent was sent. First it looks among the echoes that came
// in, then it asks the conversations endpoint.
//
// It errs to one side: what it cannot prove stays undecided, because a message that a person has to look after is better than
// one that a customer gets twice. It writes nothing and sends nothing, and it keeps nothing but the pace of its questions.
package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/meta/graph"
	"github.com/parley-dm/parley/services/sender/internal/limit"
)

// skew is how far Meta's clock and ours may be apart. What Meta dates earlier than a claim by more than this is older.
const skew = time.Minute

// asksPerSecond is Meta's limit for the conversations endpoint, for each account. maxDetails is how many of a
// conversation's newest messages have details; a list that is shorter is the whole conversation.
const (
	asksPerSecond = 2
	maxDetails    = 20
)

// maxAsking bounds the looks that ask or wait for it, and with them the handlers that they hold up; maxWait how long one of
// them waits while another of its account asks. Whoever asks gets the account's whole pace: two that shared it might both
// run out of time.
const (
	maxAsking = 32
	maxWait   = 8 * time.Second
)

// Streams is what came in and went out.
type Streams interface {
	Echoes(ctx context.Context, c dm.Conversation, since time.Time) ([]dm.Event, error)
	Heard(ctx context.Context, c dm.Conversation, since time.Time) ([]dm.Event, error)
	Sent(ctx context.Context, c dm.Conversation, since time.Time) ([]dm.Delivery, error)
}

// Graph is the conversations endpoint.
type Graph interface {
	Conversations(ctx context.Context, cred graph.Credentials, customer string) ([]string, error)
	Messages(ctx context.Context, cred graph.Credentials, conversation string) ([]graph.MessageRef, error)
	Message(ctx context.Context, cred graph.Credentials, mid string) (graph.Message, error)
}

// Reconciler is safe for concurrent use.
type Reconciler struct {
	streams   Streams
	graph     Graph
	pace      *limit.Rates
	asking    chan struct{}
	byAccount sync.Map // of account to chan struct{}, which holds the one that asks
}

// New makes a Reconciler.
func New(s Streams, g Graph) *Reconciler {
	return &Reconciler{streams: s, graph: g, pace: limit.NewRates(asksPerSecond), asking: make(chan struct{}, maxAsking)}
}

// Question is about one message in doubt.
type Question struct {
	Conversation dm.Conversation
	Part         dm.Part
	// Since is when it was claimed, by the clock of the bus. Answers is the id of the event that it answers, which was said
	// before that by every clock; empty when it answers none.
	Since   time.Time
	Answers string
	// Taken are mids that are known to be those of other messages, beyond what the deliveries say.
	Taken []string
	// Ask says that the conversations endpoint may be asked, with Credentials.
	Ask         bool
	Credentials graph.Credentials
	// Stop ends the wait for a turn to ask.
	Stop <-chan struct{}
}

// Fate is what was found out.
type Fate int

// The fates.
const (
	// Undecided: neither is proven.
	Undecided Fate = iota
	// Sent: the customer has it.
	Sent
	// Absent: the customer does not have it. It was not sent, unless the call is still under way.
	Absent
)

// Answer is what was found out, and how.
type Answer struct {
	Fate Fate
	MID  string
	// How is echo or conversation; why it is undecided otherwise.
	How string
}

// The ways in which something is found out.
const (
	ByEcho         = "echo"
	ByConversation = "conversation"
)

// Look looks once. An error is a look that failed; it proves nothing.
func (r *Reconciler) Look(ctx context.Context, q Question) (Answer, error) {
	mid, err := r.echo(ctx, q)
	switch {
	case err != nil:
		return Answer{}, fmt.Errorf("look for the echo: %w", err)
	case mid != "":
		return Answer{Fate: Sent, MID: mid, How: ByEcho}, nil
	case !q.Ask || !listed(q.Part.Kind):
		return Answer{How: "its echo has not come"}, nil
	}
	answer, err := r.conversation(ctx, q)
	if err != nil {
		return Answer{}, fmt.Errorf("ask for the conversation: %w", err)
	}
	return answer, nil
}

// ErrAway is reported for a look for which the streams could not be read: the bus is away. It says nothing about the message.
var ErrAway = errors.New("the bus cannot be read")

// unread gives an error of the streams its class.
func unread(err error) error { return fmt.Errorf("%w: %w", ErrAway, err) }

// echo looks for an echo that says what the message says and that is no other message's.
func (r *Reconciler) echo(ctx context.Context, q Question) (string, error) {
	echoes, err := r.streams.Echoes(ctx, q.Conversation, q.Since)
	if err != nil {
		return "", unread(err)
	}
	// An echo may have come late, or a second time: those of older messages are told by Meta's own time.
	echoes = slices.DeleteFunc(echoes, func(e dm.Event) bool {
		return e.MID == "" || compare(&q.Part, &e) == other || e.Time.Before(q.Since.Add(-skew))
	})
	if len(echoes) == 0 {
		return "", nil
	}
	taken, err := r.taken(ctx, q)
	if err != nil {
		return "", err
	}
	echoes = slices.DeleteFunc(echoes, func(e dm.Event) bool { return taken[e.MID] })
	return pick(&q.Part, echoes), nil
}

// taken are the mids that belong to other messages. A message that Meta may date after the claim was told of at most a skew
// earlier by the clock of the bus.
func (r *Reconciler) taken(ctx context.Context, q Question) (map[string]bool, error) {
	sent, err := r.streams.Sent(ctx, q.Conversation, q.Since.Add(-2*skew))
	if err != nil {
		return nil, unread(err)
	}
	taken := make(map[string]bool, len(sent)+len(q.Taken))
	for _, d := range sent {
		taken[d.MID] = true
	}
	for _, mid := range q.Taken {
		taken[mid] = true
	}
	return taken, nil
}

// conversation asks Meta what was said. Absent takes a list that reaches back to before the claim, and in it no message of
// ours that is not accounted for, whatever it says: Meta may have changed the text.
func (r *Reconciler) conversation(ctx context.Context, q Question) (Answer, error) {
	done, err := r.begin(ctx, q)
	if err != nil {
		return Answer{}, err
	}
	defer done()
	lists, err := r.list(ctx, q)
	if err != nil {
		return Answer{}, err
	}
	taken, err := r.taken(ctx, q)
	if err != nil {
		return Answer{}, err
	}
	// What the customer is known to have said needs no question.
	heard, err := r.streams.Heard(ctx, q.Conversation, q.Since.Add(-2*skew))
	if err != nil {
		return Answer{}, unread(err)
	}
	answered := ""
	for _, e := range heard {
		taken[e.MID] = true
		if e.ID == q.Answers && e.ID != "" {
			answered = e.MID
		}
	}
	var candidates []graph.MessageRef
	complete := len(lists) > 0 // the customer wrote, so that there is something to list
	for _, refs := range lists {
		since, whole := after(refs, q.Since.Add(-skew), answered)
		candidates = append(candidates, since...)
		complete = complete && whole
	}
	candidates = slices.DeleteFunc(candidates, func(ref graph.MessageRef) bool { return taken[ref.ID] })
	slices.SortStableFunc(candidates, func(a, b graph.MessageRef) int { return a.Created.Compare(b.Created) })
	return r.among(ctx, q, candidates, complete)
}

// among looks for the message among those that were said since, the oldest first.
func (r *Reconciler) among(ctx context.Context, q Question, candidates []graph.MessageRef, complete bool) (Answer, error) {
	foreign := false
	for _, ref := range candidates {
		if err := r.turn(ctx, q); err != nil {
			return Answer{}, err
		}
		m, err := r.graph.Message(ctx, q.Credentials, ref.ID)
		if err != nil && graph.ClassOf(err) == graph.ClassNotFound {
			complete = false // gone, or too old for its details
			continue
		}
		if err != nil {
			return Answer{}, err
		}
		if m.From == q.Conversation.Customer {
			continue
		}
		if q.Part.Text != "" && dm.Alike(m.Text, q.Part.Text) {
			return Answer{Fate: Sent, MID: ref.ID, How: ByConversation}, nil
		}
		foreign = true
	}
	switch {
	case !complete:
		return Answer{How: "the conversations endpoint does not tell all that was said since"}, nil
	case foreign:
		return Answer{How: "the conversation holds a message of ours that nothing accounts for and that cannot be told to be this one"}, nil
	default:
		return Answer{Fate: Absent, How: ByConversation}, nil
	}
}

// list is what was said lately, each conversation's the newest first.
func (r *Reconciler) list(ctx context.Context, q Question) ([][]graph.MessageRef, error) {
	if err := r.turn(ctx, q); err != nil {
		return nil, err
	}
	ids, err := r.graph.Conversations(ctx, q.Credentials, q.Conversation.Customer)
	if err != nil {
		return nil, err
	}
	lists := make([][]graph.MessageRef, 0, len(ids))
	for _, id := range ids {
		if err := r.turn(ctx, q); err != nil {
			return nil, err
		}
		refs, err := r.graph.Messages(ctx, q.Credentials, id)
		if err != nil {
			return nil, err
		}
		lists = append(lists, refs)
	}
	return lists, nil
}

// after is what a list has since a time, and whether that is all that was said since. It is when the list is short, when it
// reaches back to before the time, or when it reaches back beyond the message that is answered: a reply is no older than what
// it replies to.
func after(refs []graph.MessageRef, at time.Time, answered string) (since []graph.MessageRef, whole bool) {
	whole = len(refs) > 0 && len(refs) < maxDetails
	for _, ref := range refs {
		if ref.Created.Before(at) {
			whole = true
			continue
		}
		since = append(since, ref)
		if ref.ID == answered {
			whole = whole || slices.ContainsFunc(refs, func(older graph.MessageRef) bool { return older.Created.Before(ref.Created) })
		}
	}
	return since, whole
}

// ErrBusy is reported for a look that did not get its turn: too many questions of the account are waiting. It says nothing
// about the message.
var ErrBusy = errors.New("more questions than the conversations endpoint takes")

// begin waits until no other look of the account asks.
func (r *Reconciler) begin(ctx context.Context, q Question) (done func(), err error) {
	select {
	case r.asking <- struct{}{}:
	default:
		return nil, ErrBusy
	}
	place, ok := r.byAccount.Load(q.Conversation.Account)
	if !ok {
		place, _ = r.byAccount.LoadOrStore(q.Conversation.Account, make(chan struct{}, 1))
	}
	one := place.(chan struct{}) //nolint:errcheck,forcetypeassert // the map holds nothing else
	timer := time.NewTimer(maxWait)
	defer timer.Stop()
	select {
	case one <- struct{}{}:
		return func() { <-one; <-r.asking }, nil
	case <-timer.C:
		err = ErrBusy
	case <-q.Stop:
		err = limit.ErrStopped
	case <-ctx.Done():
		err = ErrBusy
	}
	<-r.asking
	return nil, err
}

// Aside makes one look-up of the conversations endpoint for somebody else, within the account's pace and between the looks at
// messages in doubt, which are more urgent.
func (r *Reconciler) Aside(ctx context.Context, account string, call func() error) error {
	q := Question{Conversation: dm.Conversation{Account: account}, Stop: ctx.Done()}
	done, err := r.begin(ctx, q)
	if err != nil {
		return err
	}
	defer done()
	if err := r.turn(ctx, q); err != nil {
		return err
	}
	return call()
}

// turn waits for the account's turn to ask, within ctx.
func (r *Reconciler) turn(ctx context.Context, q Question) error {
	if _, err := r.pace.Wait(ctx, q.Conversation.Account, limit.Lookups, q.Stop); err != nil {
		if ctx.Err() != nil {
			return ErrBusy
		}
		return err
	}
	return nil
}
