package backfill

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/parley-dm/parley/pkg/accounts"
	"github.com/parley-dm/parley/pkg/alert"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/meta/graph"
	"github.com/parley-dm/parley/pkg/telemetry"
)

// finding is what was missed.
type finding struct{ said, echoes []dm.Event }

// add makes an event of a message; false where it cannot be told who said it to whom.
func (f *finding) add(a accounts.Account, m graph.Message, ref graph.MessageRef, now time.Time) bool {
	e := dm.Event{
		Conversation: dm.Conversation{Channel: a.Channel, Account: a.ID}, MID: ref.ID, Text: m.Text, MessageType: "text", KnownAccount: true,
		Time: ref.Created, ReceivedAt: now.UTC(), Source: dm.SourceBackfill,
	}
	e.Attachments, e.StoryID = m.Attachments, m.StoryID
	switch {
	case m.StoryID != "":
		e.MessageType = "story_reply"
	case len(m.Attachments) > 0:
		e.MessageType = m.Attachments[0].Type
	case m.Text == "":
		e.MessageType = "unsupported" // something was said, but not what: it is answered like other such messages
	}
	switch {
	case m.From == a.ID && len(m.To) == 1 && m.To[0] != a.ID:
		e.Kind, e.Customer = dm.KindEcho, m.To[0]
	case m.From != "" && m.From != a.ID && slices.Contains(m.To, a.ID):
		e.Kind, e.Customer = dm.KindMessage, m.From
	default:
		return false
	}
	e.ID = dm.EventID(e.Channel, e.Account, e.Kind, e.MID)
	if e.Kind == dm.KindEcho {
		f.echoes = append(f.echoes, e)
	} else {
		f.said = append(f.said, e)
	}
	return true
}

// tell publishes what was missed, each kind the oldest first, and has a person look. What was erased was not missed.
func (k *Keeper) tell(ctx context.Context, a accounts.Account, f *finding, lost int) error {
	k.found.WithLabelValues("lost").Add(float64(lost))
	byTime := func(a, b dm.Event) int { return a.Time.Compare(b.Time) }
	slices.SortStableFunc(f.said, byTime)
	slices.SortStableFunc(f.echoes, byTime)
	missed, err := k.d.Streams.WithoutErased(ctx, slices.Concat(f.echoes, f.said))
	if err == nil && len(missed) > 0 {
		err = k.d.Publish(ctx, missed)
	}
	if err != nil {
		return fmt.Errorf("tell of missed messages: %w", err)
	}
	if len(missed)+lost == 0 {
		return nil
	}
	echoes := 0
	for i := range missed {
		k.found.WithLabelValues(string(missed[i].Kind)).Inc()
		if missed[i].Kind == dm.KindEcho {
			echoes++
		}
	}
	messages := len(missed) - echoes
	k.d.Log.WarnContext(ctx, "backfill.missed", telemetry.KeyAccount, a.ID, "messages", messages, "echoes", echoes, "lost", lost)
	k.d.Alerts.Raise(alert.Alert{
		Kind: alert.WebhooksMissed, Account: a.ID,
		Summary:  fmt.Sprintf("webhooks did not come for %d messages of customers and %d of the account; %d more cannot be read", messages, echoes, lost),
		WhatToDo: "nothing for those that were found: the young ones are answered, all are kept; if it goes on, see whether the account is still subscribed (`parley doctor`) and whether webhooks reach this installation",
	})
	return nil
}
