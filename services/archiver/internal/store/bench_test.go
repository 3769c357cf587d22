package store_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/envelope"
	"github.com/parley-dm/parley/pkg/postgres"
	"github.com/parley-dm/parley/pkg/postgres/pglocal"
	"github.com/parley-dm/parley/services/archiver/internal/record"
	"github.com/parley-dm/parley/services/archiver/internal/store"
)

const batchRows, benchWriters = 500, 2

// benchPool is a server that writes as safely as production does.
func benchPool(b *testing.B) *pgxpool.Pool {
	b.Helper()
	server, err := pglocal.Start(context.Background(), pglocal.Options{Settings: map[string]string{"max_wal_size": "4GB", "shared_buffers": "512MB"}})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, server.Stop()) })
	db := config.Database{URL: config.Secret(server.URL())}
	_, _, err = postgres.Migrate(context.Background(), db)
	require.NoError(b, err)
	pool, err := postgres.Open(context.Background(), db, postgres.Options{})
	require.NoError(b, err)
	b.Cleanup(pool.Close)
	return pool
}

// payloads is n envelopes as the bus carries them: messages of distinct customers from serial number first on.
func payloads(b *testing.B, first, n int) [][]byte {
	b.Helper()
	out := make([][]byte, n)
	for i := range out {
		mid := fmt.Sprintf("aWdfZAG1faXRlbToxOklHTWVzc2FnZAUlEOjE3ODQxNDAwMDAwMDAwMDAxOjM0MDI4MjM2Njg0MTcxMDMwMTI0NDI1OTkwNDc5NDI2ODQ0ODgzNzoz%012d", first+i)
		c := dm.Conversation{Channel: dm.ChannelInstagram, Account: "17841400000000001", Customer: fmt.Sprint(7_000_000_000 + first + i)}
		e := dm.Event{
			ID: dm.EventID(c.Channel, c.Account, dm.KindMessage, mid), Conversation: c, Kind: dm.KindMessage, MID: mid, Text: "What is the price of the blue one?",
			MessageType: "text", KnownAccount: true, Time: time.Now(), ReceivedAt: time.Now(), Source: dm.SourceWebhook,
			Raw: []byte(`{"sender":{"id":"` + c.Customer + `"},"recipient":{"id":"` + c.Account + `"},"timestamp":1700000000000,"message":{"mid":"` + mid + `","text":"What is the price of the blue one?"}}`),
		}
		payload, err := envelope.Event(e, "req").Encode()
		require.NoError(b, err)
		out[i] = payload
	}
	return out
}

func decode(b *testing.B, batch [][]byte) []record.Facts {
	b.Helper()
	facts := make([]record.Facts, len(batch))
	for i, payload := range batch {
		e, err := envelope.Decode[dm.Event](payload)
		if err != nil {
			b.Error(err)
		}
		facts[i] = record.FromEvent(&e.Data)
	}
	return facts
}

// serverCPU is what the server's processes have used, where the system tells; so that a figure means something on a
// machine that does other things too.
func serverCPU(b *testing.B, pool *pgxpool.Pool) time.Duration {
	b.Helper()
	var backend int
	require.NoError(b, pool.QueryRow(context.Background(), "SELECT pg_backend_pid()").Scan(&backend))
	stat := func(path string) []string {
		content, err := os.ReadFile(path)
		if err != nil {
			return make([]string, 20)
		}
		return strings.Fields(string(content[bytes.LastIndexByte(content, ')')+1:]))
	}
	postmaster := stat(fmt.Sprintf("/proc/%d/stat", backend))[1]
	paths, err := filepath.Glob("/proc/[0-9]*/stat")
	require.NoError(b, err)
	var ticks int
	for _, path := range paths {
		if f := stat(path); f[1] == postmaster {
			user, _ := strconv.Atoi(f[11])
			system, _ := strconv.Atoi(f[12])
			ticks += user + system
		}
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

func ownCPU(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// rows runs write for b.N batches with two writers and reports rows a second.
func rows(b *testing.B, pool *pgxpool.Pool, write func(n int)) {
	b.Helper()
	own, server := ownCPU(b), serverCPU(b, pool)
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	for range benchWriters {
		wg.Go(func() {
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				write(int(n - 1))
			}
		})
	}
	wg.Wait()
	elapsed := b.Elapsed()
	perRow := func(d time.Duration) float64 { return float64(d.Microseconds()) / float64(b.N*batchRows) }
	b.ReportMetric(float64(b.N*batchRows)/elapsed.Seconds(), "rows/s")
	b.ReportMetric(perRow(ownCPU(b)-own), "own-µs/row")
	b.ReportMetric(perRow(serverCPU(b, pool)-server), "server-µs/row")
}

func prepared(b *testing.B) [][][]byte {
	b.Helper()
	all := make([][][]byte, b.N)
	for n := range all {
		all[n] = payloads(b, n*batchRows, batchRows)
	}
	return all
}

// BenchmarkRaw is the measure: the same rows by a bare INSERT … SELECT unnest into messages, with its indexes, by two
// writers, nothing decoded and nothing looked up.
func BenchmarkRaw(b *testing.B) {
	pool := benchPool(b)
	var conversation string
	require.NoError(b, pool.QueryRow(context.Background(), `INSERT INTO conversations (page_id, instagram_user_id) VALUES ('a', 'c') RETURNING id`).Scan(&conversation))
	type columns struct{ mids, texts, metadata, senders []string }
	all := make([]columns, b.N)
	for n := range all {
		for _, f := range decode(b, payloads(b, n*batchRows, batchRows)) {
			r, err := f.Messages[0].Row(time.Time{})
			require.NoError(b, err)
			all[n].mids, all[n].texts = append(all[n].mids, *r.MID), append(all[n].texts, *r.Text)
			all[n].metadata, all[n].senders = append(all[n].metadata, r.Metadata), append(all[n].senders, r.Sender)
		}
	}
	rows(b, pool, func(n int) {
		_, err := pool.Exec(context.Background(), `INSERT INTO messages (conversation_id, account, mid, sender_id, recipient_id, message_text, direction, status, metadata)
			SELECT $5::uuid, 'a', mid, sender, 'a', body, 'inbound', 'received', meta::jsonb FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS k (mid, body, meta, sender)`,
			all[n].mids, all[n].texts, all[n].metadata, all[n].senders, conversation)
		if err != nil {
			b.Error(err)
		}
	})
}

// BenchmarkNewConversations is the worst case: each message is the first of its conversation.
func BenchmarkNewConversations(b *testing.B) {
	pool := benchPool(b)
	s, all := store.New(pool, store.Hooks{}), prepared(b)
	rows(b, pool, func(n int) {
		if err := s.Write(context.Background(), decode(b, all[n])); err != nil {
			b.Error(err)
		}
	})
}

// BenchmarkKnownConversations has each batch written to conversations that exist, as new messages.
func BenchmarkKnownConversations(b *testing.B) {
	pool := benchPool(b)
	s, all := store.New(pool, store.Hooks{}), prepared(b)
	const known = 20_000
	customer := func(n, i int) string { return fmt.Sprint((n*batchRows + i) % known) }
	for n := range known / batchRows {
		facts := decode(b, payloads(b, 100_000_000+n*batchRows, batchRows))
		for i := range facts {
			facts[i].Conversation.Key.Customer, facts[i].Messages[0].Conversation.Customer = customer(n, i), customer(n, i)
		}
		require.NoError(b, s.Write(context.Background(), facts))
	}
	rows(b, pool, func(n int) {
		facts := decode(b, all[n])
		for i := range facts {
			facts[i].Conversation.Key.Customer, facts[i].Messages[0].Conversation.Customer = customer(n, i), customer(n, i)
		}
		if err := s.Write(context.Background(), facts); err != nil {
			b.Error(err)
		}
	})
}
