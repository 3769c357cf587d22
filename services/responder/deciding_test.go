package responder_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/envelope"
	"github.com/parley-dm/parley/pkg/postgres/pgtest"
	"github.com/parley-dm/parley/pkg/rules"
	"github.com/parley-dm/parley/pkg/topology"
	"github.com/parley-dm/parley/services/responder"
)

// save inserts rules, the first of which wins.
func save(tb testing.TB, pool *pgxpool.Pool, all ...rules.Rule) {
	tb.Helper()
	for n, r := range all {
		if r.MatchType == "" {
			r.MatchType = rules.MatchContains
		}
		if r.Keywords == nil {
			r.Keywords = []string{}
		}
		columns := make([]string, 3)
		for i, v := range []any{r.When, r.Then, r.Limits} {
			b, err := json.Marshal(v)
			require.NoError(tb, err)
			columns[i] = string(b)
		}
		_, err := pool.Exec(tb.Context(), `INSERT INTO response_rules (name, keywords, match_type, response_text, priority, conditions, actions, limits) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
			r.Name, r.Keywords, string(r.MatchType), r.Response, 100-n, columns[0], columns[1], columns[2])
		require.NoError(tb, err)
	}
}

// told is the next n events of a kind that Parley made.
func (b *bundle) told(kind dm.EventKind, n int) []dm.Event {
	b.t.Helper()
	c, err := b.conn.JetStream().OrderedConsumer(b.t.Context(), topology.Events.Name, jetstream.OrderedConsumerConfig{FilterSubjects: []string{"dm.event.*.*." + string(kind)}})
	require.NoError(b.t, err)
	var out []dm.Event
	deadline := time.Now().Add(patience)
	for len(out) < n {
		require.True(b.t, time.Now().Before(deadline), "%d of %d events %s came", len(out), n, kind)
		batch, err := c.Fetch(n-len(out), jetstream.FetchMaxWait(time.Second))
		require.NoError(b.t, err)
		for m := range batch.Messages() {
			e, err := envelope.Decode[dm.Event](m.Data())
			require.NoError(b.t, err)
			require.Equal(b.t, dm.SourceParley, e.Data.Source)
			out = append(out, e.Data)
		}
	}
	return out
}

// again publishes events once more, past the bus's deduplication.
func (b *bundle) again(events ...dm.Event) {
	b.t.Helper()
	for _, e := range events {
		payload, err := envelope.Event(e, "redelivered").Encode()
		require.NoError(b.t, err)
		_, err = b.conn.JetStream().Publish(b.t.Context(), topology.EventSubject(&e, b.ingress.Partitions()), payload)
		require.NoError(b.t, err)
	}
}

// texts are what intents say.
func texts(all []envelope.Envelope[dm.ReplyIntent]) []string {
	var out []string
	for _, e := range all {
		for _, p := range e.Data.Parts {
			out = append(out, p.Text)
		}
	}
	return out
}

// only demands that there are n intents, and that is all.
func (b *bundle) only(n int) {
	b.t.Helper()
	require.EqualValues(b.t, n, b.stored())
}

func text(s string) rules.Part { return rules.Part{Part: dm.Part{Kind: dm.PartText, Text: s}} }

func TestWhatRulesDo(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	save(t, pgtest.Open(t, db),
		rules.Rule{Name: "parts", Keywords: []string{"catalogue"}, Then: rules.Then{Reply: []rules.Part{
			text("Here it is, {{message.text}}:"), {Part: dm.Part{Kind: dm.PartImage, Media: []dm.Media{{URL: "https://example.com/a.jpg"}}}},
			{Part: dm.Part{Text: "Which one?", QuickReplies: []dm.QuickReply{{Title: "Blue", Payload: "BLUE"}}}},
		}}},
		rules.Rule{Name: "turns", Keywords: []string{"joke"}, Then: rules.Then{Reply: []rules.Part{{Variants: []string{"one", "two", "three"}, Choose: rules.ChooseTurn}}}},
		rules.Rule{Name: "languages", Keywords: []string{"öffnungszeiten", "opening hours"}, Response: "From 9 to 5.", Then: rules.Then{ByLanguage: map[string][]rules.Part{"de": {text("Von 9 bis 17 Uhr.")}}}},
		rules.Rule{Name: "like", Keywords: []string{"love it"}, Then: rules.Then{Like: true}},
		rules.Rule{Name: "silent", Keywords: []string{"unsubscribe"}, Then: rules.Then{Silent: true}},
		rules.Rule{Name: "person", Keywords: []string{"human"}, Response: "Somebody will write to you.", Then: rules.Then{HandOff: true}},
		rules.Rule{Name: "label", Keywords: []string{"wholesale"}, Response: "Welcome.", Then: rules.Then{Labels: []string{"b2b"}}},
		rules.Rule{Name: "labelled", Keywords: []string{"discount"}, When: rules.When{Labels: []string{"b2b"}}, Response: "10 %."},
		rules.Rule{Name: "comment", Keywords: []string{"price"}, When: rules.When{On: []rules.Occasion{rules.OnComment}}, Response: "It is 5 €.", Then: rules.Then{PrivateReply: true}},
		rules.Rule{Name: "reaction", When: rules.When{On: []rules.Occasion{rules.OnReaction}, Payloads: []string{"love"}}, Response: "We love you, too."},
		rules.Rule{Name: "referral", When: rules.When{On: []rules.Occasion{rules.OnReferral}, Payloads: []string{"SUMMER"}}, Response: "Summer!"},
	)
	b := setup(t, db)
	b.run()
	say := func(customer, n int, what string) dm.Event {
		e := event(customer, n, what)
		b.publish(e)
		return e
	}
	one := func() dm.ReplyIntent { return b.next(1)[0].Data }

	e := say(1, 1, "catalogue")
	got := one()
	require.Equal(t, []dm.Part{
		{Kind: dm.PartText, Text: "Here it is, catalogue:"}, {Kind: dm.PartImage, Media: []dm.Media{{URL: "https://example.com/a.jpg"}}},
		{Kind: dm.PartText, Text: "Which one?", QuickReplies: []dm.QuickReply{{Title: "Blue", Payload: "BLUE"}}},
	}, got.Parts)
	require.Equal(t, []dm.TraceRule{{ID: got.RuleID, Version: 1, Won: true, Words: "catalogue", To: 9}}, got.Trace.Tried)
	require.Equal(t, e.ID, got.EventID)

	for n, want := range []string{"one", "two", "three", "one"} {
		e = say(2, n, "a joke")
		require.Equal(t, want, one().Parts[0].Text)
	}
	b.again(e)
	say(2, 9, "a joke")
	require.Equal(t, "two", one().Parts[0].Text, "what came twice counted once")

	say(3, 1, "Wie sind eure Öffnungszeiten?")
	require.Equal(t, "Von 9 bis 17 Uhr.", one().Parts[0].Text)
	say(3, 2, "What are your opening hours?")
	require.Equal(t, "From 9 to 5.", one().Parts[0].Text)

	e = say(4, 1, "I love it")
	require.Equal(t, []dm.Part{{Kind: dm.PartReaction, MID: e.MID, Reaction: "love"}}, one().Parts)

	silent := say(5, 1, "unsubscribe")
	person := say(6, 1, "a human please")
	got = one()
	require.Equal(t, "Somebody will write to you.", got.Parts[0].Text)
	hold := b.told(dm.KindHold, 1)[0].Hold
	require.Equal(t, []any{dm.HoldHandOff, dm.HolderPerson, person.ID, "rule person"}, []any{hold.Reason, hold.Holder, hold.Cause, hold.By})
	require.False(t, hold.Stops(&got), "the reply itself goes out")
	held := say(6, 2, "catalogue")

	say(7, 1, "discount?")
	require.Equal(t, dm.OriginFallback, one().Origin)
	e = say(7, 2, "wholesale")
	require.Equal(t, "Welcome.", one().Parts[0].Text)
	say(7, 3, "discount?")
	require.Equal(t, "10 %.", one().Parts[0].Text, "at once, whoever is first to hear of the label")
	label := b.told(dm.KindLabel, 1)[0].Labels
	require.Equal(t, []any{[]string{"b2b"}, "rule label", e.ID}, []any{label.Added, label.By, label.Cause})

	decided := b.told(dm.KindDecision, 2)
	reasons := map[string]string{}
	for _, d := range decided {
		reasons[d.Decision.EventID] = d.Decision.Reason
		require.Equal(t, d.Decision.Reason, d.Decision.Trace.Why)
	}
	require.Equal(t, map[string]string{silent.ID: "rule_silent", held.ID: "person"}, reasons)

	// What is no message is answered where a rule asks for it, and only there.
	comment := func(n int, what string, own bool) dm.Event {
		e := event(8, n, what)
		e.Kind, e.MID, e.MessageType, e.CommentID, e.Own = dm.KindComment, "", "", fmt.Sprint("c_", n), own
		e.ID = dm.EventID(e.Channel, e.Account, e.Kind, e.CommentID)
		return e
	}
	b.publish(comment(1, "nice", false), comment(2, "the price?", true), comment(3, "the price?", false))
	got = one()
	require.Equal(t, []dm.Part{{Kind: dm.PartText, Text: "It is 5 €.", CommentID: "c_3"}}, got.Parts)
	require.True(t, got.Private())
	reacted := event(9, 1, "")
	reacted.Kind, reacted.MessageType, reacted.Reaction = dm.KindReaction, "", "love"
	other := event(9, 2, "")
	other.Kind, other.MessageType, other.Reaction = dm.KindReaction, "", "angry"
	referred := event(9, 3, "")
	referred.Kind, referred.MessageType, referred.Ref = dm.KindReferral, "", "SUMMER"
	for _, e := range []*dm.Event{&reacted, &other, &referred} {
		e.ID = dm.EventID(e.Channel, e.Account, e.Kind, e.MID)
	}
	b.publish(reacted, other, referred)
	require.Equal(t, []string{"We love you, too.", "Summer!"}, texts(b.next(2)))
	b.again(comment(3, "the price?", false))
	say(1, 99, "the last")
	require.Equal(t, dm.OriginFallback, one().Origin)
	require.Len(t, b.told(dm.KindDecision, 2), 2, "nothing but a customer's message makes one")
}

func TestLimits(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	now := time.Now()
	save(t, pgtest.Open(t, db),
		rules.Rule{Name: "over", Keywords: []string{"sale"}, Response: "It is over.", Limits: rules.Limits{Until: now.Add(-time.Hour)}},
		rules.Rule{Name: "not yet", Keywords: []string{"sale"}, Response: "Soon.", Limits: rules.Limits{From: now.Add(time.Hour)}},
		rules.Rule{Name: "single", Keywords: []string{"gift"}, Response: "A gift.", Limits: rules.Limits{OncePerCustomer: true}},
		rules.Rule{Name: "seldom", Keywords: []string{"news"}, Response: "The news.", Limits: rules.Limits{Cooldown: rules.Duration(time.Hour)}},
		rules.Rule{Name: "first", When: rules.When{On: []rules.Occasion{rules.OnFirst}}, Response: "Welcome!"},
		rules.Rule{Name: "returning", Keywords: []string{"hello"}, When: rules.When{Customers: rules.ReturningCustomers}, Response: "Welcome back."},
		rules.Rule{Name: "needs a classifier", Keywords: []string{"hello"}, When: rules.When{Intents: []string{"greeting"}}, Response: "never"},
	)
	b := setup(t, db)
	stop := b.run()
	events := []dm.Event{event(1, 1, "hello"), event(1, 2, "hello"), event(1, 3, "gift"), event(1, 4, "gift"), event(1, 5, "news"), event(1, 6, "news"), event(1, 7, "sale")}
	b.publish(events...)
	want := []string{"Welcome!", "Welcome back.", "A gift.", "Thanks!", "The news.", "Thanks!", "Thanks!"}
	got := b.next(len(want))
	require.Equal(t, want, texts(got))
	skipped := func(n int) []string {
		var out []string
		for _, r := range got[n].Data.Trace.Tried {
			out = append(out, r.Name+": "+r.Skipped)
		}
		return out
	}
	require.Contains(t, skipped(3), "single: once")
	require.Contains(t, skipped(5), "seldom: cooldown")
	require.Contains(t, skipped(6), "over: until")
	require.Contains(t, skipped(6), "not yet: from")

	// Another owner decides what comes again as it was decided, and what is new by what was before.
	stop()
	js := b.conn.JetStream()
	require.NoError(t, js.DeleteStream(t.Context(), topology.Intents.Name)) // and with it the memory of ids
	_, err := topology.Ensure(t.Context(), js, topology.Options{Partitions: b.ingress.Partitions()})
	require.NoError(t, err)
	b.intents, err = js.OrderedConsumer(t.Context(), topology.Intents.Name, jetstream.OrderedConsumerConfig{})
	require.NoError(t, err)
	b.run()
	b.again(events...)
	byEvent := map[string]string{} // the last one may come first: nobody promises that its acknowledgement outlived the stop
	for _, e := range b.next(len(want)) {
		byEvent[e.Data.EventID] = e.Data.Parts[0].Text
	}
	for n, e := range events {
		require.Equal(t, want[n], byEvent[e.ID], "event %d", n)
	}
	b.publish(event(1, 8, "gift"), event(1, 9, "hello"), event(2, 1, "gift"))
	require.Equal(t, []string{"A gift.", "Thanks!", "Welcome back."}, slices.Sorted(slices.Values(texts(b.next(3)))))
}

// A conversation that is older than the rule that asks whether it is new is not new.
func TestTheArchiveKnowsOldCustomers(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	pool := pgtest.Open(t, db)
	save(t, pool, rules.Rule{Name: "first", When: rules.When{On: []rules.Occasion{rules.OnFirst}}, Response: "Welcome!"},
		rules.Rule{Name: "returning", Keywords: []string{"hello"}, When: rules.When{Customers: rules.ReturningCustomers}, Response: "Welcome back."})
	for customer, directions := range map[string][]string{"7001": {"inbound", "outbound"}, "7002": {"inbound"}} {
		for n, d := range directions {
			_, err := pool.Exec(t.Context(), `
				WITH c AS (INSERT INTO conversations (page_id, instagram_user_id) VALUES ($1, $2) ON CONFLICT (channel, page_id, instagram_user_id) DO UPDATE SET updated_at = now() RETURNING id)
				INSERT INTO messages (conversation_id, account, mid, sender_id, recipient_id, message_text, direction, timestamp, status)
				SELECT id, $1, $2 || $3, $2, $1, 'x', $4, now() - interval '1 day', CASE $4 WHEN 'inbound' THEN 'received' ELSE 'sent' END FROM c`, shop, customer, fmt.Sprint("old", n), d)
			require.NoError(t, err)
		}
	}
	b := setup(t, db)
	b.run()
	for customer, want := range []string{1: "Welcome back.", 2: "Thanks!", 3: "Welcome!"} {
		if want != "" {
			b.publish(event(customer, 1, "hello"))
			require.Equal(t, []string{want}, texts(b.next(1)), "customer %d", customer)
		}
	}
}

func TestTheFallbackIsNotSaidTooOften(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.Database(t))
	b.cfg.FallbackCooldown, b.cfg.FallbackByLanguage = time.Hour, `{"de":"Danke!"}`
	b.run()
	b.publish(event(1, 1, "Guten Tag, ich habe eine Frage"), event(1, 2, "Hallo?"), event(2, 1, "hello there my friend"))
	require.ElementsMatch(t, []string{"Danke!", "Thanks!"}, texts(b.next(2)))
	require.Equal(t, "fallback_cooldown", b.told(dm.KindDecision, 1)[0].Decision.Reason)
}

func TestCustomersAreToldThatABotAnswers(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.Database(t))
	b.cfg.Disclosure, b.cfg.DisclosureLapse = "I am a bot.", 24*time.Hour
	b.run()
	b.publish(event(1, 1, "hello"), event(1, 2, "hello"))
	require.Equal(t, []string{"I am a bot.", "Thanks!", "Thanks!"}, texts(b.next(2)))
	c := event(1, 1, "").Conversation
	hold := func(h dm.Hold) dm.Event {
		return dm.Event{ID: dm.EventID(c.Channel, c.Account, dm.KindHold, string(h.Holder), h.At.String()), Conversation: c, Kind: dm.KindHold, KnownAccount: true, Time: h.At, ReceivedAt: h.At, Source: dm.SourceParley, Hold: &h}
	}
	at := time.Now()
	b.publish(hold(dm.Hold{Holder: dm.HolderPerson, Reason: dm.HoldTakeover, At: at}), hold(dm.Hold{Holder: dm.HolderBot, Reason: dm.HoldOperator, At: at.Add(time.Millisecond)}), event(1, 3, "hello"))
	require.Equal(t, []string{"I am a bot.", "Thanks!"}, texts(b.next(1)), "a person had it")
}

func TestABurstIsAnsweredAsOne(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	save(t, pgtest.Open(t, db), rules.Rule{Name: "both", MatchType: rules.MatchAll, Keywords: []string{"blue", "price"}, Response: "The blue one is 5 €."})
	b := setup(t, db)
	b.cfg.BurstWindow = 500 * time.Millisecond
	stop := b.run()
	burst := []dm.Event{event(1, 1, "hi"), event(1, 2, "the blue one"), event(1, 3, "what is the price?")}
	b.publish(burst...)
	b.publish(event(2, 1, "hello"))
	got := b.next(2)
	slices.SortFunc(got, func(x, y envelope.Envelope[dm.ReplyIntent]) int {
		return strings.Compare(x.Data.Customer, y.Data.Customer)
	})
	require.Equal(t, []string{"The blue one is 5 €.", "Thanks!"}, texts(got))
	require.Equal(t, burst[2].ID, got[0].Data.EventID, "the last one is answered")
	for n, d := range b.told(dm.KindDecision, 2) {
		require.Equal(t, []string{burst[n].ID, "burst"}, []string{d.Decision.EventID, d.Decision.Reason})
	}

	// It comes again to another owner, in one piece and in two: it is the same burst.
	stop()
	b.run()
	b.again(burst...)
	b.publish(event(1, 4, "and the red one?"))
	got = b.next(1)
	require.Equal(t, event(1, 4, "").ID, got[0].Data.EventID)
	require.Equal(t, dm.OriginFallback, got[0].Data.Origin, "what was answered is not answered once more")
	b.only(3)
	require.Len(t, b.told(dm.KindDecision, 2), 2)
}

// A kill in the middle of a burst: the next owner answers it, once.
func TestABurstSurvivesAStop(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.Database(t))
	b.cfg.BurstWindow = 2 * time.Second
	stop := b.run()
	b.publish(event(2, 9, "hello"))
	b.next(1) // it works
	b.publish(event(1, 1, "hi"), event(1, 2, "there"))
	stop()
	b.run()
	got := b.next(1)
	require.Equal(t, event(1, 2, "").ID, got[0].Data.EventID)
	b.publish(event(2, 1, "hello"))
	b.next(1)
	b.only(3)
}

func TestAnEngineAnswersBesideTheRules(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	insert(t, pgtest.Open(t, db), "prices", "price", "It is 5 €.")
	var broken atomic.Bool
	var last atomic.Value
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || broken.Load() {
			http.Error(w, "broken", http.StatusInternalServerError)
			return
		}
		last.Store(string(body))
		_, _ = io.WriteString(w, `{"version":1,"action":"reply","reply":"The engine says so.","labels":["asked"],"hand_off":false}`)
	}))
	t.Cleanup(server.Close)
	b := setup(t, db)
	b.cfg.EngineURL, b.cfg.EngineTimeout, b.cfg.EngineMode = config.Secret(server.URL), 5*time.Second, "rules_first"
	b.run()
	b.publish(event(1, 1, "the price?"))
	require.Equal(t, []string{"It is 5 €."}, texts(b.next(1)))
	require.Nil(t, last.Load(), "the rules come first")
	b.publish(event(1, 2, "what else?"))
	got := b.next(1)[0].Data
	require.Equal(t, []any{dm.OriginEngine, "The engine says so."}, []any{got.Origin, got.Parts[0].Text})
	require.Equal(t, []string{"rules", "http"}, []string{got.Trace.Engines[0].Name, got.Trace.Engines[1].Name})
	var request struct {
		History []struct{ From, Text string }
	}
	body, _ := last.Load().(string)
	require.NoError(t, json.Unmarshal([]byte(body), &request))
	require.Equal(t, []struct{ From, Text string }{{"customer", "the price?"}}, request.History, "what is on its way to the archive is told as well")
	require.Equal(t, []string{"asked"}, b.told(dm.KindLabel, 1)[0].Labels.Added)

	broken.Store(true)
	b.publish(event(1, 3, "what else?"))
	got = b.next(1)[0].Data
	require.Equal(t, []any{dm.OriginFallback, "failed"}, []any{got.Origin, got.Trace.Engines[1].Outcome})
}

func TestAnEngineBeforeTheRules(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	insert(t, pgtest.Open(t, db), "prices", "price", "It is 5 €.")
	var broken atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if broken.Load() {
			<-r.Context().Done() // it hangs
			return
		}
		_, _ = io.WriteString(w, `{"version":1,"action":"reply","reply":"The engine says so."}`)
	}))
	t.Cleanup(server.Close)
	b := setup(t, db)
	b.cfg.EngineURL, b.cfg.EngineTimeout, b.cfg.EngineMode = config.Secret(server.URL), 2*time.Second, "engine_first"
	b.run()
	b.publish(event(1, 1, "the price?"))
	require.Equal(t, []string{"The engine says so."}, texts(b.next(1)))
	broken.Store(true)
	b.publish(event(1, 2, "the price?"))
	got := b.next(1)[0].Data
	require.Equal(t, []any{"It is 5 €.", "timeout"}, []any{got.Parts[0].Text, got.Trace.Engines[0].Outcome})
}

func TestDecidingSettings(t *testing.T) {
	t.Parallel()
	base := []string{"DATABASE_URL=postgres://x@localhost/x", "INSTAGRAM_PAGE_ID=" + shop}
	cfg, err := config.Load[responder.Config](base)
	require.NoError(t, err)
	require.Zero(t, cfg.BurstWindow+cfg.FallbackCooldown)
	require.Empty(t, cfg.Disclosure)
	_, err = config.Load[responder.Config](append(base, `FALLBACK_BY_LANGUAGE={"de":"Danke!"}`, "ENGINE_URL=https://engine.example.com/?token=x", "ENGINE_MODE=engine_first", "TIME_ZONE=Europe/Berlin"))
	require.NoError(t, err)
	bad := []string{`FALLBACK_BY_LANGUAGE={"xx":"?"}`, "ENGINE_URL=engine?token=hidden", "ENGINE_MODE=both", "ENGINE_TIMEOUT=1h", "TIME_ZONE=Mars", "BURST_WINDOW=5m", "FALLBACK_COOLDOWN=-1s", "STATE_TTL=1s", "HANDOFF_QUIET=0s", "DISCLOSURE_LAPSE=0s"}
	_, err = config.Load[responder.Config](append(base, bad...))
	for _, v := range bad {
		name, _, _ := strings.Cut(v, "=")
		require.ErrorContains(t, err, name+":")
	}
	require.NotContains(t, err.Error(), "hidden")
	_, err = config.Load[responder.Config](append(base, "ENGINE_SECRET=x"))
	require.ErrorContains(t, err, "ENGINE_SECRET")
}
