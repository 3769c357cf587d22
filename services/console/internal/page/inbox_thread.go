package page

import (
	"crypto/rand"
	"errors"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/services/console/internal/desk"
	"github.com/parley-dm/parley/services/console/internal/ops"
	"github.com/parley-dm/parley/services/console/internal/store"
	"github.com/parley-dm/parley/services/console/internal/web"
)

const (
	threadPage = 40
	// threadMost bounds what is drawn again of a thread that is open while much is said in it.
	threadMost = 200
)

// threadData is one conversation as it is shown.
type threadData struct {
	store.Talk
	Avatar, Path, Back, Query string
	Items                     []item
	From                      string // the cursor of the oldest message shown
	Earlier                   string
	Standing                  standing
	Note                      string
	Replies                   []store.SavedReply
	Colleagues                []store.Colleague
	KnownLabels               []string
	MayAct                    bool
	Draft, Nonce, Problem     string
	MaxText                   int
}

// standing is who has the conversation, and how long may be written to the customer.
type standing struct {
	Known, Held      bool
	Hold             dm.Hold
	Name, Why, Until string
	Window           window
}

// window is how long may be written to the customer.
type window struct {
	Kind string // open, human, closed or none
	Ends time.Time
}

// windowOf says how long may be written to who wrote last at a time.
func windowOf(last *time.Time, now time.Time) window {
	switch {
	case last == nil:
		return window{Kind: "none"}
	case now.Before(last.Add(dm.MessagingWindow)):
		return window{Kind: "open", Ends: last.Add(dm.MessagingWindow)}
	case now.Before(last.Add(dm.HumanWindow)):
		return window{Kind: "human", Ends: last.Add(dm.HumanWindow)}
	default:
		return window{Kind: "closed", Ends: last.Add(dm.HumanWindow)}
	}
}

// inboxThread shows a conversation beside the list. Whoever may answer has then read it.
func (p *Pages) inboxThread(w http.ResponseWriter, r *http.Request) error {
	return p.thread(w, r, http.StatusOK, nil)
}

// thread shows the page; change changes the thread's data first, such as to say what was wrong with a form.
func (p *Pages) thread(w http.ResponseWriter, r *http.Request, status int, change func(*threadData)) error {
	t, err := p.talk(r)
	if err != nil {
		return err
	}
	before := store.ParseCursor(r.URL.Query().Get("before"))
	messages, more, err := p.Store.Thread(r.Context(), t.ID, before, threadPage)
	if err != nil {
		return err
	}
	d, err := p.threadData(r, t, messages)
	if err != nil {
		return err
	}
	if more {
		d.Earlier = d.Path + "?before=" + d.From
	}
	if change != nil {
		change(d)
	}
	if err := p.markRead(r, t); err != nil {
		return err
	}
	data, err := p.inbox(r, t.ID)
	if err != nil {
		return err
	}
	data.Thread, d.Colleagues, d.KnownLabels, d.Back = d, data.Colleagues, data.Labels, data.Here
	d.Query = data.Query.href("")
	return p.showWith(w, r, status, "inbox/list", t.Name(), data)
}

// inboxLive is what may have changed of a conversation that is open: its messages from one on, who has it, its labels.
func (p *Pages) inboxLive(w http.ResponseWriter, r *http.Request) error {
	t, err := p.talk(r)
	if err != nil {
		return err
	}
	from := store.ParseCursor(r.URL.Query().Get("from"))
	var messages []store.ThreadMessage
	if from.ID != "" {
		messages, err = p.Store.ThreadFrom(r.Context(), t.ID, from, threadMost)
	} else {
		messages, _, err = p.Store.Thread(r.Context(), t.ID, from, threadPage)
	}
	if err != nil {
		return err
	}
	d, err := p.threadData(r, t, messages)
	if err != nil {
		return err
	}
	if d.Colleagues, err = p.Store.Colleagues(r.Context()); err != nil {
		return err
	}
	if d.KnownLabels, err = p.Store.InboxLabels(r.Context(), web.ScopeOf(r)); err != nil {
		return err
	}
	if err := p.markRead(r, t); err != nil {
		return err
	}
	return p.fragment(w, "inbox/list", "live", d)
}

// inboxEarlier is what was said before a message, for a page that has the later ones.
func (p *Pages) inboxEarlier(w http.ResponseWriter, r *http.Request) error {
	t, err := p.talk(r)
	if err != nil {
		return err
	}
	messages, more, err := p.Store.Thread(r.Context(), t.ID, store.ParseCursor(r.URL.Query().Get("before")), threadPage)
	if err != nil {
		return err
	}
	d, err := p.threadData(r, t, messages)
	if err != nil {
		return err
	}
	if more {
		d.Earlier = d.Path + "?before=" + d.From
	}
	return p.fragment(w, "inbox/list", "earlier", d)
}

// talk finds the conversation of a request.
func (p *Pages) talk(r *http.Request) (*store.Talk, error) {
	t, err := p.Store.Talk(r.Context(), web.ScopeOf(r), chi.URLParam(r, "id"))
	if err != nil {
		return nil, err
	}
	return &t, nil
}

// markRead notes that who may answer has seen it. Who only looks leaves it unread, and so does a browser that loads ahead.
func (p *Pages) markRead(r *http.Request, t *store.Talk) error {
	user := web.UserOf(r)
	if !t.Unread || !user.Role.May(store.Agent) || r.Header.Get("Sec-Purpose") != "" {
		return nil
	}
	return p.Store.MarkRead(r.Context(), web.ScopeOf(r), t.ID, user.ID)
}

func (p *Pages) threadData(r *http.Request, t *store.Talk, messages []store.ThreadMessage) (*threadData, error) {
	ctx := r.Context()
	d := &threadData{
		Talk: *t, Avatar: p.picture(t.Contact.PictureURL), Path: "/inbox/" + t.ID, Back: "/inbox", Nonce: rand.Text(), MaxText: desk.MaxText,
		MayAct: web.UserOf(r).Role.May(store.Agent),
	}
	var err error
	if d.Standing, err = p.standing(r, t); err != nil {
		return nil, err
	}
	if d.Note, err = p.Store.Note(ctx, t.ID); err != nil {
		return nil, err
	}
	if d.MayAct {
		if d.Replies, err = p.Store.SavedReplies(ctx, web.ScopeOf(r), t.Account); err != nil {
			return nil, err
		}
	}
	var happened []store.Happening
	if len(messages) > 0 {
		first := &messages[0]
		d.From = store.InboxCursor{At: first.At, ID: first.ID}.String()
		until := time.Time{}
		if store.ParseCursor(r.URL.Query().Get("before")).ID != "" {
			until = store.ParseCursor(r.URL.Query().Get("before")).At
		}
		happened, err = p.Store.Happenings(ctx, t.Conversation, first.At, until, dm.KindHold, dm.KindLabel, dm.KindDecision, dm.KindReferral, dm.KindOptin, dm.KindThreadControl)
		if err != nil {
			return nil, err
		}
	}
	kept, err := p.keptOf(ctx, t.Account, messages)
	if err != nil {
		return nil, err
	}
	d.Items = p.items(t, messages, kept, happened)
	return d, nil
}

// standing asks who has the conversation. While the bus is away nobody knows.
func (p *Pages) standing(r *http.Request, t *store.Talk) (s standing, err error) {
	s.Window = windowOf(t.LastInboundAt, p.Now())
	s.Hold, s.Held, err = p.Desk.Holder(r.Context(), t.Conversation)
	if errors.Is(err, ops.ErrAway) {
		return s, nil
	}
	if err != nil {
		return s, err
	}
	s.Known = true
	if s.Held {
		s.Name, s.Why = holderName(s.Hold), holdWhy(s.Hold.Reason)
	}
	return s, nil
}

// holdWhy says in words why somebody else than the bot has a conversation.
func holdWhy(reason dm.HoldReason) string {
	switch reason {
	case dm.HoldOperator:
		return "took it over"
	case dm.HoldTakeover:
		return "answered from the Instagram app"
	case dm.HoldHandOff:
		return "a rule handed it over"
	case dm.HoldLoop:
		return "too many automatic replies within a minute"
	case dm.HoldTooMany:
		return "Meta takes no more messages to this person for now"
	case dm.HoldThreadControl:
		return "the thread was passed on"
	case dm.HoldStandby, dm.HoldOtherApp:
		return "another app owns the thread"
	default:
		return string(reason)
	}
}
