package page

import (
	"errors"
	"net/http"
	"strings"

	"github.com/parley-dm/parley/pkg/repository"
	"github.com/parley-dm/parley/pkg/rules"
	"github.com/parley-dm/parley/pkg/telemetry"
	"github.com/parley-dm/parley/services/console/internal/store"
	"github.com/parley-dm/parley/services/console/internal/web"
)

// ruleLine is one rule in the list.
type ruleLine struct {
	repository.Rule
	Place     int
	Hits      int
	Many      bool // Hits is as far as was counted
	Problems  []string
	Conflicts []string
	Says      string
}

type rulesData struct {
	Lines     []ruleLine
	MayChange bool
	Counted   bool
	Active    int
	Filter    string
}

// rules lists them in the order in which they are asked.
func (p *Pages) rules(w http.ResponseWriter, r *http.Request) error {
	all, err := p.Store.Rules().List(r.Context())
	if err != nil {
		return err
	}
	data := rulesData{MayChange: web.UserOf(r).Role.May(store.Agent), Counted: true, Filter: strings.TrimSpace(r.URL.Query().Get("q"))}
	hits, err := p.Store.RuleHits(r.Context(), web.ScopeOf(r))
	if err != nil { // the list is worth more than its counts
		p.Log.WarnContext(r.Context(), "rules.hits_not_counted", telemetry.KeyRequest, web.RequestID(r.Context()), telemetry.KeyError, err)
		data.Counted = false
	}
	conflicts := conflictsOf(all)
	for i := range all {
		line := ruleLine{Rule: all[i], Place: i + 1, Hits: hits[all[i].ID], Conflicts: conflicts[all[i].ID], Problems: ruleProblems(&all[i]), Says: ruleSays(&all[i].Rule)}
		line.Many = line.Hits >= store.MaxHits
		if all[i].Active {
			data.Active++
		}
		if ruleHas(&all[i], data.Filter) {
			data.Lines = append(data.Lines, line)
		}
	}
	return p.show(w, r, "rules/rules", "Rules", data)
}

// conflictsOf says, by rule, what among the active rules can never win.
func conflictsOf(all []repository.Rule) map[string][]string {
	set, _ := compileActive(all)
	out := map[string][]string{}
	for _, c := range set.Conflicts() {
		out[c.Rule.ID] = append(out[c.Rule.ID], conflictText(&c))
	}
	return out
}

// compileActive makes a set of the active rules that could be read, and names those that cannot be used.
func compileActive(all []repository.Rule) (*rules.Set, []rules.Problem) {
	var active []rules.Rule
	for i := range all {
		if all[i].Active && all[i].Broken == nil {
			active = append(active, all[i].Rule)
		}
	}
	return rules.Compile(active)
}

func conflictText(c *rules.Conflict) string {
	what := "Never wins"
	if c.Keyword != "" {
		what = "Never wins on “" + c.Keyword + "”"
	}
	what += ": “" + c.By.Name + "” always comes first"
	if c.ByKeyword != "" {
		what += ", on “" + c.ByKeyword + "”"
	}
	return what + "."
}

// ruleProblems says why a rule cannot be used.
func ruleProblems(r *repository.Rule) []string {
	if r.Broken != nil {
		return []string{"Cannot be read whole, so it is never asked: " + r.Broken.Error()}
	}
	return problemLines(rules.Check(r.Rule))
}

// problemLines are the problems of a rule, one by one.
func problemLines(err error) []string {
	if err == nil {
		return nil
	}
	return strings.Split(err.Error(), "\n")
}

// ruleSays is the beginning of what a rule says or does.
func ruleSays(r *rules.Rule) string {
	t := &r.Then
	text := r.Response
	if len(t.Reply) > 0 {
		text = t.Reply[0].Text
		if len(t.Reply[0].Variants) > 0 {
			text = t.Reply[0].Variants[0]
		}
	}
	switch {
	case text != "":
		return text
	case len(t.Reply) > 0:
		return "(" + strings.ReplaceAll(string(rules.KindOf(&t.Reply[0])), "_", " ") + ")"
	case t.Silent:
		return "(says nothing)"
	case t.Like:
		return "(a heart)"
	case t.HandOff:
		return "(hands off)"
	default:
		return ""
	}
}

func ruleHas(r *repository.Rule, filter string) bool {
	if filter == "" {
		return true
	}
	folded := rules.Fold(filter)
	return strings.Contains(rules.Fold(r.Name+" \n "+strings.Join(r.Keywords, " \n ")+" \n "+ruleSays(&r.Rule)), folded)
}

// ruleOf finds the rule of a path.
func (p *Pages) ruleOf(r *http.Request, id string) (repository.Rule, error) {
	rule, err := p.Store.Rules().Get(r.Context(), id)
	if errors.Is(err, repository.ErrNotFound) {
		return rule, web.ErrNotFound
	}
	return rule, err
}
