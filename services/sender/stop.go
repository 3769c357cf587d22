package sender

import (
	"context"
	"log/slog"
	"time"

	"github.com/parley-dm/parley/pkg/alert"
	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/pipeline/holds"
	"github.com/parley-dm/parley/pkg/telemetry"
)

// tooManyQuiet is how long the bot says nothing to a person whom Meta takes no more messages to. Meta does not say how long
// it will; an operator may end it.
const tooManyQuiet = 24 * time.Hour

// changer changes who has a conversation.
type changer interface {
	Change(ctx context.Context, c dm.Conversation, h dm.Hold) (holds.Change, error)
}

// stopper takes conversations from the bot that Meta refuses more than one message for.
type stopper struct {
	holds  changer
	quiet  time.Duration
	alerts *alert.Alerts // may be nil
	log    *slog.Logger
}

// stop does it, if a delivery says so, and returns the event that tells.
func (s *stopper) stop(ctx context.Context, d dm.Delivery) (*dm.Event, error) {
	h := dm.Hold{At: d.SentAt, Cause: d.ID}
	switch d.Stop {
	case dm.StopNotOurs:
		h.Holder, h.Reason, h.Until = dm.HolderApp, dm.HoldOtherApp, d.SentAt.Add(s.quiet)
	case dm.StopTooMany:
		h.Holder, h.Reason, h.Until = dm.HolderPerson, dm.HoldTooMany, d.SentAt.Add(tooManyQuiet)
	default: // a person who cannot be reached holds nothing
		return nil, nil
	}
	change, err := s.holds.Change(ctx, d.Conversation, h)
	if err != nil {
		return nil, bus.WhileAway(err)
	}
	if change.Changed {
		s.alert(ctx, d, h)
	}
	return change.Event, nil
}

// alert tells an operator; that another app has a thread may be as it should be.
func (s *stopper) alert(ctx context.Context, d dm.Delivery, h dm.Hold) {
	level := slog.LevelWarn
	if h.Reason == dm.HoldTooMany {
		level = slog.LevelError
	}
	s.log.LogAttrs(ctx, level, "conversation.stopped", slog.String(telemetry.KeyAccount, d.Account),
		slog.String(telemetry.KeyConversation, d.Conversation.String()), slog.String(telemetry.KeyIntent, d.IntentID),
		slog.String("reason", string(h.Reason)), slog.Time("until", h.Until))
	if h.Reason == dm.HoldTooMany {
		s.alerts.Raise(alert.Alert{
			Kind: alert.ConversationHeld, Account: d.Account, Conversation: d.Conversation.String(), Summary: "Meta takes no more messages to this person for now",
			WhatToDo: "look at the conversation; `parley holds release` gives it back to the bot before the day is over",
		})
	}
}
