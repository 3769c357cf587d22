package page

import (
	"net/http"
	"reflect"
	"time"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/repository"
	"github.com/parley-dm/parley/pkg/rules"
	"github.com/parley-dm/parley/pkg/rules/language"
	"github.com/parley-dm/parley/services/console/internal/store"
	"github.com/parley-dm/parley/services/console/internal/web"
)

// The bounds of a dry run.
const (
	tryMessages = 2000
	tryExamples = 20
)

// ruleTrial is what an edited rule would have changed in the last seven days.
type ruleTrial struct {
	Asked, Different int
	Full             bool // there may have been more messages than were asked about
	Examples         []trialExample
	Conflicts        []string
	Inactive         bool
}

type trialExample struct {
	store.Asked
	Before, After string // the names of the rules; empty for none
	Same          bool   // it is the same rule, which says something else
}

// draftID is what a rule is called that has no id yet.
const draftID = "draft"

// tryRule asks the rules as they are, and with the edited one, about the messages of the last seven days that the caller may
// see. Limits and cool-downs are left out, and hours are those of each message: what a rule did before is not known of a rule
// that was not there.
func (p *Pages) tryRule(r *http.Request, edited *repository.Rule) (*ruleTrial, error) {
	all, err := p.Store.Rules().List(r.Context())
	if err != nil {
		return nil, err
	}
	asked, err := p.Store.LastAsked(r.Context(), web.ScopeOf(r), tryMessages)
	if err != nil {
		return nil, err
	}
	before, _ := compileActive(all)
	after, _ := compileActive(withRule(all, *edited, p.Now()))
	t := &ruleTrial{Full: len(asked) == tryMessages, Inactive: !edited.Active}
	for _, c := range after.Conflicts() {
		if id := editedID(edited); c.Rule.ID == id || c.By.ID == id {
			t.Conflicts = append(t.Conflicts, "“"+c.Rule.Name+"”: "+conflictText(&c))
		}
	}
	for i := range asked {
		turn, ok := turnOf(&asked[i])
		if !ok {
			continue
		}
		t.Asked++
		was, is := before.Decide(turn), after.Decide(turn)
		same := was.Matched && is.Matched && was.Rule.ID == is.Rule.ID
		if same && sameAnswer(&was.Rule, &is.Rule) || !was.Matched && !is.Matched {
			continue
		}
		t.Different++
		if len(t.Examples) < tryExamples {
			t.Examples = append(t.Examples, trialExample{Asked: asked[i], Before: was.Rule.Name, After: is.Rule.Name, Same: same})
		}
	}
	return t, nil
}

func editedID(r *repository.Rule) string {
	if r.ID == "" {
		return draftID
	}
	return r.ID
}

// withRule puts an edited rule in the place of the stored one, or adds it.
func withRule(all []repository.Rule, edited repository.Rule, now time.Time) []repository.Rule {
	edited.Broken, edited.ID, edited.CreatedAt = nil, editedID(&edited), now
	out := make([]repository.Rule, 0, len(all)+1)
	for i := range all {
		if all[i].ID == edited.ID {
			edited.CreatedAt = all[i].CreatedAt
			continue
		}
		out = append(out, all[i])
	}
	return append(out, edited)
}

func sameAnswer(a, b *rules.Rule) bool {
	return a.Response == b.Response && reflect.DeepEqual(a.Then, b.Then)
}

// turnOf is what rules were asked about a message; false for what they are not asked about.
func turnOf(a *store.Asked) (rules.Turn, bool) {
	kind := a.Kind
	if kind == "" {
		kind = dm.KindMessage // a row that somebody wrote by hand
	}
	e := dm.Event{Kind: kind, MessageType: a.Type, Text: a.Text, Payload: a.Payload}
	t := rules.Turn{
		EventID: a.ConversationID, Account: a.Account, Occasions: rules.Occasions(&e, !a.Returning), Returning: a.Returning, Now: a.At,
		Language: func() string { return language.Detect(a.Text) },
	}
	for _, text := range []string{a.Text, a.Payload} {
		if text != "" {
			t.Texts = append(t.Texts, text)
		}
	}
	if a.Payload != "" {
		t.Payloads = []string{a.Payload}
	}
	return t, len(t.Occasions) > 0
}
