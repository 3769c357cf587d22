package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-dm/parley/services/simulator"
)

const sigcont = syscall.SIGCONT

// pairs is how many keywords take turns, each with an answer of its own, so that order can be judged.
const pairs = 10

// leaseTTL is the bus's default: how long a stalled owner has to be stopped for its partitions to be taken.
const leaseTTL = 6 * time.Second

// busOptions says how much and how long.
type busOptions struct {
	customers, messages int
	rate                float64
	seed                uint64
}

// runBus is the mode of issue B: responders come, go, die, stall and lose their NATS server, under load.
func runBus(ctx context.Context, w *world, o busOptions) (good bool, err error) {
	ingressAddr, err := freeAddr(ctx)
	if err != nil {
		return false, err
	}
	host, port, _ := cutAddr(ingressAddr)
	graphURL, err := w.startSimulator(ctx, "http://"+ingressAddr+"/webhooks/instagram")
	if err != nil {
		return false, err
	}
	if err := w.rules(ctx); err != nil {
		return false, err
	}
	responders, err := w.startServices(ctx, graphURL, "HOST="+host, "PORT="+port)
	if err != nil {
		return false, err
	}
	w.say("everything is ready: 3 responders, 1 of each other service; seed %d", o.seed)

	chaos, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- w.schedule(chaos, responders, rand.New(rand.NewPCG(o.seed, 1))) }() //nolint:gosec // a schedule, not a secret
	result, err := w.simulator.Load(ctx, simulator.LoadOptions{
		Customers: o.customers, Messages: o.messages, Rate: o.rate, Pairs: numbered(), Settle: simulator.LoadDuration(time.Minute),
		Linger: simulator.LoadDuration(5 * time.Second),
	}, w.progress())
	if err != nil {
		return false, err
	}
	stop()
	if err := <-done; err != nil {
		return false, err
	}
	return w.verdict(ctx, o, result)
}

// startServices starts one of each service and three responders, and waits until all can do their work.
func (w *world) startServices(ctx context.Context, graphURL string, ingressEnv ...string) ([]*process, error) {
	common := []string{"GRAPH_API_URL=" + graphURL, "SEND_RATE_PER_ACCOUNT=0", "MAX_REPLIES_PER_MINUTE=1000"}
	var responders []*process
	for _, s := range []struct{ binary, name string }{
		{"ingress", "ingress"}, {"sender", "sender"}, {"archiver", "archiver"}, {"responder", "responder-1"}, {"responder", "responder-2"}, {"responder", "responder-3"},
	} {
		p, err := w.service(ctx, s.binary, s.name, append(common, ingressEnv...)...)
		if err != nil {
			return nil, err
		}
		if s.binary == "responder" {
			responders = append(responders, p)
		}
	}
	for _, p := range w.processes {
		if p.admin == "" {
			continue
		}
		if err := p.ready(ctx); err != nil {
			return nil, err
		}
	}
	return responders, nil
}

// schedule is what happens to the responders and to NATS, with pauses that the seed decides.
func (w *world) schedule(ctx context.Context, responders []*process, dice *rand.Rand) error {
	pause := func(least, most time.Duration) bool {
		return wait(ctx, least+time.Duration(dice.Int64N(int64(most-least))))
	}
	nats := w.processes[0]
	steps := []func() error{
		func() error { w.say("kill -9 %s", responders[0].name); responders[0].kill(); return nil },
		func() error {
			took, err := responders[1].terminate(25 * time.Second)
			w.say("SIGTERM %s: stopped in %.2fs", responders[1].name, took.Seconds())
			return err
		},
		func() error {
			w.say("start %s and %s", responders[0].name, responders[1].name)
			return startAll(responders[:2])
		},
		func() error {
			w.say("SIGSTOP %s for longer than its leases last", responders[2].name)
			return responders[2].signal(syscall.SIGSTOP)
		},
		func() error {
			if !pause(leaseTTL+time.Second, leaseTTL+3*time.Second) {
				w.say("the load ended during the stop")
			}
			w.say("SIGCONT %s: its partitions have other owners now", responders[2].name)
			return responders[2].signal(sigcont)
		},
		func() error {
			w.say("kill -9 nats-server, and start it again")
			nats.kill()
			return nats.start()
		},
	}
	for _, step := range steps {
		if !pause(1500*time.Millisecond, 3*time.Second) {
			w.say("the load ended before the schedule: make it longer to see all of it")
		}
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// wait pauses; false when ctx ended meanwhile.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

func startAll(processes []*process) error {
	for _, p := range processes {
		if err := p.start(); err != nil {
			return err
		}
	}
	return nil
}

// rules makes the rules that answer each keyword distinctly.
func (w *world) rules(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, w.postgres.URL())
	if err != nil {
		return fmt.Errorf("make rules: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	for i, p := range numbered() {
		if _, err := conn.Exec(ctx, `INSERT INTO response_rules (name, keywords, match_type, response_text) VALUES ($1, ARRAY[$2], 'exact', $3)`,
			fmt.Sprintf("chaos %d", i), p.Say, p.Expect); err != nil {
			return fmt.Errorf("make rules: %w", err)
		}
	}
	return nil
}

func numbered() []simulator.LoadPair {
	out := make([]simulator.LoadPair, pairs)
	for i := range out {
		out[i] = simulator.LoadPair{Say: fmt.Sprintf("load %d", i), Expect: fmt.Sprintf("answer %d", i)}
	}
	return out
}

// progress says every few seconds how far the load has come, and when nothing came for more than a second.
func (w *world) progress() func(simulator.LoadProgress) {
	const every = 5 * time.Second
	said := time.Now()
	return func(p simulator.LoadProgress) {
		if time.Since(said) < every {
			return
		}
		said = time.Now()
		w.say("sent %d of %d, answered %d", p.Sent, p.Total, p.Replies)
	}
}

// verdict prints what came of it, once the rows have caught up.
func (w *world) verdict(ctx context.Context, o busOptions, r simulator.LoadResult) (bool, error) {
	want := o.customers * o.messages
	var inbound, sent int
	var err error
	waiting, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for ; waiting.Err() == nil; wait(waiting, 100*time.Millisecond) {
		if inbound, sent, err = w.rows(ctx); err != nil {
			return false, err
		}
		if inbound == want && sent >= want {
			break
		}
	}
	good := r.Good && r.Sent == want && inbound == want && sent == want
	w.say("messages in %d, answered once and in order %d, missing %d, doubled %d, out of order %d, wrong %d; rows in %d, out %d",
		r.Sent, r.Answered, r.Missing, r.Doubled, r.Swapped, r.Wrong, inbound, sent)
	if good {
		w.say("GOOD: every message was answered exactly once, in order, and every row is there")
	} else {
		w.say("NOT GOOD")
	}
	return good, nil
}
