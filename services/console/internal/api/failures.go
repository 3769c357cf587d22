package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parley-dm/parley/services/console/internal/ops"
)

// Failure is a message that a stage gave up on.
type Failure struct {
	Number   uint64    `json:"number" doc:"names it"`
	Stage    string    `json:"stage" example:"sender"`
	Account  string    `json:"account"`
	Class    string    `json:"class"`
	Reason   string    `json:"reason"`
	Attempts int       `json:"attempts"`
	At       time.Time `json:"at"`
	ID       string    `json:"id" doc:"the message's own id"`
}

type failuresInput struct {
	After   uint64 `query:"after" doc:"only those with a higher number: next of the page before"`
	Limit   int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
	Account string `query:"account" maxLength:"100"`
	Stage   string `query:"stage" maxLength:"100"`
}

type failuresOutput struct {
	Body struct {
		Failures []Failure `json:"failures"`
		Next     uint64    `json:"next,omitempty" doc:"after of the next page; absent on the last"`
	}
}

type replayInput struct {
	Key  string `header:"Idempotency-Key" maxLength:"200"`
	Body struct {
		Numbers []uint64 `json:"numbers" minItems:"1" maxItems:"200"`
	}
}

type replayOutput struct {
	Body struct {
		Replayed int `json:"replayed" doc:"how many went back to the stage that gave up on them; others are gone, or not yours"`
	}
}

func (a *API) failures(h huma.API) {
	tags := []string{"Failures"}
	huma.Register(h, huma.Operation{
		OperationID: "list-failures", Method: http.MethodGet, Path: "/api/v1/failures", Summary: "List what stages gave up on, oldest first",
		Tags: tags, Security: needs("failures:read"),
	}, a.listFailures)
	huma.Register(h, huma.Operation{
		OperationID: "replay-failures", Method: http.MethodPost, Path: "/api/v1/failures/replay", Summary: "Hand failures back to the stages that gave up on them",
		Tags: tags, Security: needs("failures:write"),
	}, a.replayFailures)
}

func (a *API) listFailures(ctx context.Context, in *failuresInput) (*failuresOutput, error) {
	found, err := a.d.Ops.DeadLetters(ctx, mustCaller(ctx).scope(), ops.LetterFilter{Stage: in.Stage, Account: in.Account, After: in.After, Most: in.Limit + 1})
	if err != nil {
		return nil, a.failed(ctx, "failures", err)
	}
	out := &failuresOutput{}
	if len(found) > in.Limit {
		found = found[:in.Limit]
		out.Body.Next = found[in.Limit-1].Number
	}
	out.Body.Failures = make([]Failure, 0, len(found))
	for i := range found {
		l := &found[i]
		out.Body.Failures = append(out.Body.Failures, Failure{
			Number: l.Number, Stage: l.Stage, Account: l.Account, Class: l.Class, Reason: l.Reason, Attempts: l.Attempts, At: l.At, ID: l.ID,
		})
	}
	return out, nil
}

func (a *API) replayFailures(ctx context.Context, in *replayInput) (*replayOutput, error) {
	who := mustCaller(ctx)
	replayed, err := a.d.Ops.ReplayDead(ctx, who.scope(), in.Body.Numbers, who.actor.Name)
	if err != nil {
		return nil, a.failed(ctx, "failures", err)
	}
	for _, n := range replayed {
		err := a.d.Store.Audit(ctx, who.actor, change("failure.replayed", "failure:"+strconv.FormatUint(n, 10)))
		if err != nil {
			return nil, a.failed(ctx, "failures", err)
		}
	}
	out := &replayOutput{}
	out.Body.Replayed = len(replayed)
	return out, nil
}
