// Package ops is what the pages for whoever operates Parley ask of the bus: how services and streams stand, how accounts do,
// and what is to be done about messages that failed.
//
// Who may do it is for the pages to check, and the audit log is theirs to write. Nothing here waits for a bus that is away:
// it says [ErrAway], and pages say so.
package ops

import (
	"context"
	"errors"
	"time"

	"github.com/parley-dm/parley/pkg/accounts"
	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/pipeline"
	"github.com/parley-dm/parley/pkg/pipeline/overview"
	"github.com/parley-dm/parley/pkg/pipeline/roster"
)

// ErrAway is returned while the bus is not reached.
var ErrAway = errors.New("the bus is away")

// lookTimeout bounds one look at the bus, changeTimeout one change: a group of many messages takes longer.
const (
	lookTimeout   = 5 * time.Second
	changeTimeout = 25 * time.Second
)

// Ops is safe for concurrent use.
type Ops struct {
	pipeline *pipeline.Pipeline
	vault    *accounts.Vault
	now      func() time.Time
}

// New makes one. vault encrypts new tokens; nil without a key.
func New(p *pipeline.Pipeline, vault *accounts.Vault, now func() time.Time) *Ops {
	return &Ops{pipeline: p, vault: vault, now: now}
}

// on does something with the bus within a time. A bus that goes away meanwhile is away, whatever the error says.
func (o *Ops) on(ctx context.Context, within time.Duration, f func(context.Context, *bus.Conn) error) error {
	if !o.pipeline.Joined() {
		return ErrAway
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	err := f(ctx, o.pipeline.Conn())
	if errors.Is(err, bus.ErrUnavailable) || err != nil && !o.pipeline.Conn().Connected() {
		return errors.Join(ErrAway, err)
	}
	return err
}

// Overview is how full streams are, what waits, and who owns which partition.
func (o *Ops) Overview(ctx context.Context) (look overview.Overview, err error) {
	err = o.on(ctx, lookTimeout, func(ctx context.Context, conn *bus.Conn) (err error) {
		look, err = overview.Read(ctx, conn)
		return err
	})
	return look, err
}

// Services are the services that run, as they report of themselves.
func (o *Ops) Services(ctx context.Context) (reports []roster.Report, err error) {
	err = o.on(ctx, lookTimeout, func(ctx context.Context, conn *bus.Conn) (err error) {
		reports, err = roster.List(ctx, conn)
		return err
	})
	return reports, err
}

// Partitions is how many partitions there are; 0 until the bus has told.
func (o *Ops) Partitions() int { return o.pipeline.Partitions() }
