package play

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/parley-dm/parley/services/simulator/internal/shape"
	"github.com/parley-dm/parley/services/simulator/internal/webhooks"
	"github.com/parley-dm/parley/services/simulator/internal/world"
)

// maxText bounds what a customer may type: Instagram allows 1000 characters, and tests like to go beyond.
const maxText = 100_000

// Action is one thing that a customer does, or that happens beside the customer's messages: a kind of package shape.
type Action struct {
	world.Key
	// Kind is text if empty.
	Kind world.Kind
	Text string
	// URL is the medium's; one that leads nowhere if empty. Payload is that of a tap.
	URL, Payload string
	// ReplyTo is the message that a text quotes; Target the one that is reacted to, unsent, edited or seen.
	ReplyTo, Target string
	// Expect is the reply that must come; Quiet says that none shall. Age moves the action into the past; Show opens the
	// customer's phone.
	Expect string
	Quiet  bool
	Age    time.Duration
	Show   bool
}

// ErrAction is an action that makes no sense.
var ErrAction = errors.New("this cannot be done")

func (a *Action) check() (shape.Shape, error) {
	if err := CheckCustomer(a.Customer); err != nil {
		return shape.Shape{}, err
	}
	if len(a.Text) > maxText {
		return shape.Shape{}, fmt.Errorf("%w: text: got %d bytes, expected at most %d", ErrAction, len(a.Text), maxText)
	}
	if a.Kind == "" {
		a.Kind = world.KindText
	}
	s, ok := shape.Find(string(a.Kind))
	if !ok {
		return s, fmt.Errorf("%w: kind %q is not known", ErrAction, a.Kind)
	}
	for name, given := range map[string]string{"text": a.Text, "payload": a.Payload, "target": a.Target} {
		if given == "" && slices.Contains(s.Needs, name) {
			return s, fmt.Errorf("%w: %s: %s needs it", ErrAction, name, a.Kind)
		}
	}
	return s, nil
}

// CheckCustomer says whether an id is one that Meta could have given.
func CheckCustomer(id string) error {
	if id == "" || len(id) > 20 || id[0] == '0' || strings.Trim(id, "0123456789") != "" {
		return fmt.Errorf("%w: customer: got %q, expected up to 20 digits", ErrAction, id)
	}
	return nil
}

// input is what the action tells of itself.
func (p *Player) input(a Action, at time.Time) shape.Input {
	return shape.Input{
		Account: a.Account, Customer: a.Customer, Target: a.Target, ReplyTo: a.ReplyTo, Text: a.Text, URL: a.URL, Payload: a.Payload,
		AppID: p.opts.AppID, At: at, Link: p.opts.Link,
	}
}

// Say does what the action says, records it and sends the webhook about it.
func (p *Player) Say(a Action) (world.Message, error) {
	s, err := a.check()
	if err != nil {
		return world.Message{}, err
	}
	p.order.Lock()
	defer p.order.Unlock()
	switch s.Role {
	case shape.Change:
		return p.change(a, s)
	case shape.Event:
		return p.happen(a, s)
	case shape.Account:
		return p.write(a, s)
	default:
		return p.speak(a, s)
	}
}

// speak is a message of the customer's.
func (p *Player) speak(a Action, s shape.Shape) (world.Message, error) {
	in := p.input(a, p.deps.World.Now().Add(-a.Age))
	text := a.Text
	if !slices.Contains(s.Needs, "text") && !slices.Contains(s.Takes, "text") {
		text, in.Text = "", ""
	}
	saying := world.Saying{
		Key: a.Key, Text: text, Expect: a.Expect, Kind: a.Kind, Age: a.Age, ReplyTo: a.ReplyTo, Quiet: a.Quiet || s.Quiet, Show: a.Show,
	}
	if a.Kind != world.KindText {
		in.ID = number()
		saying.Content = s.Content(in)
	}
	m, err := p.deps.World.Say(saying)
	if err != nil {
		return m, err
	}
	in.MID, in.At, in.Away = m.MID, m.At, p.deps.World.Standing(a.Key).Away
	part, err := s.Part(in)
	if err == nil {
		err = p.send(m, s.Field, part)
	}
	if err != nil {
		p.deps.World.Delivered(m.MID, world.StateRefused, 0, time.Now())
	}
	return m, err
}

// change does an action to a message that is there.
func (p *Player) change(a Action, s shape.Shape) (world.Message, error) {
	var change world.Change
	switch a.Kind {
	case "react":
		emoji := a.Text
		if emoji == "" {
			emoji = "❤️"
		}
		change.Reaction = &emoji
	case "unreact":
		change.Reaction = new(string)
	case "unsend":
		change.Delete = true
	case "edit":
		change.Text = &a.Text
	default: // seen leaves no trace on the message
	}
	target, _, ok := p.deps.World.Message(a.Account, a.Target)
	if ok && (a.Kind == "unsend" || a.Kind == "edit") && !target.FromCustomer {
		return target, fmt.Errorf("%w: a customer can only %s messages of their own", ErrAction, a.Kind)
	}
	m, err := p.deps.World.Change(a.Key, a.Target, change)
	if err != nil {
		return m, err
	}
	in := p.input(a, p.deps.World.Now().Add(-a.Age))
	in.Payload = strconv.Itoa(m.Edits)
	part, err := s.Part(in)
	if err != nil {
		return m, err
	}
	return m, p.dispatch(a.Key, customers, s.Field, part, webhooks.Job{Lane: a.Account + ":" + a.Customer, Told: p.count})
}

// happen is something beside the messages.
func (p *Player) happen(a Action, s shape.Shape) (world.Message, error) {
	in := p.input(a, p.deps.World.Now().Add(-a.Age))
	in.ID = number()
	profile, _ := p.deps.World.Profile(a.Key)
	in.Username = profile.Username
	if in.Target == "" {
		in.Target = "aWdfZAG1faXRlbToxOklHTWVzc2FnZAUlE" + in.ID
	}
	var away *bool
	switch a.Kind {
	case "take_thread_control", "pass_thread_control":
		taken := a.Kind == "take_thread_control"
		away = &taken
	case "comment", "comment_flat", "comment_reply", "live_comment":
		p.deps.World.Comment(world.Comment{ID: in.ID, Key: a.Key, At: in.At, Live: a.Kind == "live_comment"})
	case "comment_own":
		account, err := p.deps.World.Account(a.Account)
		if err != nil {
			return world.Message{}, err
		}
		in.Username = account.Username
	default: // the others change nothing
	}
	m, err := p.deps.World.Note(a.Key, s.Note(in), a.Show, away)
	if err != nil {
		return m, err
	}
	if s.Field == "comments" || s.Field == "live_comments" {
		m.Content = json.RawMessage(`{"comment_id":"` + in.ID + `"}`)
	}
	part, err := s.Part(in)
	if err != nil {
		return m, err
	}
	return m, p.dispatch(a.Key, customers, s.Field, part, webhooks.Job{Lane: a.Account + ":" + a.Customer, Told: p.count})
}

// write is a message of the account's that did not come over the API.
func (p *Player) write(a Action, s shape.Shape) (world.Message, error) {
	m, err := p.deps.World.Receive(world.Reply{Key: a.Key, Kind: world.KindText, Text: a.Text, App: true})
	if err != nil {
		return m, err
	}
	in := p.input(a, m.At)
	in.MID = m.MID
	part, err := s.Part(in)
	if err != nil {
		return m, err
	}
	return m, p.dispatch(a.Key, customers, s.Field, part, webhooks.Job{Lane: a.Account + ":" + a.Customer, Told: p.count})
}

// number is a fresh id of 17 digits, as those of comments and posts are.
func number() string { return "179" + strconv.FormatInt(rand.Int64N(9e13)+1e13, 10) } //nolint:gosec // an id, no secret
