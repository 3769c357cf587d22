package measure

import (
	"context"
	"errors"
	"fmt"

	"github.com/parley-dm/parley/bench/internal/machine"
	"github.com/parley-dm/parley/bench/internal/report"
	"github.com/parley-dm/parley/bench/internal/site"
	"github.com/parley-dm/parley/bench/internal/traffic"
)

// mostWebhooks bounds the webhooks of one load, and with them what the streams keep.
const mostWebhooks = 300_000

// Webhooks compares ingress, whose answer means that every event is acknowledged by JetStream, with a handler that checks
// the signature and does nothing else, under the same load.
func (b *Bench) Webhooks(ctx context.Context) error {
	b.say("webhooks: a bare handler, then ingress")
	bare, bareUse, bareTries, err := b.flood(ctx, b.site.Bare)
	if err != nil {
		return err
	}
	b.add(report.Row{
		Measure: "webhooks/s, bare handler", Got: fmt.Sprintf("%.0f/s", bare.PerSecond()), Detail: bare.detail(), Use: bareUse, Tries: bareTries,
	})
	ingress, use, tries, err := b.flood(ctx, func(ctx context.Context) (*site.Installation, error) {
		return b.site.Separate(ctx, b.stub.URL(), "ingress")
	})
	if err != nil {
		return err
	}
	share := 100 * ingress.PerSecond() / bare.PerSecond()
	b.add(
		report.Row{Measure: "webhooks/s, ingress", Got: fmt.Sprintf("%.0f/s", ingress.PerSecond()), Detail: ingress.detail(), Broken: ingress.broken(), Use: use, Tries: tries},
		report.Row{
			Measure: "webhooks, ingress ÷ bare", Got: fmt.Sprintf("%.0f %%", share), Value: share, Floor: 35, Goal: 45, Unit: " %",
			Detail: fmt.Sprintf("p99 %.1f times", float64(traffic.Percentile(ingress.Latencies, 99))/float64(traffic.Percentile(bare.Latencies, 99))),
			Use:    worse(use, bareUse), Tries: max(tries, bareTries),
		})
	return nil
}

func worse(a, b machine.Use) machine.Use {
	if a.Foreign > b.Foreign {
		return a
	}
	return b
}

// flood posts as many webhooks as are taken to what start starts.
func (b *Bench) flood(ctx context.Context, start func(context.Context) (*site.Installation, error)) (accepted, machine.Use, int, error) {
	in, err := start(ctx)
	if err != nil {
		return accepted{}, machine.Use{}, 0, err
	}
	load := traffic.Load{Addr: in.Webhooks, Connections: b.o.Connections, For: b.o.Each / 4, Most: mostWebhooks}
	load.Author = b.author("What is the price of the blue one?")
	_, err = load.Post(ctx) // warms up
	var got accepted
	var use machine.Use
	var tries int
	if err == nil {
		load.For = b.o.Each
		got, use, tries, err = quiet(ctx, b, func() (accepted, error) {
			load.Author = b.author("What is the price of the blue one?")
			before := b.spent(ctx, in)
			posted, err := load.Post(ctx)
			return accepted{posted, b.spent(ctx, in).since(before)}, err
		})
	}
	return got, use, tries, errors.Join(err, in.Stop())
}

// accepted is what came of webhooks, and what they cost.
type accepted struct {
	traffic.Posted
	cost cost
}

func (p accepted) detail() string {
	return fmt.Sprintf("p50 %s, p99 %s; %s", milliseconds(traffic.Percentile(p.Latencies, 50)), milliseconds(traffic.Percentile(p.Latencies, 99)), p.cost.each(p.Count))
}

func (p accepted) broken() string {
	if p.Refused == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d refused", p.Refused, p.Count)
}
