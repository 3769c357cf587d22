// Package play is Meta between the two sides: what a customer does becomes a webhook, what the account sends becomes an
// echo.
//
// It joins the memory (package world) to the delivery (package webhooks) and knows neither the Graph API's HTTP nor the
// phone's.
package play

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-dm/parley/services/simulator/internal/webhooks"
	"github.com/parley-dm/parley/services/simulator/internal/world"
)

// Faults says what to do to a webhook instead of delivering it properly.
type Faults interface {
	Webhook(account, customer string, echo bool) WebhookFault
}

// WebhookFault is what is done to one webhook.
type WebhookFault struct {
	// Withhold never sends it. Delay sends it later, out of its order. Copies sends it so many more times.
	Withhold bool
	Delay    time.Duration
	Copies   int
}

// Options say how echoes look.
type Options struct {
	// AppID is the app that echoes name, a number.
	AppID string
	// EchoDelay is how long after the answer an echo is sent. NoEcho sends none.
	EchoDelay time.Duration
	NoEcho    bool
}

// Deps is what playing needs.
type Deps struct {
	World    *world.World
	Webhooks *webhooks.Sender
	Faults   Faults
	Metrics  prometheus.Registerer
}

// Player plays Meta.
type Player struct {
	deps     Deps
	opts     Options
	attempts *prometheus.CounterVec

	// order makes recording and sending one step, so that a customer's messages leave in the order they are recorded.
	order sync.Mutex
}

// New makes a player.
func New(d Deps, o Options) (*Player, error) {
	p := &Player{deps: d, opts: o, attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "parley_simulator_webhook_attempts_total", Help: "Webhooks posted, by whether they were accepted.",
	}, []string{"outcome"})}
	if err := d.Metrics.Register(p.attempts); err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	return p, nil
}

// Say records what a customer does and sends the webhook about it.
func (p *Player) Say(a Action) (world.Message, error) {
	if err := a.check(); err != nil {
		return world.Message{}, err
	}
	p.order.Lock()
	defer p.order.Unlock()
	if a.changes() {
		return p.change(a)
	}
	m, err := p.deps.World.Say(world.Saying{
		Key: a.Key, Text: a.text(), Expect: a.Expect, Kind: a.Kind, Age: a.Age, ReplyTo: a.ReplyTo, Show: a.Show,
	})
	if err != nil {
		return m, err
	}
	if err := p.send(m, a.item(m)); err != nil {
		p.deps.World.Delivered(m.MID, world.StateRefused, 0, p.deps.World.Now())
		return m, err
	}
	return m, nil
}

// send sends the webhook about a message that is recorded and reports how it goes.
func (p *Player) send(m world.Message, item webhooks.Item) error {
	return p.dispatch(m.Key, false, item, webhooks.Job{
		Lane:  m.Account + ":" + m.Customer,
		Began: func(at time.Time) { p.deps.World.Sending(m.MID, at) },
		Told: func(o webhooks.Outcome) {
			p.count(o)
			p.deps.World.Delivered(m.MID, stateOf(o), o.Status, o.Began)
		},
	})
}

// dispatch encodes an item and hands it to the sender, as often and as late as the faults want it.
func (p *Player) dispatch(k world.Key, echo bool, item webhooks.Item, job webhooks.Job) error {
	body, err := webhooks.Body(k.Account, p.deps.World.Now(), item)
	if err != nil {
		return err
	}
	job.Body = body
	fault := p.deps.Faults.Webhook(k.Account, k.Customer, echo)
	if fault.Withhold {
		return nil
	}
	if fault.Delay > 0 {
		job.Lane += fmt.Sprintf(":delayed:%d", p.deps.World.Now().UnixNano())
		job.NotBefore = time.Now().Add(fault.Delay)
	}
	if err := p.deps.Webhooks.Send(job); err != nil {
		return err
	}
	for range fault.Copies {
		again := webhooks.Job{Lane: job.Lane, Body: body, NotBefore: job.NotBefore, Told: p.count}
		if err := p.deps.Webhooks.Send(again); err != nil {
			return err
		}
	}
	return nil
}

// Echo sends the webhook by which Meta tells an account of what was sent in its name.
func (p *Player) Echo(m world.Message) error {
	if p.opts.NoEcho {
		return nil
	}
	item := webhooks.Item{
		Sender: webhooks.Party{ID: m.Account}, Recipient: webhooks.Party{ID: m.Customer}, Timestamp: m.At.UnixMilli(),
		Message: &webhooks.Message{MID: m.MID, Text: m.Text, Attachments: attachmentsOf(m), IsEcho: true, AppID: json.Number(p.opts.AppID)},
	}
	return p.dispatch(m.Key, true, item, webhooks.Job{
		Lane: "echo:" + m.Account + ":" + m.Customer, NotBefore: time.Now().Add(p.opts.EchoDelay), Told: p.count,
	})
}

// attachmentsOf is what an echo carries of a rich reply.
func attachmentsOf(m world.Message) json.RawMessage {
	if len(m.Content) == 0 {
		return nil
	}
	var content struct {
		Attachment  json.RawMessage `json:"attachment"`
		Attachments json.RawMessage `json:"attachments"`
	}
	if err := json.Unmarshal(m.Content, &content); err != nil {
		return nil
	}
	if content.Attachment != nil {
		return json.RawMessage("[" + string(content.Attachment) + "]")
	}
	return content.Attachments
}

// Raw posts a body exactly as given, once, and says how it was answered.
func (p *Player) Raw(secret string, body []byte) (status int, err error) {
	if secret == "" {
		secret = p.deps.Webhooks.Secret()
	}
	began := time.Now()
	status, err = p.deps.Webhooks.Now(secret, body)
	p.count(webhooks.Outcome{Status: status, Err: err, Began: began, Took: time.Since(began), Accepted: status == http.StatusOK})
	return status, err
}

func (p *Player) count(o webhooks.Outcome) {
	switch {
	case o.Accepted:
		p.attempts.WithLabelValues("accepted").Inc()
	case o.Status == 0:
		p.attempts.WithLabelValues("unreachable").Inc()
	default:
		p.attempts.WithLabelValues("refused").Inc()
	}
}

func stateOf(o webhooks.Outcome) world.State {
	switch {
	case o.Accepted:
		return world.StateAccepted
	case o.Final:
		return world.StateRefused
	default:
		return world.StateRetrying
	}
}
