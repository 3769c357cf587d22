package customers_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/bus/bustest"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/rules/template"
	"github.com/parley-dm/parley/pkg/topology"
	"github.com/parley-dm/parley/services/responder/internal/customers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second

func conversation(customer int) dm.Conversation {
	return dm.Conversation{Channel: dm.ChannelInstagram, Account: "17841400000000001", Customer: fmt.Sprint(customer)}
}

type bundle struct {
	t      *testing.T
	bucket *bus.Bucket
	*customers.Customers
}

func setup(t *testing.T, most int) *bundle {
	t.Helper()
	conn := bustest.Start(t).Connect()
	_, err := topology.Ensure(t.Context(), conn.JetStream(), topology.Options{})
	require.NoError(t, err)
	b := &bundle{t: t}
	b.bucket, err = bus.OpenBucket(t.Context(), conn, topology.Profiles.Name)
	require.NoError(t, err)
	b.Customers = customers.New(b.bucket, customers.Options{Max: most, Log: slog.New(slog.DiscardHandler)})
	return b
}

func (b *bundle) run() {
	b.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	b.t.Cleanup(func() {
		cancel()
		require.NoError(b.t, <-ended)
	})
}

func (b *bundle) put(customer int, p dm.Profile) {
	b.t.Helper()
	value, err := json.Marshal(p)
	require.NoError(b.t, err)
	_, err = b.bucket.Put(b.t.Context(), topology.ConversationKey(conversation(customer)), value)
	require.NoError(b.t, err)
}

func (b *bundle) eventually(customer int, want template.Customer) {
	b.t.Helper()
	require.Eventually(b.t, func() bool { return b.Customer(conversation(customer)) == want }, patience, 5*time.Millisecond, "%d is never %v", customer, want)
}

func TestWhatTheSenderFindsOutIsKnownAMomentLater(t *testing.T) {
	t.Parallel()
	b := setup(t, 0)
	require.Zero(t, b.Customer(conversation(1)), "nobody waits for what is not known")
	b.put(1, dm.Profile{Name: "Ada Lovelace", Username: "ada"})
	b.run()
	b.eventually(1, template.Customer{Name: "Ada Lovelace", Username: "ada"})
	b.put(1, dm.Profile{Name: "Ada King"})
	b.put(2, dm.Profile{Name: strings.Repeat("ä", 1000)})
	b.eventually(1, template.Customer{Name: "Ada King"})
	b.eventually(2, template.Customer{Name: strings.Repeat("ä", 100)})

	b.put(1, dm.Profile{NoConsent: true})
	b.eventually(1, template.Customer{})
	require.NoError(t, b.bucket.Delete(t.Context(), topology.ConversationKey(conversation(2))))
	b.eventually(2, template.Customer{})
	require.Zero(t, b.Size())

	_, err := b.bucket.Put(t.Context(), topology.ConversationKey(conversation(3)), []byte("{"))
	require.NoError(t, err)
	b.put(4, dm.Profile{Username: "grace"})
	b.eventually(4, template.Customer{Username: "grace"})
	require.Zero(t, b.Customer(conversation(3)), "what cannot be read has no name")
}

func TestTheCopyIsBounded(t *testing.T) {
	t.Parallel()
	b := setup(t, 10)
	for n := range 30 {
		b.put(n+1, dm.Profile{Name: fmt.Sprint("Customer ", n)})
	}
	b.run()
	b.put(100, dm.Profile{Name: "The last"})
	b.eventually(100, template.Customer{Name: "The last"})
	require.Equal(t, 10, b.Size())
}
