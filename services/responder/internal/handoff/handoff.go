// Package handoff tells a help desk of the conversations that the bot hands to people: one signed POST for each.
//
// What it tells of are the hold events on the bus, so that a killed process loses none: at least once, each with an id that is the
// same however often it comes. It delays no answer, which went out before. A desk that is away or refuses is asked again with growing
// pauses for a day; then the event is a dead letter.
package handoff

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-dm/parley/pkg/alert"
	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/repository"
	"github.com/parley-dm/parley/pkg/signed"
	"github.com/parley-dm/parley/pkg/telemetry"
	"github.com/parley-dm/parley/services/responder/internal/engine"
)

const (
	// Event is what the desk is told of, as outgoing webhooks name it.
	Event = "conversation.handed_off"

	version = 1
	// giveUp is how long one is tried, alertAfter when a person is told that it does not work.
	giveUp     = 24 * time.Hour
	alertAfter = 5 * time.Minute
	// parting is what a stop leaves to a post that has begun.
	parting = 3 * time.Second
	// looking bounds what is read for one; slack is how far Meta's clock may be ahead of the bus's.
	looking = 5 * time.Second
	slack   = time.Minute
	// maxMade bounds the bodies that are kept while their desk is away; the others are made again each time.
	maxMade = 256
	// AtOnce is how many are told at once.
	AtOnce = 8
)

// Heard is what customers said lately.
type Heard interface {
	Heard(ctx context.Context, c dm.Conversation, since time.Time) ([]dm.Event, error)
}

// Deps is what a Desk works with.
type Deps struct {
	Heard Heard
	// History gives what was said in a conversation before an event, the oldest first.
	History func(ctx context.Context, e *dm.Event) ([]engine.Said, error)
	// Alerts may be nil.
	Alerts    *alert.Alerts
	Telemetry *telemetry.Telemetry
	// Now is the clock; time.Now if nil.
	Now func() time.Time
}

// Options says where the desk is.
type Options struct {
	URL, Secret config.Secret
	Reach       signed.Reach
	Timeout     time.Duration
}

// Desk is a help desk. It is safe for concurrent use.
type Desk struct {
	d      Deps
	o      Options
	client *http.Client
	posts  *prometheus.CounterVec

	mu   sync.Mutex
	made map[string][]byte
}

// New makes a Desk. Close closes its connections.
func New(d Deps, o Options) (*Desk, error) {
	if d.Now == nil {
		d.Now = time.Now
	}
	desk := &Desk{
		d: d, o: o, client: o.Reach.Client(o.Timeout, AtOnce), made: map[string][]byte{},
		posts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "parley_handoff_posts_total", Help: "Posts to HANDOFF_URL, by result: told, failed (it is tried again), given_up.",
		}, []string{"result"}),
	}
	return desk, d.Telemetry.Metrics.Register(desk.posts)
}

// Close closes idle connections.
func (d *Desk) Close() { d.client.CloseIdleConnections() }

// Tell tells the desk of an event, if it is a hand-off. Its error says when to come back, or that it is given up.
func (d *Desk) Tell(ctx context.Context, e *dm.Event) error {
	h := e.Hold
	if h == nil || h.Holder != dm.HolderPerson || h.Reason != dm.HoldHandOff {
		return nil
	}
	body, err := d.body(ctx, e)
	if err != nil {
		return bus.Permanent(fmt.Errorf("tell the help desk of %s: %w", e.ID, err))
	}
	status, err := d.post(ctx, e.ID, body)
	if err != nil {
		return d.failed(ctx, e, status, err)
	}
	d.forget(e.ID)
	d.posts.WithLabelValues("told").Inc()
	d.d.Telemetry.Log.InfoContext(ctx, "handoff.told", telemetry.KeyConversation, e.Conversation.String(), telemetry.KeyAccount, e.Account, telemetry.KeyEvent, e.ID)
	return nil
}

// post makes one attempt. A stop leaves it a moment to end.
func (d *Desk) post(ctx context.Context, id string, body []byte) (status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, d.o.Timeout)
	defer cancel()
	done := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		select {
		case <-done:
			return
		case <-bus.Draining(ctx):
		}
		timer := time.NewTimer(parting)
		defer timer.Stop()
		select {
		case <-done:
		case <-timer.C:
			cancel()
		}
	})
	defer watching.Wait()
	defer close(done)
	return signed.Post(ctx, d.client, signed.Message{URL: d.o.URL.Reveal(), Secret: d.o.Secret.Reveal(), Event: Event, ID: id, Body: body})
}

// failed says when to try again, and tells a person when it does not work for long.
func (d *Desk) failed(ctx context.Context, e *dm.Event, status int, err error) error {
	now := d.d.Now()
	age := now.Sub(e.Hold.At)
	err = fmt.Errorf("post to HANDOFF_URL: %w", err)
	if ctx.Err() == nil && age > alertAfter {
		d.d.Alerts.Raise(alert.Alert{
			Kind: alert.HandOffNotTold, Account: e.Account,
			Summary:  fmt.Sprintf("the help desk does not take conversations that were handed off (status %d)", status),
			WhatToDo: "see why HANDOFF_URL does not answer 2xx; the conversations wait in the console, and with parley holds list",
		})
	}
	if age > giveUp {
		d.forget(e.ID)
		d.posts.WithLabelValues("given_up").Inc()
		return bus.Permanent(err)
	}
	d.posts.WithLabelValues("failed").Inc()
	var refused *signed.RefusedError
	if errors.As(err, &refused) && refused.RetryAfter > 0 {
		return bus.DeferUntil(err, now.Add(refused.RetryAfter))
	}
	return bus.WhileAway(err)
}

// Told is what the desk is told, as JSON. Its members are those of outgoing webhooks, and what a person needs to go on.
type Told struct {
	Version int `json:"version"`
	// ID is the same however often it is told.
	ID    string    `json:"id"`
	Event string    `json:"event"`
	Time  time.Time `json:"time"`
	// Conversation is what was handed off; its ID is that of the console's API.
	Conversation Conversation `json:"conversation"`
	Holder       Holder       `json:"holder"`
	// Message is the customer's message that led to it; absent where it was none, or cannot be found any more.
	Message *Message `json:"message,omitempty"`
	// History is what was said before, the oldest first.
	History []engine.Said `json:"history"`
}

// Conversation names a conversation.
type Conversation struct {
	ID       string     `json:"id"`
	Channel  dm.Channel `json:"channel"`
	Account  string     `json:"account"`
	Customer string     `json:"customer"`
}

// Holder is who has the conversation, and for how long.
type Holder struct {
	Who    dm.Holder     `json:"who"`
	Reason dm.HoldReason `json:"reason"`
	// By is "rule " and its name, engine, or fallback.
	By    string    `json:"by,omitempty"`
	Until time.Time `json:"until,omitzero"`
}

// Message is what the customer said.
type Message struct {
	MID  string    `json:"mid,omitempty"`
	Type string    `json:"type,omitempty"`
	Text string    `json:"text,omitempty"`
	At   time.Time `json:"at"`
}

// body is what is told of a hand-off. Without what was said it is still worth telling.
func (d *Desk) body(ctx context.Context, e *dm.Event) ([]byte, error) {
	d.mu.Lock()
	body, ok := d.made[e.ID]
	d.mu.Unlock()
	if ok {
		return body, nil
	}
	told := Told{
		Version: version, ID: e.ID, Event: Event, Time: e.Hold.At,
		Conversation: Conversation{ID: repository.ConversationID(e.Conversation), Channel: e.Channel, Account: e.Account, Customer: e.Customer},
		Holder:       Holder{Who: e.Hold.Holder, Reason: e.Hold.Reason, By: e.Hold.By, Until: e.Hold.Until},
		History:      []engine.Said{},
	}
	err := d.look(ctx, e, &told)
	if err != nil {
		d.d.Telemetry.Log.WarnContext(ctx, "handoff.without_history", telemetry.KeyEvent, e.ID, telemetry.KeyError, err)
	}
	body, encoding := json.Marshal(told)
	if encoding != nil {
		return nil, fmt.Errorf("encode: %w", encoding)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err == nil && len(d.made) < maxMade {
		d.made[e.ID] = body
	}
	return body, nil
}

func (d *Desk) forget(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.made, id)
}

// look finds the message that led to a hand-off and what was said before it.
func (d *Desk) look(ctx context.Context, e *dm.Event, told *Told) error {
	ctx, cancel := context.WithTimeout(ctx, looking)
	defer cancel()
	heard, err := d.d.Heard.Heard(ctx, e.Conversation, e.Hold.At.Add(-slack))
	before := e
	for i := range heard {
		if m := &heard[i]; m.ID == e.Hold.Cause {
			told.Message = &Message{MID: m.MID, Type: m.MessageType, Text: m.Text, At: m.Time}
			before = m
			break
		}
	}
	history, err2 := d.d.History(ctx, before)
	if history != nil {
		told.History = history
	}
	return errors.Join(err, err2)
}
