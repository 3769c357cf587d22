package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/repository"
	"github.com/parley-dm/parley/pkg/rules"
)

// Rule is a rule as the API takes and shows it.
type Rule struct {
	Name         string       `json:"name" minLength:"1" maxLength:"200"`
	Keywords     []string     `json:"keywords,omitempty" maxItems:"1000"`
	MatchType    string       `json:"match_type,omitempty" enum:"exact,contains,regex,word,starts_with,all_of" default:"contains"`
	ResponseText string       `json:"response_text,omitempty" maxLength:"20000"`
	Priority     int          `json:"priority,omitempty"`
	Active       bool         `json:"active,omitempty"`
	When         rules.When   `json:"when,omitzero" doc:"what else must hold"`
	Then         rules.Then   `json:"then,omitzero" doc:"what is done beyond the text"`
	Limits       rules.Limits `json:"limits,omitzero"`
}

// StoredRule is a rule that is stored.
type StoredRule struct {
	ID      string `json:"id" format:"uuid"`
	Version int    `json:"version" doc:"grows with each change; a change names the version that it is made of"`
	Rule
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
	UpdatedBy string    `json:"updated_by,omitempty"`
	Broken    string    `json:"broken,omitempty" doc:"why it cannot be read whole and is never asked"`
}

type rulesOutput struct {
	Body struct {
		Rules []StoredRule `json:"rules" doc:"in the order in which they are asked"`
	}
}

type ruleOutput struct{ Body StoredRule }

type ruleIDInput struct {
	ID string `path:"id" format:"uuid"`
}

type newRuleInput struct {
	Key  string `header:"Idempotency-Key" maxLength:"200"`
	Body Rule
}

type changeRuleInput struct {
	ID   string `path:"id" format:"uuid"`
	Key  string `header:"Idempotency-Key" maxLength:"200"`
	Body struct {
		Rule
		Version int `json:"version" minimum:"1" doc:"the version that the change is made of"`
	}
}

type deleteRuleInput struct {
	ID      string `path:"id" format:"uuid"`
	Key     string `header:"Idempotency-Key" maxLength:"200"`
	Version int    `query:"version" required:"true" minimum:"1"`
}

func (a *API) rules(h huma.API) {
	tags := []string{"Rules"}
	huma.Register(h, huma.Operation{
		OperationID: "list-rules", Method: http.MethodGet, Path: "/api/v1/rules", Summary: "List all rules", Tags: tags, Security: needs("rules:read"),
	}, a.listRules)
	huma.Register(h, huma.Operation{
		OperationID: "create-rule", Method: http.MethodPost, Path: "/api/v1/rules", Summary: "Add a rule; it works within a second",
		DefaultStatus: http.StatusCreated, Tags: tags, Security: needs("rules:write"),
	}, a.createRule)
	huma.Register(h, huma.Operation{
		OperationID: "get-rule", Method: http.MethodGet, Path: "/api/v1/rules/{id}", Summary: "Get a rule", Tags: tags, Security: needs("rules:read"),
	}, a.getRule)
	huma.Register(h, huma.Operation{
		OperationID: "change-rule", Method: http.MethodPut, Path: "/api/v1/rules/{id}", Summary: "Change a rule",
		Description: "409 when it was changed meanwhile: get it again, and change that.", Tags: tags, Security: needs("rules:write"),
	}, a.changeRule)
	huma.Register(h, huma.Operation{
		OperationID: "delete-rule", Method: http.MethodDelete, Path: "/api/v1/rules/{id}", Summary: "Delete a rule",
		DefaultStatus: http.StatusNoContent, Tags: tags, Security: needs("rules:write"),
	}, a.deleteRule)
}

func shownRule(r *repository.Rule) StoredRule {
	out := StoredRule{
		ID: r.ID, Version: r.Version, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt, UpdatedBy: r.UpdatedBy,
		Rule: Rule{
			Name: r.Name, Keywords: r.Keywords, MatchType: string(r.MatchType), ResponseText: r.Response, Priority: r.Priority, Active: r.Active,
			When: r.When, Then: r.Then, Limits: r.Limits,
		},
	}
	if r.Broken != nil {
		out.Broken = r.Broken.Error()
	}
	return out
}

// stored makes what is stored of what was given, and says what is wrong with it.
func (r *Rule) stored(id string, version int) (repository.Rule, error) {
	out := repository.Rule{Rule: rules.Rule{
		ID: id, Version: version, Name: r.Name, Keywords: r.Keywords, MatchType: rules.MatchType(r.MatchType), Response: r.ResponseText,
		Priority: r.Priority, Active: r.Active, When: r.When, Then: r.Then, Limits: r.Limits,
	}}
	if out.Keywords == nil {
		out.Keywords = []string{}
	}
	if err := rules.Check(out.Rule); err != nil {
		return out, huma.Error422UnprocessableEntity(err.Error())
	}
	return out, nil
}

// ruleFailed is failed for what the repository says.
func (a *API) ruleFailed(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, repository.ErrNotFound):
		return huma.Error404NotFound("rule: there is none")
	case errors.Is(err, repository.ErrConflict):
		return huma.Error409Conflict("rule: it was changed meanwhile; get it again, and change that")
	case errors.Is(err, repository.ErrInvalid):
		return huma.Error422UnprocessableEntity(err.Error())
	default:
		return a.failed(ctx, "rules", err)
	}
}

// everywhere keeps from rules, which answer for all accounts, those who see some.
func everywhere(ctx context.Context) error {
	if !mustCaller(ctx).everything() {
		return huma.Error403Forbidden("rules answer for all accounts; the token's user sees some of them only")
	}
	return nil
}

func (a *API) listRules(ctx context.Context, _ *struct{}) (*rulesOutput, error) {
	all, err := a.d.Rules.List(ctx)
	if err != nil {
		return nil, a.ruleFailed(ctx, err)
	}
	out := &rulesOutput{}
	out.Body.Rules = make([]StoredRule, 0, len(all))
	for i := range all {
		out.Body.Rules = append(out.Body.Rules, shownRule(&all[i]))
	}
	return out, nil
}

func (a *API) getRule(ctx context.Context, in *ruleIDInput) (*ruleOutput, error) {
	r, err := a.d.Rules.Get(ctx, in.ID)
	if err != nil {
		return nil, a.ruleFailed(ctx, err)
	}
	return &ruleOutput{Body: shownRule(&r)}, nil
}

func (a *API) createRule(ctx context.Context, in *newRuleInput) (*ruleOutput, error) {
	if err := everywhere(ctx); err != nil {
		return nil, err
	}
	id, key, who := "", keyOf(ctx), mustCaller(ctx)
	if key != "" {
		id = uuid.UUID(dm.RowID("rule", who.user.ID, key)).String()
	}
	given, err := in.Body.stored(id, 0)
	if err != nil {
		return nil, err
	}
	r, err := a.d.Rules.Create(ctx, given, who.actor.Name)
	if key != "" && errors.Is(err, repository.ErrConflict) {
		r, err = a.d.Rules.Get(ctx, id) // the same request made it before it died
	}
	if err == nil {
		err = a.d.Store.AuditOnce(ctx, who.actor, change("rule.created", "rule:"+r.ID))
	}
	if err != nil {
		return nil, a.ruleFailed(ctx, err)
	}
	return &ruleOutput{Body: shownRule(&r)}, nil
}

func (a *API) changeRule(ctx context.Context, in *changeRuleInput) (*ruleOutput, error) {
	if err := everywhere(ctx); err != nil {
		return nil, err
	}
	given, err := in.Body.stored(in.ID, in.Body.Version)
	if err != nil {
		return nil, err
	}
	r, err := a.d.Rules.Update(ctx, given, mustCaller(ctx).actor.Name)
	if err != nil {
		return nil, a.ruleFailed(ctx, err)
	}
	return &ruleOutput{Body: shownRule(&r)}, a.auditRule(ctx, "rule.updated", r.ID)
}

func (a *API) deleteRule(ctx context.Context, in *deleteRuleInput) (*struct{}, error) {
	if err := everywhere(ctx); err != nil {
		return nil, err
	}
	if err := a.d.Rules.Delete(ctx, in.ID, in.Version, mustCaller(ctx).actor.Name); err != nil {
		return nil, a.ruleFailed(ctx, err)
	}
	return nil, a.auditRule(ctx, "rule.deleted", in.ID)
}

func (a *API) auditRule(ctx context.Context, action, id string) error {
	if err := a.d.Store.Audit(ctx, mustCaller(ctx).actor, change(action, "rule:"+id)); err != nil {
		return a.failed(ctx, "rules", err)
	}
	return nil
}
