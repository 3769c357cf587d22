package measure

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/parley-dm/parley/bench/internal/site"
	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/pipeline"
	"github.com/parley-dm/parley/pkg/telemetry"
)

// mix says what waits on the streams.
type mix struct{ events, replies bool }

const (
	// conversations take turns, as customers of a busy shop do.
	conversations = 2000
	// mostPreloaded bounds the messages of each kind.
	mostPreloaded = 100_000
	// preloadFlight is how many are published at once, by each of preloaders.
	preloadFlight, preloaders = 500, 2
)

// line is a message of a customer.
type line struct{ mid, customer, text, raw string }

// written is a customer's n-th message, as long as real ones are.
func written(n int) line {
	m := line{
		mid:      fmt.Sprintf("aWdfZAG1faXRlbToxOklHTWVzc2FnZAUlEOjE3ODQxNDAwMDAwMDAwMDAxOjM0MDI4MjM2Njg0MTcxMDMwMTI0NDI1OTkwNDc5NDI2ODQ0ODgzNzoz%012d", n),
		customer: strconv.Itoa(7_000_000_000 + n%conversations), text: "What is the price of the blue one?",
	}
	m.raw = `{"sender":{"id":"` + m.customer + `"},"recipient":{"id":"` + site.Account + `"},"timestamp":1700000000000,"message":{"mid":"` + m.mid + `","text":"` + m.text + `"}}`
	return m
}

// preload puts messages on the streams for so long, and gives their number.
func preload(ctx context.Context, natsURL string, m mix, lasts time.Duration) (int, error) {
	tel := telemetry.Discard()
	conn, err := bus.Connect(ctx, bus.ConnConfig{URL: natsURL, Name: "bench", Logger: tel.Log})
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	nats := config.NATS{URL: config.Secret(natsURL), Replicas: 1}
	p, err := pipeline.Open(ctx, pipeline.Options{Service: "bench", NATS: nats, Host: &pipeline.Host{Telemetry: tel, Conn: conn}})
	if err != nil {
		return 0, err
	}
	until := time.Now().Add(lasts)
	counts, errs := make([]int, preloaders), make([]error, preloaders)
	var wg sync.WaitGroup
	for i := range preloaders {
		wg.Go(func() {
			for n := i * preloadFlight; n < mostPreloaded && time.Now().Before(until) && errs[i] == nil; n += preloaders * preloadFlight {
				out := flight(p, m, n)
				errs[i] = p.Publish(ctx, out...)
				counts[i] += len(out)
			}
		})
	}
	wg.Wait()
	var sum int
	for _, n := range counts {
		sum += n
	}
	return sum, errors.Join(errors.Join(errs...), p.Close())
}

// flight is what happens to preloadFlight messages from the first on.
func flight(p *pipeline.Pipeline, m mix, first int) []pipeline.Outgoing {
	var out []pipeline.Outgoing
	for n := first; n < first+preloadFlight; n++ {
		w, now := written(n), time.Now()
		c := dm.Conversation{Channel: dm.ChannelInstagram, Account: site.Account, Customer: w.customer}
		e := dm.Event{
			ID: dm.EventID(c.Channel, c.Account, dm.KindMessage, w.mid), Conversation: c, Kind: dm.KindMessage, MID: w.mid, Text: w.text, MessageType: "text",
			KnownAccount: true, Time: now, ReceivedAt: now, Source: dm.SourceWebhook, Raw: []byte(w.raw),
		}
		if m.events {
			out = append(out, p.Event(e, "bench"))
		}
		if !m.replies {
			continue
		}
		part := dm.Part{Kind: dm.PartText, Text: "The blue one is 29 €. Shall we put one aside for you?"}
		i := dm.ReplyIntent{
			ID: dm.IntentID(e.ID, 0), EventID: e.ID, Conversation: c, Origin: dm.OriginRule, RuleID: "1", RuleName: "price", MatchedOn: "price", Parts: []dm.Part{part},
			EventTime: now, ReceivedAt: now, CreatedAt: now, Expires: now.Add(24 * time.Hour),
		}
		d := dm.Delivery{
			ID: dm.DeliveryID(i.ID, 0, dm.OutcomeSent), IntentID: i.ID, Of: 1, Conversation: c, Outcome: dm.OutcomeSent, MID: w.mid + "r", Origin: i.Origin, Message: part,
			Attempts: []dm.Attempt{{At: now, DurationMS: 80, Status: 200}}, SentAt: now, ReceivedAt: now,
		}
		out = append(out, p.Intent(i, e.ID, e.ID), p.Delivery(d, e.ID, i.ID))
	}
	return out
}
