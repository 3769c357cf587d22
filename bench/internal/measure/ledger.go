package measure

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dm/parley/bench/internal/report"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/topology"
)

const (
	// ledgerKeys are how many messages are put into a ledger to see what it takes, in flights of so many.
	ledgerKeys, ledgerFlight = 200_000, 2000
	natsStarts               = 10 * time.Second
	// cached is longer than a server keeps what was written last, and the subjects in it, beside its index.
	cached = 150 * time.Second
)

// ledger says how much of NATS's memory the sender's ledger takes for a message. It keeps one key for each for as long as its TTL says,
// and a server keeps an index of all keys: that grows for as long, and is no leak.
func (b *Bench) ledger(ctx context.Context) (bytes float64, err error) {
	b.say("ledger: %d messages in a server of their own", ledgerKeys)
	dir, err := os.MkdirTemp("", "parley-bench-ledger-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	srv, err := server.NewServer(&server.Options{DontListen: true, JetStream: true, StoreDir: dir, DisableJetStreamBanner: true, NoSigs: true, NoLog: true})
	if err != nil {
		return 0, err
	}
	srv.Start()
	defer func() {
		srv.Shutdown()
		srv.WaitForShutdown()
	}()
	if !srv.ReadyForConnections(natsStarts) {
		return 0, fmt.Errorf("the server is not ready within %s", natsStarts)
	}
	conn, err := nats.Connect("", nats.InProcessServer(srv))
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	js, err := jetstream.New(conn, jetstream.WithPublishAsyncMaxPending(ledgerFlight))
	if err != nil {
		return 0, err
	}
	if _, err := topology.Ensure(ctx, js, topology.Options{}); err != nil {
		return 0, err
	}
	before := live()
	if err := settleAll(ctx, js); err != nil {
		return 0, fmt.Errorf("fill a ledger: %w", err)
	}
	if err := pause(ctx, cached); err != nil {
		return 0, err
	}
	bytes = (live() - before) / ledgerKeys
	b.add(report.Row{
		Measure: "memory of the ledger", Got: fmt.Sprintf("%.0f bytes a message", bytes), Use: anyUse, Tries: 1,
		Detail: fmt.Sprintf("of NATS, for the %s that it keeps one; %d were written", topology.Ledger.TTL, ledgerKeys),
	})
	return bytes, nil
}

// settleAll writes what the sender does: each message is claimed, and gets its outcome.
func settleAll(ctx context.Context, js jetstream.JetStream) error {
	const claimed, sent = `{"state":"claimed","at":"2026-01-01T00:00:00.000000000Z","claim":"ABCDEFGHIJ-1abc"}`,
		`{"state":"sent","at":"2026-01-01T00:00:00.100000000Z","claim":"ABCDEFGHIJ-1abc","mid":"aWdfZAG1faXRlbToxOklHTWVzc2FnZAUlEOjE3ODQxNDAwMDAwMDAwMDAxOjM0MDI4MjM2Njg0"}`
	var last []jetstream.PubAckFuture
	for n := range ledgerKeys {
		key := topology.LedgerKey(dm.IntentID(fmt.Sprint(n), 0), 0)
		for _, value := range []string{claimed, sent} {
			ack, err := js.PublishAsync("$KV."+topology.Ledger.Name+"."+key, []byte(value))
			if err != nil {
				return err
			}
			last = append(last, ack)
		}
		if len(last) < ledgerFlight && n < ledgerKeys-1 {
			continue
		}
		for _, ack := range last {
			select {
			case <-ack.Ok():
			case err := <-ack.Err():
				return err
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		last = last[:0]
	}
	return nil
}

// live is what is left in the heap of this process when all that is garbage is collected, in bytes: of what a finalizer lets go, too.
func live() float64 {
	var m runtime.MemStats
	for range 2 {
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}
