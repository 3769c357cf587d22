package page

import (
	"context"

	"github.com/go-chi/chi/v5"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/pipeline/deadletter"
	"github.com/parley-dm/parley/services/console/internal/ops"
	"github.com/parley-dm/parley/services/console/internal/store"
	"github.com/parley-dm/parley/services/console/internal/view"
)

// DeadLetters are the messages that stages gave up on.
type DeadLetters interface {
	DeadLetters(ctx context.Context, scope store.Scope, f ops.LetterFilter) ([]deadletter.Letter, error)
	ReplayDead(ctx context.Context, scope store.Scope, numbers []uint64, by string) ([]uint64, error)
}

// Resender tells the bus what was decided about failed messages.
type Resender interface {
	SendAgain(ctx context.Context, intents []dm.ReplyIntent) error
	WasSent(ctx context.Context, m *store.FailedMessage, by string) error
}

func (p *Pages) failuresSection() section {
	return section{
		nav: view.NavItem{Path: "/failures", Title: "Failures", Icon: "failures", Key: "f"}, least: store.Viewer,
		routes: func(r chi.Router) {
			p.get(r, "/failures", store.Viewer, p.failures)
			p.get(r, "/failures/group", store.Viewer, p.failuresGroup)
			p.get(r, "/failures/preview", store.Agent, p.failuresPreview)
			p.post(r, "/failures/replay", store.Agent, p.failuresReplay)
			p.post(r, "/failures/decide", store.Agent, p.failuresDecide)
		},
	}
}
