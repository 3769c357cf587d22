package page

import (
	"github.com/go-chi/chi/v5"

	"github.com/parley-dm/parley/services/console/internal/store"
	"github.com/parley-dm/parley/services/console/internal/view"
)

func (p *Pages) rulesSection() section {
	return section{
		nav: view.NavItem{Path: "/rules", Title: "Rules", Icon: "rules", Key: "u"}, least: store.Viewer,
		routes: func(r chi.Router) {
			p.get(r, "/rules", store.Viewer, p.rules)
			p.get(r, "/rules/history", store.Viewer, p.rulesHistory)
			p.get(r, "/rules/export", store.Viewer, p.rulesExport)
			p.get(r, "/rules/import", store.Agent, p.rulesImport)
			p.post(r, "/rules/import", store.Agent, p.rulesImportSend)
			p.post(r, "/rules/preview", store.Agent, p.rulesPreview)
			p.get(r, "/rules/new", store.Agent, p.rulesNew)
			p.post(r, "/rules/new", store.Agent, p.rulesEdit)
			p.get(r, "/rules/{id}", store.Viewer, p.rulesShow)
			p.post(r, "/rules/{id}", store.Agent, p.rulesEdit)
			p.get(r, "/rules/{id}/history", store.Viewer, p.rulesHistory)
			p.post(r, "/rules/{id}/active", store.Agent, p.rulesActive)
			p.post(r, "/rules/{id}/delete", store.Agent, p.rulesDelete)
			p.post(r, "/rules/{id}/restore", store.Agent, p.rulesRestore)
		},
	}
}

func init() { //nolint:gochecknoinits // notices of this area stay in its own file
	notices["rule_saved"] = "The rule is saved."
	notices["rule_on"] = "The rule is on."
	notices["rule_off"] = "The rule is off."
	notices["rule_deleted"] = "The rule is deleted. Its history keeps it: it can be brought back from there."
	notices["rule_restored"] = "The rule is as it was in that version."
	notices["rules_imported"] = "The rules are imported."
	notices["rule_conflict"] = "Nothing was changed: somebody else has just changed this rule. This is how it is now."
}
