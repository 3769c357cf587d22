package page

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/parley-dm/parley/pkg/repository"
	"github.com/parley-dm/parley/pkg/rules"
	"github.com/parley-dm/parley/pkg/rules/rulefile"
	"github.com/parley-dm/parley/services/console/internal/store"
	"github.com/parley-dm/parley/services/console/internal/web"
)

// ruleData is the editor of one rule.
type ruleData struct {
	ID, Path string // no ID for a new rule; Path is where the form goes
	Form     ruleForm
	AsYAML   bool
	YAML     string
	// Problems are by field of the form; those under "" are of none.
	Problems  map[string]string
	MayChange bool
	// Conflict says that somebody else changed it meanwhile.
	Conflict string
	Unread   string
	Stored   repository.Rule
	Preview  rulePreview
	Trial    *ruleTrial

	Occasions, Days, MatchTypes any
}

func (p *Pages) ruleData(r *http.Request, id string, rule *repository.Rule) ruleData {
	d := ruleData{
		ID: id, Path: "/rules/new", MayChange: web.UserOf(r).Role.May(store.Agent), Form: formOf(rule), Preview: previewOf(&rule.Rule, p.Now()),
		Problems: map[string]string{}, Occasions: occasions, Days: weekdays, MatchTypes: matchTypes,
	}
	if id != "" {
		d.Path = "/rules/" + id
	}
	return d
}

// rulesNew shows an empty form.
func (p *Pages) rulesNew(w http.ResponseWriter, r *http.Request) error {
	rule := repository.Rule{Rule: rules.Rule{MatchType: rules.MatchWord, Active: true}}
	return p.showRule(w, r, http.StatusOK, p.ruleData(r, "", &rule))
}

// rulesShow shows a rule in its form.
func (p *Pages) rulesShow(w http.ResponseWriter, r *http.Request) error {
	rule, err := p.ruleOf(r, chi.URLParam(r, "id"))
	if err != nil {
		return err
	}
	d := p.ruleData(r, rule.ID, &rule)
	d.Stored = rule
	checkRule(&rule, d.Problems)
	if rule.Broken != nil {
		d.Unread = rule.Broken.Error()
	}
	if r.URL.Query().Has("yaml") {
		if err := d.asYAML(&rule); err != nil {
			return err
		}
	}
	return p.showRule(w, r, http.StatusOK, d)
}

func (p *Pages) showRule(w http.ResponseWriter, r *http.Request, status int, d ruleData) error {
	title := "New rule"
	if d.ID != "" {
		title = d.Form.Name
	}
	return p.showWith(w, r, status, "rules/edit", title, d)
}

func (d *ruleData) asYAML(rule *repository.Rule) error {
	plain := rule.Rule
	plain.ID = "" // the path says which rule it is
	text, err := rulefile.Format([]rules.Rule{plain})
	d.AsYAML, d.YAML = true, string(text)
	return err
}

// rulesEdit takes the form or its YAML: saves it, or shows it again as one asked for (preview, try, yaml, form).
func (p *Pages) rulesEdit(w http.ResponseWriter, r *http.Request) error {
	id := chi.URLParam(r, "id")
	if id != "" {
		if _, err := p.ruleOf(r, id); err != nil {
			return err
		}
	}
	d, rule, err := p.draft(r, id)
	if err != nil {
		return err
	}
	do, status := r.PostFormValue("do"), http.StatusOK
	switch {
	case do == "yaml" && !d.AsYAML:
		err = d.asYAML(&rule)
	case do == "form" && len(d.Problems) == 0:
		d.AsYAML = false
	case do == "preview":
	case len(d.Problems) > 0:
		status = http.StatusUnprocessableEntity
	case do == "try":
		d.Trial, err = p.tryRule(r, &rule)
	default:
		return p.saveRule(w, r, d, rule)
	}
	if err != nil {
		return err
	}
	return p.showRule(w, r, status, d)
}

// draft reads what was typed, as a form or as YAML, as far as it is a rule.
func (p *Pages) draft(r *http.Request, id string) (ruleData, repository.Rule, error) {
	if err := r.ParseForm(); err != nil {
		return ruleData{}, repository.Rule{}, web.BadRequest("The form cannot be read, or is too large.")
	}
	form := readForm(r)
	var rule repository.Rule
	var problems map[string]string
	isYAML := r.PostFormValue("as") == "yaml"
	if isYAML {
		rule, problems = ruleOfYAML(r.PostFormValue("yaml"))
		rule.Version = form.Version
	} else {
		rule, problems = form.rule()
	}
	rule.ID = id
	d := p.ruleData(r, id, &rule)
	d.Problems = problems
	if isYAML {
		d.AsYAML, d.YAML = true, unixLines(r.PostFormValue("yaml"))
	} else {
		d.Form = form
	}
	return d, rule, nil
}

// ruleOfYAML reads one rule.
func ruleOfYAML(text string) (repository.Rule, map[string]string) {
	all, err := rulefile.Parse("rule", []byte(text))
	switch {
	case err != nil:
		return repository.Rule{}, map[string]string{"yaml": err.Error()}
	case len(all) != 1:
		return repository.Rule{}, map[string]string{"yaml": fmt.Sprintf("got %d rules, expected one; several are imported as a file", len(all))}
	}
	all[0].ID, all[0].CreatedAt = "", time.Time{}
	return repository.Rule{Rule: all[0]}, map[string]string{}
}

// saveRule stores a rule that has no problems. One that somebody else changed meanwhile is shown again, with what was typed.
func (p *Pages) saveRule(w http.ResponseWriter, r *http.Request, d ruleData, rule repository.Rule) error {
	action, save := "rule.updated", p.Store.Rules().Update
	if d.ID == "" {
		action, save = "rule.created", p.Store.Rules().Create
	}
	saved, err := save(r.Context(), rule, web.ActorOf(r).Name)
	var conflict *repository.ConflictError
	switch {
	case errors.As(err, &conflict):
		by := conflict.Current.UpdatedBy
		if by == "" {
			by = "somebody"
		}
		d.Conflict, d.Form.Version = by, conflict.Current.Version
		return p.showRule(w, r, http.StatusConflict, d)
	case errors.Is(err, repository.ErrNotFound):
		return web.ErrNotFound
	case errors.Is(err, repository.ErrInvalid):
		d.Problems[""] = err.Error()
		return p.showRule(w, r, http.StatusUnprocessableEntity, d)
	case err != nil:
		return err
	}
	if d.ID == "" || saved.Version != rule.Version {
		if err := p.auditRule(r, action, &saved); err != nil {
			return err
		}
	}
	return p.done(w, r, "/rules/"+saved.ID, "rule_saved")
}
