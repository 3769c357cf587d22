package seed

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/parley-dm/parley/pkg/dm"
)

// batch is the rows of a chunk of conversations.
type batch struct {
	conversations, messages, desk, events [][]any
}

// talk is one conversation while it is made.
type talk struct {
	dm.Conversation
	id       uuid.UUID
	r        *rand.Rand
	at       time.Time
	n        int
	in, out  *time.Time
	readAt   *time.Time
	lastText int
}

// add makes one conversation.
func (b *batch) add(p *plan, i int) {
	r := p.random(i)
	t := &talk{r: r, Conversation: dm.Conversation{Channel: dm.ChannelInstagram, Account: p.account(r), Customer: strconv.Itoa(7_000_000_000 + i)}}
	t.id = uuid.UUID(dm.RowID("conversation", string(t.Channel), t.Account, t.Customer))
	t.at = p.start(r, p.count(i))
	first := t.at
	read := t.at.Add(time.Duration(r.IntN(5)) * time.Hour)
	t.readAt = &read
	for left := p.count(i); left > 0; left-- {
		b.inbound(t)
		if how := r.IntN(20); left > 1 && how < 17 {
			b.outbound(t, how)
			left--
		} else if how == 19 {
			b.silent(t)
		}
		t.at = t.at.Add(time.Duration(1+r.IntN(90)) * time.Minute)
		if t.at.After(p.o.Until) {
			t.at = p.o.Until.Add(-time.Duration(r.IntN(3600)) * time.Second)
		}
	}
	last := *t.in
	if t.out != nil && t.out.After(last) {
		last = *t.out
	}
	var assignee *uuid.UUID
	var closed, seen *time.Time
	switch desk := r.IntN(10); {
	case desk < 6: // somebody has read it, and mostly closed it
		seen = &last
		if desk < 5 {
			closed = &last
		}
		if r.IntN(4) == 0 {
			assignee = &p.users[r.IntN(len(p.users))]
		}
		b.desk = append(b.desk, []any{t.id, assignee, closed, seen, last})
	case desk == 6: // read long ago
		seen = &first
		b.desk = append(b.desk, []any{t.id, assignee, closed, seen, first})
	}
	b.conversations = append(b.conversations, []any{
		t.id, string(t.Channel), t.Account, t.Customer, first, last, last, t.readAt, t.in, t.out, assignee, closed, seen,
	})
}

func (b *batch) inbound(t *talk) {
	t.n++
	mid := "seed_in_" + t.Customer + "_" + strconv.Itoa(t.n)
	text, kind := customerText(t.r), "text"
	t.lastText = t.r.IntN(len(answers))
	meta := map[string]any{
		"event_id": dm.EventID(t.Channel, t.Account, dm.KindMessage, mid), "kind": dm.KindMessage, "received_at": t.at.Add(400 * time.Millisecond), "source": dm.SourceWebhook,
	}
	var body any = text
	if t.r.IntN(12) == 0 {
		kind, body = "image", nil
		meta["attachments"] = []dm.Attachment{{Type: "image", URL: "https://lookaside.fbsbx.com/ig_messaging_cdn/?asset_id=" + t.Customer}}
	}
	at := t.at
	if t.in == nil || at.After(*t.in) {
		t.in = &at
	}
	b.messages = append(b.messages, []any{
		uuid.UUID(dm.RowID("message", t.Account, mid)), t.id, t.Account, mid, t.Customer, t.Account, body, kind, "inbound", at, "received",
		encode(meta), at, nil,
	})
}

// outbound answers the last message: mostly the bot does, at times a person, and at times it fails.
func (b *batch) outbound(t *talk, how int) {
	event := dm.EventID(t.Channel, t.Account, dm.KindMessage, "seed_in_"+t.Customer+"_"+strconv.Itoa(t.n))
	intent := dm.IntentID(event, 0)
	mid := "seed_out_" + t.Customer + "_" + strconv.Itoa(t.n)
	answer := &answers[t.lastText]
	at := t.at.Add(time.Duration(800+t.r.IntN(3000)) * time.Millisecond)
	decided := map[string]any{"id": intent, "part": 0, "of": 1, "event_id": event, "created_at": t.at.Add(500 * time.Millisecond)}
	text := answer.text
	switch {
	case how < 12:
		decided["origin"], decided["rule_id"], decided["rule_name"], decided["matched_on"] = dm.OriginRule, ruleID(t.lastText), answer.rule, answer.keyword
		decided["trace"] = dm.Trace{Rules: len(answers), Tried: []dm.TraceRule{{ID: ruleID(t.lastText), Name: answer.rule, Version: 1, Won: true, Keyword: answer.keyword, Words: answer.keyword}}, Language: "en", At: t.at, Micros: 40}
	case how < 14:
		decided["origin"] = dm.OriginFallback
		text = "Thanks for your message! Someone will get back to you soon."
	default:
		at = t.at.Add(time.Duration(3+t.r.IntN(170)) * time.Minute)
		decided["origin"], decided["created_at"] = dm.OriginOperator, at.Add(-time.Second)
		text = personText(t.r)
	}
	delivery := map[string]any{"id": dm.DeliveryID(intent, 0, dm.OutcomeSent), "intent_id": intent, "part": 0, "of": 1, "origin": decided["origin"], "outcome": dm.OutcomeSent, "at": at}
	attempt := dm.Attempt{At: at.Add(-300 * time.Millisecond), DurationMS: 300, Status: 200}
	status, sent := "read", &at
	var name any = mid
	switch n := t.r.IntN(100); {
	case n == 0:
		status, sent, name = "failed", nil, nil
		attempt.Status, attempt.Code, attempt.Subcode, attempt.Error = 400, 10, 2018278, "This message is sent outside of allowed window."
		delivery["outcome"], delivery["reason"] = dm.OutcomeFailed, attempt.Error
	case n == 1 && t.r.IntN(10) == 0:
		status, sent, name = "unknown", nil, nil
		delivery["outcome"], delivery["reason"] = dm.OutcomeUnknown, "the connection broke after the request was written"
	case at.After(*t.readAt):
		status = "sent"
	}
	delivery["attempts"] = []dm.Attempt{attempt}
	if sent != nil && (t.out == nil || at.After(*t.out)) {
		t.out = &at
	}
	if at.After(t.at) {
		t.at = at
	}
	b.messages = append(b.messages, []any{
		uuid.UUID(dm.RowID("outbound", intent, "0")), t.id, t.Account, name, t.Account, t.Customer, text, "text", "outbound", at, status,
		encode(map[string]any{"intent": decided, "delivery": delivery}), decided["created_at"], sent,
	})
}

// silent says why a message got no answer.
func (b *batch) silent(t *talk) {
	mid := "seed_in_" + t.Customer + "_" + strconv.Itoa(t.n)
	event := dm.EventID(t.Channel, t.Account, dm.KindMessage, mid)
	decision := dm.Decision{EventID: event, Kind: dm.KindMessage, Reason: "no_match", Trace: &dm.Trace{Rules: len(answers), Why: "no_match", At: t.at}}
	b.events = append(b.events, []any{
		dm.EventID(t.Channel, t.Account, dm.KindDecision, event), string(t.Channel), t.Account, t.Customer, string(dm.KindDecision), mid, t.at, t.at, encode(map[string]any{"decision": decision}),
	})
}

func encode(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // maps and structures of this package
	}
	return string(b)
}

func (b *batch) copy(ctx context.Context, conn *pgx.Conn) error {
	for _, t := range []struct {
		table   string
		columns []string
		rows    [][]any
	}{
		{"conversations", []string{"id", "channel", "page_id", "instagram_user_id", "created_at", "updated_at", "last_message_at", "read_at", "last_inbound_at", "last_outbound_at", "assignee", "closed_at", "seen_at"}, b.conversations},
		{"messages", []string{"id", "conversation_id", "account", "mid", "sender_id", "recipient_id", "message_text", "message_type", "direction", "timestamp", "status", "metadata", "created_at", "sent_at"}, b.messages},
		{"conversation_desk", []string{"conversation_id", "assignee", "closed_at", "read_at", "updated_at"}, b.desk},
		{"events", []string{"id", "channel", "account", "customer", "kind", "mid", "time", "received_at", "data"}, b.events},
	} {
		if _, err := conn.CopyFrom(ctx, pgx.Identifier{t.table}, t.columns, pgx.CopyFromRows(t.rows)); err != nil {
			return fmt.Errorf("copy %s: %w", t.table, err)
		}
	}
	return nil
}

// people makes who works with the conversations, and the rules that answered.
func people(ctx context.Context, conn *pgx.Conn, o *Options) error {
	var b pgx.Batch
	for i, name := range []string{"Anna Berg", "Ben Okafor", "Chiara Rossi", "Deniz Kaya", "Emil Novak"} {
		b.Queue(`INSERT INTO users (id, email, name, role) VALUES ($1, $2, $3, 'agent') ON CONFLICT DO NOTHING`, userID(i), fmt.Sprintf("person%d@example.com", i+1), name)
	}
	for i, a := range answers {
		b.Queue(`INSERT INTO response_rules (id, name, keywords, match_type, response_text, priority, created_at) VALUES ($1, $2, $3, 'word', $4, $5, $6) ON CONFLICT DO NOTHING`,
			ruleID(i), a.rule, []string{a.keyword}, a.text, 100-i, o.Until.Add(-o.Span))
	}
	if err := conn.SendBatch(ctx, &b).Close(); err != nil {
		return fmt.Errorf("add people and rules: %w", err)
	}
	return nil
}

func ruleID(i int) string { return uuid.UUID(dm.RowID("seed", "rule", strconv.Itoa(i))).String() }
