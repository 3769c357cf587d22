package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

type statsInput struct {
	From    time.Time `query:"from" doc:"from when on; a day ago without it"`
	Until   time.Time `query:"until" doc:"until when; now without it"`
	Account string    `query:"account" doc:"only of this account" maxLength:"100"`
}

type statsOutput struct {
	Body struct {
		From          time.Time `json:"from"`
		Until         time.Time `json:"until"`
		Conversations int64     `json:"conversations" doc:"in which something was said"`
		Received      int64     `json:"received"`
		Sent          int64     `json:"sent"`
		Failed        int64     `json:"failed"`
		Unknown       int64     `json:"unknown" doc:"of which nobody knows whether they were sent"`
		Waiting       int64     `json:"waiting"`
	}
}

// maxStats bounds the time that is counted at once.
const maxStats = 31 * 24 * time.Hour

func (a *API) stats(h huma.API) {
	huma.Register(h, huma.Operation{
		OperationID: "get-stats", Method: http.MethodGet, Path: "/api/v1/stats", Summary: "Count the messages of a time, of 31 days at most",
		Tags: []string{"Stats"}, Security: needs("stats:read"),
	}, func(ctx context.Context, in *statsInput) (*statsOutput, error) {
		until := in.Until
		if until.IsZero() {
			until = a.d.Now()
		}
		from := in.From
		if from.IsZero() {
			from = until.Add(-24 * time.Hour)
		}
		if !from.Before(until) || until.Sub(from) > maxStats {
			return nil, huma.Error422UnprocessableEntity("from, until: expected a time of 31 days at most, from before until")
		}
		st, err := a.d.Store.Counted(ctx, mustCaller(ctx).scope(), in.Account, from, until)
		if err != nil {
			return nil, a.failed(ctx, "stats", err)
		}
		out := &statsOutput{}
		b := &out.Body
		b.From, b.Until, b.Conversations = from, until, st.Conversations
		b.Received, b.Sent, b.Failed, b.Unknown, b.Waiting = st.Received, st.Sent, st.Failed, st.Unknown, st.Waiting
		return out, nil
	})
}
