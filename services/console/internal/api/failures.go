package api

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parley-dm/parley/pkg/pipeline/deadletter"
	"github.com/parley-dm/parley/services/console/internal/operate"
	"github.com/parley-dm/parley/services/console/internal/store"
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
	if !a.d.Pipeline.Joined() {
		return nil, a.failed(ctx, "failures", operate.ErrAway)
	}
	out := &failuresOutput{}
	out.Body.Failures = []Failure{}
	who := mustCaller(ctx)
	err := deadletter.List(ctx, a.d.Pipeline.Conn(), deadletter.Filter{Stage: in.Stage, Account: in.Account}, func(l deadletter.Letter) (bool, error) {
		if l.Number <= in.After || !who.everything() && !slices.Contains(who.user.Accounts, l.Account) {
			return true, nil
		}
		if len(out.Body.Failures) == in.Limit {
			out.Body.Next = out.Body.Failures[in.Limit-1].Number
			return false, nil
		}
		out.Body.Failures = append(out.Body.Failures, Failure{
			Number: l.Number, Stage: l.Stage, Account: l.Account, Class: l.Class, Reason: l.Reason, Attempts: l.Attempts, At: l.At, ID: l.ID,
		})
		return true, nil
	})
	if err != nil {
		return nil, a.failed(ctx, "failures", err)
	}
	return out, nil
}

func (a *API) replayFailures(ctx context.Context, in *replayInput) (*replayOutput, error) {
	if !a.d.Pipeline.Joined() {
		return nil, a.failed(ctx, "failures", operate.ErrAway)
	}
	who := mustCaller(ctx)
	conn := a.d.Pipeline.Conn()
	var allowed []uint64
	for _, n := range in.Body.Numbers {
		letter, err := deadletter.Get(ctx, conn, n)
		switch {
		case errors.Is(err, deadletter.ErrNone):
		case err != nil:
			return nil, a.failed(ctx, "failures", err)
		case who.everything() || slices.Contains(who.user.Accounts, letter.Account):
			allowed = append(allowed, n)
		}
	}
	out := &replayOutput{}
	if len(allowed) == 0 {
		return out, nil
	}
	var err error
	out.Body.Replayed, err = deadletter.Replay(ctx, conn, deadletter.Filter{Numbers: allowed}, who.actor.Name)
	if err != nil {
		return nil, a.failed(ctx, "failures", err)
	}
	for _, n := range allowed {
		err := a.d.Store.Audit(ctx, who.actor, store.Change{Action: "failure.replayed", Target: "failure:" + strconv.FormatUint(n, 10)})
		if err != nil {
			return nil, a.failed(ctx, "failures", err)
		}
	}
	return out, nil
}
