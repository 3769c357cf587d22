package responder_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/postgres/pgtest"
	"github.com/parley-dm/parley/pkg/rules"
	"github.com/parley-dm/parley/pkg/signed"
	"github.com/parley-dm/parley/services/responder"
)

// helpDesk is a help desk that takes nothing until it is told to.
type helpDesk struct {
	t      *testing.T
	url    string
	mu     sync.Mutex
	broken func(http.ResponseWriter, *http.Request) // nil: it takes what comes
	tries  int
	taken  []string
	ids    []string
}

func newHelpDesk(t *testing.T) *helpDesk {
	t.Helper()
	d := &helpDesk{t: t}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		d.mu.Lock()
		d.tries++
		broken := d.broken
		if broken == nil && err == nil && r.Header.Get(signed.Header) == signed.Sign("desk-secret", body) {
			d.taken, d.ids = append(d.taken, string(body)), append(d.ids, r.Header.Get(signed.DeliveryHeader))
		}
		d.mu.Unlock()
		if broken != nil {
			broken(w, r)
		}
	}))
	t.Cleanup(server.Close)
	d.url = server.URL
	return d
}

func (d *helpDesk) breaks(f func(http.ResponseWriter, *http.Request)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.broken = f
}

func (d *helpDesk) tried(n int) {
	d.t.Helper()
	require.Eventually(d.t, func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.tries >= n
	}, patience, time.Millisecond, "it is tried %d times", n)
}

// next waits until n were taken, and gives them.
func (d *helpDesk) next(n int) []string {
	d.t.Helper()
	var out []string
	require.Eventually(d.t, func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		out = append([]string(nil), d.taken...)
		return len(out) >= n
	}, patience, time.Millisecond, "%d are taken", n)
	return out
}

// A help desk is told of what is handed off, whatever it and the responder go through meanwhile, and no answer waits for it.
func TestAHelpDeskIsTold(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	save(t, pgtest.Open(t, db), rules.Rule{Name: "person", Keywords: []string{"human"}, Response: "Somebody will write to you.", Then: rules.Then{HandOff: true}})
	desk := newHelpDesk(t)
	b := setup(t, db)
	stop := b.run()
	b.publish(event(9, 1, "a human?"))
	b.next(1)
	stop() // nobody is told of what was before there was a desk
	b.cfg.HandOff = responder.HandOff{URL: config.Secret(desk.url), Secret: "desk-secret", Private: true, Timeout: 30 * time.Second}

	// It hangs: answers go out all the same, and a stop does not wait for it.
	desk.breaks(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	stop = b.run()
	b.publish(event(1, 1, "hello"), event(1, 2, "a human please"), event(2, 1, "one human please"), event(3, 1, "hello"))
	began := time.Now()
	require.ElementsMatch(t, []string{"Somebody will write to you.", "Thanks!", "Somebody will write to you.", "Thanks!"}, texts(b.next(4)))
	require.Less(t, time.Since(began), 10*time.Second)
	desk.tried(2)
	stop()

	// It refuses, and is told when it does not any more: by another process.
	desk.breaks(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	b.run()
	desk.tried(6)
	desk.breaks(nil)
	byCustomer := map[string]string{}
	for _, body := range desk.next(2) {
		var told struct {
			ID           string
			Conversation struct{ Customer string }
			Message      struct{ MID, Text string }
			History      []struct{ From, Text string }
			Holder       struct{ By string }
		}
		require.NoError(t, json.Unmarshal([]byte(body), &told))
		require.Equal(t, "rule person", told.Holder.By)
		byCustomer[told.Conversation.Customer] = told.Message.Text
		if told.Conversation.Customer == "7001" {
			require.Equal(t, "hello", told.History[0].Text)
		}
	}
	require.Equal(t, map[string]string{"7001": "a human please", "7002": "one human please"}, byCustomer)
	hold := b.told(dm.KindHold, 3)
	require.ElementsMatch(t, []string{hold[1].ID, hold[2].ID}, desk.ids)
}

// Who gets no answer to several messages in a row is handed to a person, and told so.
func TestFallbacksInARowAreHandedOff(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	insert(t, pgtest.Open(t, db), "prices", "price", "It is 5 €.")
	b := setup(t, db)
	b.cfg.HandOff = responder.HandOff{AfterFallbacks: 2, Response: "A person will answer.", ByLanguage: `{"de":"Ein Mensch antwortet gleich."}`, Quiet: time.Hour}
	b.run()
	say := func(customer, n int, what string) []string {
		b.publish(event(customer, n, what))
		return texts(b.next(1))
	}
	require.Equal(t, []string{"Thanks!"}, say(1, 1, "what is that over there?"))
	require.Equal(t, []string{"It is 5 €."}, say(1, 2, "the price?"))
	require.Equal(t, []string{"Thanks!"}, say(1, 3, "what is that over there?"), "the row was broken")
	second := event(1, 4, "and that?")
	b.publish(second)
	got := b.next(1)[0].Data
	require.Equal(t, "A person will answer.", got.Parts[0].Text)
	require.Equal(t, []any{dm.OriginFallback, "fallbacks_in_a_row"}, []any{got.Origin, got.Trace.Why})
	hold := b.told(dm.KindHold, 1)[0].Hold
	require.Equal(t, []any{dm.HoldHandOff, dm.HolderPerson, second.ID, "fallback"}, []any{hold.Reason, hold.Holder, hold.Cause, hold.By})
	require.False(t, hold.Stops(&got))
	b.publish(event(1, 5, "the price?"))
	require.Equal(t, "person", b.told(dm.KindDecision, 1)[0].Decision.Reason)
	b.again(second)

	require.Equal(t, []string{"Thanks!"}, say(2, 1, "Ich hätte da einmal eine Frage an euch"))
	require.Equal(t, []string{"Ein Mensch antwortet gleich."}, say(2, 2, "Könnt ihr mir dabei bitte weiterhelfen?"))
	b.only(6)
}

func TestHandOffSettings(t *testing.T) {
	t.Parallel()
	base := []string{"DATABASE_URL=postgres://x@localhost/x", "INSTAGRAM_PAGE_ID=" + shop}
	cfg, err := config.Load[responder.Config](base)
	require.NoError(t, err)
	require.Zero(t, cfg.HandOff.AfterFallbacks)
	require.Empty(t, cfg.HandOff.URL)
	_, err = config.Load[responder.Config](append(base, "HANDOFF_URL=https://desk.example.com/in?token=x", "HANDOFF_SECRET=s", "HANDOFF_AFTER_FALLBACKS=2"))
	require.NoError(t, err)
	_, err = config.Load[responder.Config](append(base, "HANDOFF_URL=http://10.0.0.7/in", "HANDOFF_PRIVATE=true"))
	require.NoError(t, err)
	bad := []string{"HANDOFF_URL=http://desk.example.com/?token=hidden", "HANDOFF_AFTER_FALLBACKS=-1", `HANDOFF_BY_LANGUAGE={"xx":"?"}`, "HANDOFF_TIMEOUT=1h", "HANDOFF_QUIET=0s"}
	_, err = config.Load[responder.Config](append(base, bad...))
	for _, v := range bad {
		name, _, _ := strings.Cut(v, "=")
		require.ErrorContains(t, err, name+":")
	}
	require.NotContains(t, err.Error(), "hidden")
	_, err = config.Load[responder.Config](append(base, "HANDOFF_URL=https://127.0.0.1/in"))
	require.ErrorContains(t, err, "HANDOFF_PRIVATE")
	_, err = config.Load[responder.Config](append(base, "HANDOFF_SECRET=x"))
	require.ErrorContains(t, err, "HANDOFF_SECRET")
}
