package page

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/go-chi/chi/v5"

	"github.com/parley-dm/parley/pkg/repository"
	"github.com/parley-dm/parley/services/console/internal/store"
	"github.com/parley-dm/parley/services/console/internal/web"
)

// rulesActive switches a rule on or off.
func (p *Pages) rulesActive(w http.ResponseWriter, r *http.Request) error {
	rule, err := p.ruleOf(r, chi.URLParam(r, "id"))
	if err != nil {
		return err
	}
	if rule.Broken != nil {
		return web.BadRequest("The rule cannot be read whole, so it is never asked, on or off. Open it and mend it first.")
	}
	if rule.Version, err = formVersion(r); err != nil {
		return err
	}
	rule.Active = r.PostFormValue("active") == "1"
	notice, action := "rule_off", "rule.switched_off"
	if rule.Active {
		notice, action = "rule_on", "rule.switched_on"
	}
	return p.ruleChanged(w, r, "/rules", notice, action, func() (repository.Rule, error) {
		return p.Store.Rules().Update(r.Context(), rule, web.ActorOf(r).Name)
	})
}

// rulesDelete removes a rule; its history stays.
func (p *Pages) rulesDelete(w http.ResponseWriter, r *http.Request) error {
	rule, err := p.ruleOf(r, chi.URLParam(r, "id"))
	if err != nil {
		return err
	}
	version, err := formVersion(r)
	if err != nil {
		return err
	}
	return p.ruleChanged(w, r, "/rules/"+rule.ID+"/history", "rule_deleted", "rule.deleted", func() (repository.Rule, error) {
		return rule, p.Store.Rules().Delete(r.Context(), rule.ID, version, web.ActorOf(r).Name)
	})
}

// rulesRestore makes a rule again what it was in a version; one that was deleted comes back.
func (p *Pages) rulesRestore(w http.ResponseWriter, r *http.Request) error {
	id := chi.URLParam(r, "id")
	version, err := formVersion(r)
	if err != nil {
		return err
	}
	return p.ruleChanged(w, r, "/rules/"+id, "rule_restored", "rule.restored", func() (repository.Rule, error) {
		return p.Store.Rules().Restore(r.Context(), id, version, web.ActorOf(r).Name)
	})
}

// ruleChanged does a change, audits it and goes on. A conflict changes nothing and shows the rule as it is now.
func (p *Pages) ruleChanged(w http.ResponseWriter, r *http.Request, to, notice, action string, change func() (repository.Rule, error)) error {
	rule, err := change()
	var conflict *repository.ConflictError
	switch {
	case errors.As(err, &conflict):
		return p.done(w, r, "/rules/"+conflict.Current.ID, "rule_conflict")
	case errors.Is(err, repository.ErrNotFound):
		return web.ErrNotFound
	case errors.Is(err, repository.ErrInvalid):
		return web.BadRequest(err.Error())
	case err != nil:
		return err
	}
	if err := p.auditRule(r, action, &rule); err != nil {
		return err
	}
	return p.done(w, r, to, notice)
}

func (p *Pages) auditRule(r *http.Request, action string, rule *repository.Rule) error {
	return p.Store.Audit(r.Context(), web.ActorOf(r), store.Change{
		Action: action, Target: "rule:" + rule.ID, Detail: map[string]any{"name": rule.Name, "version": rule.Version},
	})
}

// formVersion is the version of a rule that a form was made from.
func formVersion(r *http.Request) (int, error) {
	version, err := strconv.Atoi(r.PostFormValue("version"))
	if err != nil || version < 1 {
		return 0, web.BadRequest("version: got " + strconv.Quote(r.PostFormValue("version")) + ", expected a number from 1 on")
	}
	return version, nil
}
