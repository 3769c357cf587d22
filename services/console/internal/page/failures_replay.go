package page

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/services/console/internal/ops"
	"github.com/parley-dm/parley/services/console/internal/store"
	"github.com/parley-dm/parley/services/console/internal/web"
)

// previewData is what would be sent again.
type previewData struct {
	// IDs are those of messages, or of dead letters with the prefix; Refused counts the others by why.
	IDs     []string
	Dead    bool
	Refused map[string]int
	// Later is how many of the cause are left for another time.
	Later int
	Back  string
}

// deadPrefix is before the numbers of dead letters in forms.
const deadPrefix = "dead-"

// failuresPreview says what would be sent again, of what was picked or of a whole cause, the oldest first.
func (p *Pages) failuresPreview(w http.ResponseWriter, r *http.Request) error {
	key, ids := r.URL.Query().Get("key"), r.URL.Query()["id"]
	data := previewData{Refused: map[string]int{}, Back: "/failures/group?key=" + key}
	if len(ids) == 0 {
		found, _, err := p.found(r)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(found.Causes, func(c *cause) bool { return c.Key == key })
		if i < 0 || !found.Causes[i].Replays() {
			return web.ErrNotFound
		}
		slices.Reverse(found.Causes[i].ids)
		ids = found.Causes[i].ids
		for _, n := range found.Causes[i].numbers {
			ids = append(ids, deadPrefix+strconv.FormatUint(n, 10))
		}
	}
	data.Later = max(len(ids)-maxReplay, 0)
	ids = ids[:min(len(ids), maxReplay)]
	messages, letters, err := p.picked(r, ids)
	if err != nil {
		return err
	}
	for _, item := range items(messages, p.Now()) {
		switch {
		case item.Status == string(dm.OutcomeUnknown):
			data.Refused["it may have been sent: that is decided one by one"]++
		case item.Refused != "":
			data.Refused[item.Refused]++
		default:
			data.IDs = append(data.IDs, item.ID)
		}
	}
	for _, n := range letters {
		data.Dead = true
		data.IDs = append(data.IDs, deadPrefix+strconv.FormatUint(n, 10))
	}
	return p.show(w, r, "failures/preview", "Send again", data)
}

// picked are the failures that ids name, as far as they are still open and the user sees them.
func (p *Pages) picked(r *http.Request, ids []string) (messages []store.FailedMessage, numbers []uint64, err error) {
	var rows []string
	wanted := map[uint64]bool{}
	for _, id := range ids {
		number, dead := strings.CutPrefix(id, deadPrefix)
		if n, err := strconv.ParseUint(number, 10, 64); dead && err == nil {
			wanted[n] = true
			continue
		}
		rows = append(rows, id)
	}
	if len(rows) > 0 {
		if messages, err = p.Store.FailedMessages(r.Context(), web.ScopeOf(r), rows); err != nil {
			return nil, nil, err
		}
	}
	if len(wanted) == 0 {
		return messages, nil, nil
	}
	letters, err := p.DeadLetters.DeadLetters(r.Context(), web.ScopeOf(r), ops.LetterFilter{Most: maxLetters})
	if err != nil {
		return nil, nil, busAway(err, "Dead letters are kept on the bus, and it is not reached now.")
	}
	for i := range letters {
		if wanted[letters[i].Number] {
			numbers = append(numbers, letters[i].Number)
		}
	}
	return messages, numbers, nil
}

const nothingSent = "Nothing was sent. Try again in a moment: what was sent already is not sent twice."

// failuresReplay sends again what was picked.
func (p *Pages) failuresReplay(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return web.BadRequest("The form cannot be read.")
	}
	ids := r.PostForm["id"]
	if len(ids) == 0 || len(ids) > maxReplay {
		return web.BadRequest("Pick between 1 and " + strconv.Itoa(maxReplay) + " failures.")
	}
	messages, numbers, err := p.picked(r, ids)
	if err != nil {
		return err
	}
	messages = slices.DeleteFunc(messages, func(m store.FailedMessage) bool { return m.Status == string(dm.OutcomeUnknown) })
	sent, err := p.sendAgain(r, messages)
	if err != nil {
		return err
	}
	replayed, err := p.replayDead(r, numbers)
	switch {
	case err != nil:
		return err
	case sent+replayed == 0:
		return p.done(w, r, "/failures", "not_sent_again")
	}
	return p.done(w, r, "/failures", "sent_again")
}

// sendAgain publishes what can be sent again, each once for ever, and says how many.
func (p *Pages) sendAgain(r *http.Request, messages []store.FailedMessage) (int, error) {
	intents := map[string]dm.ReplyIntent{}
	var decisions []store.FailureDecision
	for i := range messages {
		intent, err := ops.Again(&messages[i], p.Now())
		if err != nil {
			continue // the preview says which, and why
		}
		intents[messages[i].ID] = intent
		decisions = append(decisions, store.FailureDecision{MessageID: messages[i].ID, Decision: store.SendAgain, IntentID: intent.ID})
	}
	ids, err := p.Store.DecideFailures(r.Context(), web.ActorOf(r), decisions, func(ctx context.Context, ids []string) error {
		out := make([]dm.ReplyIntent, len(ids))
		for i, id := range ids {
			out[i] = intents[id]
		}
		return p.Resender.SendAgain(ctx, out)
	})
	return len(ids), busAway(err, nothingSent)
}

func (p *Pages) replayDead(r *http.Request, numbers []uint64) (int, error) {
	if len(numbers) == 0 {
		return 0, nil
	}
	by := web.ActorOf(r)
	replayed, err := p.DeadLetters.ReplayDead(r.Context(), web.ScopeOf(r), numbers, by.Name)
	if err != nil {
		return 0, busAway(err, nothingSent)
	}
	for _, number := range replayed {
		err := p.Store.Audit(r.Context(), by, store.Change{Action: "failure.replayed", Target: "failure:" + strconv.FormatUint(number, 10)})
		if err != nil {
			return len(replayed), err
		}
	}
	return len(replayed), nil
}

// failuresDecide settles one message of which nobody knew whether it was sent.
func (p *Pages) failuresDecide(w http.ResponseWriter, r *http.Request) error {
	messages, err := p.Store.FailedMessages(r.Context(), web.ScopeOf(r), []string{r.PostFormValue("id")})
	if err != nil {
		return err
	}
	if len(messages) == 0 || messages[0].Status != string(dm.OutcomeUnknown) {
		return web.ErrNotFound
	}
	m := &messages[0]
	switch r.PostFormValue("decision") {
	case store.WasSent:
		by := web.ActorOf(r)
		decided := []store.FailureDecision{{MessageID: m.ID, Decision: store.WasSent}}
		_, err := p.Store.DecideFailures(r.Context(), by, decided, func(ctx context.Context, _ []string) error { return p.Resender.WasSent(ctx, m, by.Name) })
		if err != nil {
			return busAway(err, "Nothing was decided. Try again in a moment.")
		}
		return p.done(w, r, "/failures", "was_sent")
	case store.SendAgain:
		if _, err := ops.Again(m, p.Now()); err != nil {
			return &web.Error{Status: http.StatusConflict, Title: "It cannot be sent again", Text: "The reason: " + err.Error() + "."}
		}
		if _, err := p.sendAgain(r, messages); err != nil {
			return err
		}
		return p.done(w, r, "/failures", "sent_again")
	default:
		return web.BadRequest("Say whether it was sent, or is to be sent again.")
	}
}
