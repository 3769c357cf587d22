package deliver_test

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/accounts"
	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/bus/bustest"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/meta/graph"
	"github.com/parley-dm/parley/pkg/topology"
	"github.com/parley-dm/parley/services/sender/internal/deliver"
	"github.com/parley-dm/parley/services/sender/internal/ledger"
)

// stub is a Send API that costs next to nothing: one read, one write.
func stub(b *testing.B) string {
	b.Helper()
	l, err := (&net.ListenConfig{}).Listen(b.Context(), "tcp", "127.0.0.1:0")
	require.NoError(b, err)
	b.Cleanup(func() { _ = l.Close() })
	answer := `{"recipient_id":"7001","message_id":"aWdfZAG1faXRlbToxOklHTWVzc2FnZAUlEOjE3ODQxNDAwMDAwMDAwMDAxOjM0MDI4MjM2Njg0MTcxMDMwMTI0NDI1ODk4"}`
	raw := []byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(answer)) + "\r\n\r\n" + answer)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				r := bufio.NewReader(conn)
				for {
					length := 0
					for {
						line, err := r.ReadSlice('\n')
						if err != nil {
							return
						}
						if len(line) <= 2 {
							break
						}
						if n := len("Content-Length: "); len(line) > n && string(line[:n]) == "Content-Length: " {
							length, _ = strconv.Atoi(string(line[n : len(line)-2]))
						}
					}
					if _, err := r.Discard(length); err != nil {
						return
					}
					if _, err := conn.Write(raw); err != nil {
						return
					}
				}
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

// BenchmarkDeliver is the whole of a message but its intent's way in and its delivery's way out: claim, call, outcome, line.
// One nats-server, one stub and the sender share the machine.
func BenchmarkDeliver(b *testing.B) {
	conn := bustest.Start(b).Connect()
	_, err := topology.Ensure(b.Context(), conn.JetStream(), topology.Options{})
	require.NoError(b, err)
	bucket, err := bus.OpenBucket(b.Context(), conn, topology.Ledger.Name)
	require.NoError(b, err)
	client := graph.New(graph.Options{Version: "v26.0"})
	b.Cleanup(client.Close)
	list := &book{list: map[string]accounts.Account{account: {ID: account, Channel: dm.ChannelInstagram, Token: token}}}
	d, err := deliver.New(deliver.Deps{
		Accounts: list, Graph: client, Ledger: ledger.New(bucket, ledger.Options{}), Metrics: prometheus.NewRegistry(),
		Log: slog.New(slog.NewJSONHandler(io.Discard, nil)), //nolint:sloglint // the cost of writing lines is part of the measure
	}, deliver.Options{GraphURL: stub(b), AppSecret: "secret"})
	require.NoError(b, err)
	b.Cleanup(d.Close)
	var ids atomic.Int64
	b.SetParallelism(128)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := d.Deliver(context.Background(), intent(strconv.FormatInt(ids.Add(1), 10), "Our prices start at 20 €.")); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}
