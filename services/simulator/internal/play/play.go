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
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-dm/parley/services/simulator/internal/clock"
	"github.com/parley-dm/parley/services/simulator/internal/subscription"
	"github.com/parley-dm/parley/services/simulator/internal/webhooks"
	"github.com/parley-dm/parley/services/simulator/internal/world"
)

// The sides that webhooks tell of.
const (
	customers = "webhooks"
	echoes    = "echoes"
)

// Faults says what to do to a webhook instead of delivering it properly. about is webhooks or echoes.
type Faults interface {
	Webhook(account, customer, about string) WebhookFault
}

// WebhookFault is what is done to one webhook.
type WebhookFault struct {
	// Withhold never sends it. Delay sends it later, out of its order. Copies sends it so many more times.
	Withhold bool
	Delay    time.Duration
	Copies   int
	// Swap waits so long for the customer's next one, which then goes first.
	Swap time.Duration
	// Batch collects so many items into one webhook, for at most BatchWait.
	Batch     int
	BatchWait time.Duration
}

// Options say how echoes look.
type Options struct {
	// AppID is the app that echoes name, a number.
	AppID string
	// EchoDelay is how long after the answer an echo is sent. NoEcho sends none.
	EchoDelay time.Duration
	NoEcho    bool
	// Link makes a link to a file of the simulator's own; empty while it is reached by nobody.
	Link func(kind, id string) string
}

// Deps is what playing needs.
type Deps struct {
	World         *world.World
	Webhooks      *webhooks.Sender
	Subscriptions *subscription.Book
	Clock         *clock.Clock
	Faults        Faults
	Metrics       prometheus.Registerer
}

// Player plays Meta.
type Player struct {
	deps     Deps
	opts     Options
	attempts *prometheus.CounterVec
	batch    batch
	delayed  atomic.Int64

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

// Close gives away what is collected for a batch.
func (p *Player) Close() { p.batch.close() }

// send sends the webhook about a message that is recorded and reports how it goes.
func (p *Player) send(m world.Message, field string, part webhooks.Part) error {
	return p.dispatch(m.Key, customers, field, part, webhooks.Job{
		Lane:  m.Account + ":" + m.Customer,
		Began: func(at time.Time) { p.deps.World.Sending(m.MID, at) },
		Told: func(o webhooks.Outcome) {
			p.count(o)
			p.deps.World.Delivered(m.MID, stateOf(o), o.Status, o.Began)
		},
		Mark: func() { p.deps.World.Unordered(m.MID) },
	})
}

// dispatch hands an item to the sender, as often and as late as the faults want it.
func (p *Player) dispatch(k world.Key, about, field string, part webhooks.Part, job webhooks.Job) error {
	fault := p.deps.Faults.Webhook(k.Account, k.Customer, about)
	if fault.Withhold || !p.deps.Subscriptions.Wants(part.Account, field) {
		if job.Told != nil {
			job.Told(webhooks.Outcome{Dropped: true, Final: true, Began: time.Now()})
		}
		return nil
	}
	job.Gone = func() bool { return !p.deps.Subscriptions.Wants(part.Account, field) }
	told := job.Told
	job.Told = func(o webhooks.Outcome) {
		if !o.Dropped {
			p.deps.Subscriptions.Answered(part.Account, o.Accepted)
		}
		told(o)
	}
	if fault.Batch > 1 {
		return p.batch.add(p, part, job, fault)
	}
	job.Body = webhooks.Body(p.deps.World.Now(), part)
	return p.deliver(job, fault)
}

func (p *Player) deliver(job webhooks.Job, fault WebhookFault) error {
	switch {
	case fault.Delay > 0:
		job.Lane += fmt.Sprintf(":delayed:%d", p.delayed.Add(1))
		job.NotBefore = p.deps.Clock.Now().Add(fault.Delay)
	case fault.Swap > 0:
		job.Overtaken, job.NotBefore = true, p.deps.Clock.Now().Add(fault.Swap)
	}
	if job.Mark != nil && (fault.Delay > 0 || fault.Swap > 0) {
		job.Mark()
	}
	if err := p.deps.Webhooks.Send(job); err != nil {
		return err
	}
	for range fault.Copies {
		again := webhooks.Job{Lane: job.Lane, Body: job.Body, NotBefore: job.NotBefore, Gone: job.Gone, Told: p.count}
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
	item, err := webhooks.Encode(webhooks.Item{
		Sender: webhooks.Party{ID: m.Account}, Recipient: webhooks.Party{ID: m.Customer}, Timestamp: m.At.UnixMilli(),
		Message: &webhooks.Message{MID: m.MID, Text: m.Text, Attachments: attachmentsOf(m), IsEcho: true, AppID: json.Number(p.opts.AppID)},
	})
	if err != nil {
		return err
	}
	part := webhooks.Part{Account: m.Account, Place: webhooks.Messaging, Item: item}
	return p.dispatch(m.Key, echoes, "messages", part, webhooks.Job{
		Lane: "echo:" + m.Account + ":" + m.Customer, NotBefore: p.deps.Clock.Now().Add(p.opts.EchoDelay), Told: p.count,
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
	case o.Dropped:
		p.attempts.WithLabelValues("dropped").Inc()
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
	case o.Dropped:
		return world.StateWithheld
	case o.Accepted:
		return world.StateAccepted
	case o.Final:
		return world.StateRefused
	default:
		return world.StateRetrying
	}
}
