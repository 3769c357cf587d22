package ops

import (
	"context"
	"errors"

	"github.com/parley-dm/parley/pkg/accounts"
	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/pipeline/accountdesk"
)

// What is refused about an account. ErrNotPaused and ErrUnknownToken are those of package accountdesk.
var (
	ErrNotPaused    = accountdesk.ErrNotPaused
	ErrUnknownToken = accountdesk.ErrUnknownToken
	ErrNoKey        = errors.New("TOKEN_KEY is not set for the console")
)

func (o *Ops) accounts(ctx context.Context, f func(context.Context, *accountdesk.Desk) error) error {
	return o.on(ctx, lookTimeout, func(ctx context.Context, conn *bus.Conn) error {
		desk, err := accountdesk.Open(ctx, conn, o.now)
		if err != nil {
			return err
		}
		return f(ctx, desk)
	})
}

// States is how accounts, and apps whose accounts are all paused, stand as far as senders have told.
func (o *Ops) States(ctx context.Context) (states []accounts.State, err error) {
	err = o.accounts(ctx, func(ctx context.Context, d *accountdesk.Desk) (err error) {
		states, err = d.States(ctx)
		return err
	})
	return states, err
}

// Resume ends the pause of an account or an app.
func (o *Ops) Resume(ctx context.Context, key, by string) error {
	return o.accounts(ctx, func(ctx context.Context, d *accountdesk.Desk) error { return d.Resume(ctx, key, by) })
}

// TakesTokens says whether tokens can be encrypted for the senders.
func (o *Ops) TakesTokens() bool { return o.vault != nil }

// SetToken gives an account a new token.
func (o *Ops) SetToken(ctx context.Context, channel dm.Channel, account string, token config.Secret) error {
	if o.vault == nil {
		return ErrNoKey
	}
	return o.accounts(ctx, func(ctx context.Context, d *accountdesk.Desk) error {
		return d.SetToken(ctx, o.vault, channel, account, token)
	})
}
