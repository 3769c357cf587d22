package page

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/parley-dm/parley/pkg/pipeline/deadletter"
	"github.com/parley-dm/parley/services/console/internal/ops"
	"github.com/parley-dm/parley/services/console/internal/store"
	"github.com/parley-dm/parley/services/console/internal/web"
)

const (
	maxLetters = 5000
	// failuresShown bounds what is listed of one cause, and maxReplay what is sent again at once.
	failuresShown, maxReplay = 100, 500
)

// failuresData is what failed, by cause.
type failuresData struct {
	Causes []*cause
	// Away: dead letters are not listed, because the bus is away. More: there are failures beyond those that were looked at.
	Away, More bool
	MayAct     bool
}

// found reads what failed. A bus that is away leaves the dead letters out.
func (p *Pages) found(r *http.Request) (*failuresData, []deadletter.Letter, error) {
	scope := web.ScopeOf(r)
	data := &failuresData{MayAct: web.UserOf(r).Role.May(store.Agent)}
	failures, more, err := p.Store.Failures(r.Context(), scope)
	if err != nil {
		return nil, nil, err
	}
	var letters []deadletter.Letter
	if p.DeadLetters == nil {
		err = ops.ErrAway
	} else {
		letters, err = p.DeadLetters.DeadLetters(r.Context(), scope, ops.LetterFilter{Most: maxLetters})
	}
	if err != nil && !errors.Is(err, ops.ErrAway) {
		return nil, nil, err
	}
	data.Away, data.More = err != nil, more || len(letters) == maxLetters
	data.Causes = causes(failures, letters)
	return data, letters, nil
}

// failures lists what failed, by cause.
func (p *Pages) failures(w http.ResponseWriter, r *http.Request) error {
	data, _, err := p.found(r)
	if err != nil {
		return err
	}
	return p.show(w, r, "failures/failures", "Failures", data)
}

// groupData is one cause with its newest failures.
type groupData struct {
	*cause
	Messages []failedItem
	Letters  []deadletter.Letter
	MayAct   bool
}

// failedItem is a failed message as it is listed.
type failedItem struct {
	store.FailedMessage
	// Refused is why it cannot be sent again; empty where it can.
	Refused string
}

// Said is the beginning of what it says.
func (f *failedItem) Said() string {
	const most = 160
	r := []rune(f.Text)
	if len(r) > most {
		return string(r[:most]) + "…"
	}
	return f.Text
}

// Tried is how many calls were made for it, and Why the delivery's reason.
func (f *failedItem) Tried() int {
	if f.Meta.Delivery == nil {
		return 0
	}
	return len(f.Meta.Delivery.Attempts)
}

// Why is the delivery's reason.
func (f *failedItem) Why() string {
	if f.Meta.Delivery == nil {
		return ""
	}
	return f.Meta.Delivery.Reason
}

func items(messages []store.FailedMessage, now time.Time) []failedItem {
	out := make([]failedItem, len(messages))
	for i := range messages {
		out[i].FailedMessage = messages[i]
		if _, err := ops.Again(&messages[i], now); err != nil {
			out[i].Refused = err.Error()
		}
	}
	return out
}

// failuresGroup lists the newest failures of one cause.
func (p *Pages) failuresGroup(w http.ResponseWriter, r *http.Request) error {
	data, letters, err := p.found(r)
	if err != nil {
		return err
	}
	key := r.URL.Query().Get("key")
	i := slices.IndexFunc(data.Causes, func(c *cause) bool { return c.Key == key })
	if i < 0 {
		return web.ErrNotFound
	}
	group := groupData{cause: data.Causes[i], MayAct: data.MayAct}
	// The newest are first.
	messages, err := p.Store.FailedMessages(r.Context(), web.ScopeOf(r), group.ids[:min(len(group.ids), failuresShown)])
	if err != nil {
		return err
	}
	slices.Reverse(messages)
	group.Messages = items(messages, p.Now())
	for n := len(letters) - 1; n >= 0 && len(group.Letters) < failuresShown; n-- {
		if slices.Contains(group.numbers, letters[n].Number) {
			group.Letters = append(group.Letters, letters[n])
		}
	}
	return p.show(w, r, "failures/group", "Failures", group)
}
