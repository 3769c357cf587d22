package measure

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-dm/parley/bench/internal/machine"
	"github.com/parley-dm/parley/bench/internal/report"
	"github.com/parley-dm/parley/bench/internal/site"
	"github.com/parley-dm/parley/bench/internal/traffic"
)

// The rule that answers, and what it answers to. Others are there to be looked at in vain.
const (
	question = "Hello, what is the PRICE of the blue one, please?"
	rules    = `INSERT INTO response_rules (name, keywords, match_type, response_text, priority)
		SELECT 'other ' || n, ARRAY['keyword' || n], 'contains', 'answer ' || n, n FROM generate_series(1, 50) AS n
		UNION ALL SELECT 'price', ARRAY['price', 'cost'], 'contains', 'The blue one is 29 €. Shall we put one aside for you?', 0`
)

// bound is what is demanded of a figure.
type bound struct{ floor, goal float64 }

// shape is how the services run, and what is demanded of them.
type shape struct {
	name        string
	saturation  bound   // replies a second, with a Send API that answers at once
	slow        float64 // milliseconds for half of the replies at 200 a second
	start       func(ctx context.Context) (*site.Installation, error)
	watchMemory bool
}

// Separate measures replies with each service as a process of its own.
func (b *Bench) Separate(ctx context.Context) error {
	return b.replies(ctx, shape{name: "separate processes", start: func(ctx context.Context) (*site.Installation, error) {
		return b.site.Separate(ctx, b.stub.URL(), "archiver", "sender", "responder", "ingress")
	}})
}

// One measures replies, and memory, of `parley serve`.
func (b *Bench) One(ctx context.Context) error {
	return b.replies(ctx, shape{
		name: "one process", saturation: bound{2500, 4100}, slow: 20, watchMemory: true,
		start: func(ctx context.Context) (*site.Installation, error) {
			return b.site.Single(ctx, b.stub.URL(), b.o.ProfileDir != "")
		},
	})
}

func (b *Bench) replies(ctx context.Context, s shape) (err error) {
	b.say("replies: %s", s.name)
	in, err := s.start(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Stop()) }()
	if err := b.makeRules(ctx, in); err != nil {
		return err
	}
	if s.watchMemory {
		if err := b.idleMemory(ctx, in); err != nil {
			return err
		}
	}
	delays := []time.Duration{0, 80 * time.Millisecond}
	if b.o.Brief {
		delays, s.watchMemory = delays[:1], false
	}
	for _, delay := range delays {
		if err := b.repliesWith(ctx, in, s, delay); err != nil {
			return err
		}
	}
	return nil
}

// makeRules waits until the rules are in use: until the first message is answered by one.
func (b *Bench) makeRules(ctx context.Context, in *site.Installation) error {
	conn, err := pgx.Connect(ctx, in.Database)
	if err != nil {
		return fmt.Errorf("make rules: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, rules); err != nil {
		return fmt.Errorf("make rules: %w", err)
	}
	// A responder uses a changed rule within a second.
	return pause(ctx, 1500*time.Millisecond)
}

func (b *Bench) repliesWith(ctx context.Context, in *site.Installation, s shape, delay time.Duration) error {
	name := fmt.Sprintf("%s, Send API %d ms", s.name, delay.Milliseconds())
	if _, err := b.answered(ctx, in, load{rate: 500, lasts: b.o.Each / 4, delay: delay}); err != nil { // warms up
		return err
	}
	if s.watchMemory && delay == 0 {
		if err := b.steadyMemory(ctx, in, name); err != nil {
			return err
		}
	}
	rates := []float64{200, 1000}
	if b.o.Brief {
		rates = nil
	}
	for _, rate := range rates {
		profiled := b.profile(ctx, in, fmt.Sprintf("rate-%.0f-%dms", rate, delay.Milliseconds()))
		got, use, tries, err := quiet(ctx, b, func() (answers, error) {
			return b.answered(ctx, in, load{rate: rate, lasts: b.o.Each, delay: delay})
		})
		if err := errors.Join(err, profiled()); err != nil {
			return err
		}
		p50, p99 := traffic.Percentile(got.Latencies, 50), traffic.Percentile(got.Latencies, 99)
		row := report.Row{
			Measure: fmt.Sprintf("p50 at %.0f/s, %s", rate, name), Got: milliseconds(p50), Detail: "p99 " + milliseconds(p99) + "; " + got.cost.each(got.Answered), Broken: got.broken(),
			Value: float64(p50.Microseconds()) / 1000, Use: use, Tries: tries,
		}
		if rate == 200 && delay == 0 {
			row.Floor, row.Less, row.Unit = s.slow, true, " ms"
		}
		b.add(row)
	}
	profiled := b.profile(ctx, in, fmt.Sprintf("replies-%dms", delay.Milliseconds()))
	got, use, tries, err := quiet(ctx, b, func() (answers, error) {
		return b.answered(ctx, in, load{lasts: b.o.Each, delay: delay})
	})
	if err := errors.Join(err, profiled()); err != nil {
		return err
	}
	row := report.Row{
		Measure: "replies/s, " + name, Got: fmt.Sprintf("%.0f/s", got.perSecond()), Value: got.perSecond(), Broken: got.broken(), Use: use, Tries: tries,
		Detail: fmt.Sprintf("%s; %d replies, their rows complete %.1f s later", got.cost.each(got.Answered), got.Answered, got.archived.Seconds()),
	}
	if delay == 0 {
		row.Floor, row.Goal, row.Unit = s.saturation.floor, s.saturation.goal, "/s"
	}
	b.add(row)
	return nil
}

// load is one load of messages that are answered.
type load struct {
	rate  float64 // a second; 0 for as many as are taken
	lasts time.Duration
	delay time.Duration // of the Send API
}

// answers is what came of it.
type answers struct {
	traffic.Answers
	refused int
	cost    cost
	// archived is how long after the last reply the last row was there.
	archived time.Duration
}

func (a answers) perSecond() float64 { return float64(a.Answered) / a.Span.Seconds() }

func (a answers) broken() string {
	if a.refused == 0 && a.Doubled == 0 && a.Answered == a.Posted {
		return ""
	}
	return fmt.Sprintf("of %d messages %d were refused, %d not answered in time, %d answered twice", a.Posted, a.refused, a.Posted-a.Answered, a.Doubled)
}

// answered posts messages and waits for their replies, and then for their rows.
func (b *Bench) answered(ctx context.Context, in *site.Installation, l load) (answers, error) {
	begun := b.spent(ctx, in)
	before, err := rows(ctx, in)
	if err != nil {
		return answers{}, err
	}
	got, err := b.replied(ctx, in, l)
	if err != nil {
		return answers{}, err
	}
	got.archived, err = archived(ctx, in, before+2*got.Posted, 10*time.Second+4*l.lasts)
	got.cost = b.spent(ctx, in).since(begun)
	return got, err
}

// replied posts messages and waits for their replies only.
func (b *Bench) replied(ctx context.Context, in *site.Installation, l load) (answers, error) {
	author := b.author(question)
	track := traffic.NewTrack(author, mostWebhooks)
	b.stub.Play(track, l.delay)
	posted, err := traffic.Load{
		Addr: in.Webhooks, Author: author, Connections: b.o.Connections, Rate: l.rate, For: l.lasts, Most: mostWebhooks, Track: track,
	}.Post(ctx)
	if err != nil {
		return answers{}, err
	}
	// What was taken faster than it could be answered is answered afterwards.
	deadline := time.Now().Add(10*time.Second + 4*l.lasts)
	for track.Arrived() < posted.Count && time.Now().Before(deadline) {
		if err := pause(ctx, 5*time.Millisecond); err != nil {
			return answers{}, err
		}
	}
	return answers{Answers: track.Answers(posted.Count), refused: posted.Refused}, nil
}

// archived waits until there are so many rows, and gives up after a while; it tells how long it took.
func archived(ctx context.Context, in *site.Installation, wanted int, patience time.Duration) (time.Duration, error) {
	begin := time.Now()
	for {
		now, err := rows(ctx, in)
		if err != nil {
			return 0, err
		}
		if now >= wanted || time.Since(begin) > patience {
			return time.Since(begin), nil
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return 0, err
		}
	}
}

// rows counts the messages that are archived for good: those of customers, and ours with their outcome.
func rows(ctx context.Context, in *site.Installation) (int, error) {
	conn, err := pgx.Connect(ctx, in.Database)
	if err != nil {
		return 0, fmt.Errorf("count rows: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	var n int
	if err := conn.QueryRow(ctx, "SELECT count(*) FROM messages WHERE status IN ('received', 'sent')").Scan(&n); err != nil {
		return 0, fmt.Errorf("count rows: %w", err)
	}
	return n, nil
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// use of the machine is not measured for memory: it does not depend on it.
var anyUse = machine.Use{Known: true}
