package page

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/services/console/internal/ops"
	"github.com/parley-dm/parley/services/console/internal/store"
	"github.com/parley-dm/parley/services/console/internal/web"
)

const maxLabel = 40 // characters

// errAway is what a page says while the bus cannot be told of a change.
var errAway = &web.Error{Status: http.StatusServiceUnavailable, Title: "The bus is away", Text: "Nothing can be sent or change hands before it is back. Try again in a moment."}

// change finds the conversation, does something with it and goes back to it.
func (p *Pages) change(w http.ResponseWriter, r *http.Request, notice string, f func(ctx context.Context, t *store.Talk) error) error {
	t, err := p.talk(r)
	if err != nil {
		return err
	}
	if err := f(r.Context(), t); err != nil {
		if errors.Is(err, ops.ErrAway) {
			return errAway
		}
		return err
	}
	return p.done(w, r, p.back(r, t), notice)
}

// takeFor is for how long a conversation may be taken over.
var takeFor = map[string]time.Duration{"": 0, "1h": time.Hour, "12h": 12 * time.Hour} //nolint:gochecknoglobals // a constant table

// inboxTake takes a conversation from the bot.
func (p *Pages) inboxTake(w http.ResponseWriter, r *http.Request) error {
	return p.change(w, r, "taken_over", func(ctx context.Context, t *store.Talk) error {
		length, ok := takeFor[r.PostFormValue("for")]
		if !ok {
			return web.BadRequest("A conversation is taken over for 1h, for 12h, or until it is handed back.")
		}
		var until time.Time
		if length > 0 {
			until = p.Now().Add(length)
		}
		return p.Desk.Take(ctx, person(r), atDesk(t), until)
	})
}

// inboxHandBack gives a conversation back to the bot.
func (p *Pages) inboxHandBack(w http.ResponseWriter, r *http.Request) error {
	return p.change(w, r, "handed_back", func(ctx context.Context, t *store.Talk) error {
		return p.Desk.HandBack(ctx, person(r), atDesk(t))
	})
}

// inboxAssign gives a conversation to a colleague, or to nobody.
func (p *Pages) inboxAssign(w http.ResponseWriter, r *http.Request) error {
	return p.change(w, r, "", func(ctx context.Context, t *store.Talk) error {
		return p.Store.Assign(ctx, web.ScopeOf(r), web.ActorOf(r), t.ID, r.PostFormValue("to"))
	})
}

// inboxLabel puts a label on a conversation or takes one off.
func (p *Pages) inboxLabel(w http.ResponseWriter, r *http.Request) error {
	return p.change(w, r, "", func(ctx context.Context, t *store.Talk) error {
		change := dm.Labels{}
		add, remove := strings.Join(strings.Fields(r.PostFormValue("add")), " "), r.PostFormValue("remove")
		switch label := add + remove; {
		case label == "" || utf8.RuneCountInString(label) > maxLabel || !utf8.ValidString(label) || strings.ContainsRune(label, 0):
			return web.BadRequest(fmt.Sprintf("A label has 1 to %d characters.", maxLabel))
		case add != "":
			change.Added = []string{add}
		default:
			change.Removed = []string{remove}
		}
		return p.Desk.Label(ctx, person(r), atDesk(t), change)
	})
}

// inboxClose closes a conversation until its customer writes again.
func (p *Pages) inboxClose(w http.ResponseWriter, r *http.Request) error {
	return p.change(w, r, "closed", func(ctx context.Context, t *store.Talk) error {
		return p.Store.CloseTalk(ctx, web.ScopeOf(r), web.ActorOf(r), t.ID)
	})
}

// inboxReopen opens it again.
func (p *Pages) inboxReopen(w http.ResponseWriter, r *http.Request) error {
	return p.change(w, r, "", func(ctx context.Context, t *store.Talk) error {
		return p.Store.ReopenTalk(ctx, web.ScopeOf(r), web.ActorOf(r), t.ID)
	})
}

// inboxUnread leaves it for whoever looks next; so it goes back to the list, not to what would be read again.
func (p *Pages) inboxUnread(w http.ResponseWriter, r *http.Request) error {
	t, err := p.talk(r)
	if err == nil {
		err = p.Store.MarkUnread(r.Context(), web.ScopeOf(r), t.ID)
	}
	if err != nil {
		return err
	}
	return p.done(w, r, parseInbox(r.URL.Query()).href("/inbox"), "")
}

// inboxNote writes the note.
func (p *Pages) inboxNote(w http.ResponseWriter, r *http.Request) error {
	return p.change(w, r, "saved", func(ctx context.Context, t *store.Talk) error {
		note := strings.ReplaceAll(r.PostFormValue("note"), "\r\n", "\n")
		if len(note) > store.MaxNote || strings.ContainsRune(note, 0) || !utf8.ValidString(note) {
			return web.BadRequest(fmt.Sprintf("A note has at most %d bytes.", store.MaxNote))
		}
		return p.Store.SetNote(ctx, web.ScopeOf(r), web.ActorOf(r), t.ID, note)
	})
}
