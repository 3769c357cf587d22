package standalone_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/pipeline"
	"github.com/parley-dm/parley/pkg/pipeline/holds"
	"github.com/parley-dm/parley/pkg/postgres/pgtest"
	"github.com/parley-dm/parley/pkg/topology"
	"github.com/parley-dm/parley/services/responder"
	"github.com/parley-dm/parley/services/sender"
	"github.com/parley-dm/parley/services/simulator"
)

// Who holds a conversation, tried from outside.

// echo is an item that says what the business wrote by itself.
func echo(customer, mid, text string) string {
	return fmt.Sprintf(`{"sender":{"id":%q},"recipient":{"id":%q},"timestamp":%d,"message":{"mid":%q,"text":%q,"is_echo":true}}`, page, customer, time.Now().UnixMilli(), mid, text)
}

// held is how many changes of a reason are kept as events.
func (w *world) held(reason dm.HoldReason) int {
	return w.count(`SELECT count(*) FROM events WHERE kind = 'hold' AND data->'hold'->>'reason' = $1`, string(reason))
}

// silent is how many events were answered with silence for a reason, as the metrics of a world with an admin address say.
func (w *world) silent(admin, reason string) bool {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+admin+"/metrics", nil)
	require.NoError(w.t, err)
	_, body := w.do(req)
	return strings.Contains(body, `parley_decisions_total{outcome="silence",reason="`+reason+`",service="responder"}`)
}

// askUntil asks again and again, each time with another text that has a rule, until something is answered, and returns what.
func (w *world) askUntil(customer string, answered int) {
	w.t.Helper()
	n := 0
	w.eventually(func() bool {
		n++
		require.Equal(w.t, http.StatusOK, w.post(customer, fmt.Sprintf("m_%s_again_%d", customer, n), "later?"))
		return len(w.replies(customer)) >= answered
	}, "the bot answers again")
}

func TestABusinessAnswersByItselfAndTheBotGoesQuiet(t *testing.T) {
	t.Parallel()
	admin := "127.0.0.1:" + freePort(t)
	w := newWorld(t, "TAKEOVER_QUIET=5s", "ADMIN_ADDR="+admin, "MAX_REPLIES_PER_MINUTE=0")
	for say, answer := range map[string]string{"price?": "18 each.", "hours?": "9 to 5.", "later?": "Again."} {
		w.rule(say, answer)
	}
	w.serve()
	require.Equal(t, http.StatusOK, w.post("7001", "m_1", "price?"))
	w.eventually(func() bool { return len(w.replies("7001")) == 1 }, "the bot answers")
	require.Equal(t, http.StatusOK, w.send("demo-secret", hook(page, echo("7001", "by_hand", "18 each."), message("7001", `"text":"hours?"`))),
		"a person says what the bot would, and the customer goes on at once")
	w.eventually(func() bool { return w.held(dm.HoldTakeover) == 1 }, "the change is an event, and a row")
	w.eventually(func() bool { return w.silent(admin, "person") }, "the bot is silent")
	require.Equal(t, http.StatusOK, w.post("7002", "m_2", "price?"))
	w.eventually(func() bool { return len(w.replies("7002")) == 1 }, "others are answered")

	w.askUntil("7001", 2)
	require.Equal(t, "Again.", w.replies("7001")[1], "what was said in the meantime is not answered")
	require.NotContains(t, w.replies("7001"), "9 to 5.")
	w.eventually(func() bool {
		return w.count(`SELECT count(*) FROM messages WHERE mid = 'by_hand' AND direction = 'outbound'`) == 1
	}, "what the person said is a row")
}

func TestATakeoverOutlivesARestartAndAnOperatorEndsIt(t *testing.T) {
	t.Parallel()
	admin, listen := "127.0.0.1:"+freePort(t), "127.0.0.1:"+freePort(t)
	w := newWorld(t, "ADMIN_ADDR="+admin, "NATS_LISTEN="+listen)
	w.rule("price?", "18 each.")
	w.rule("hours?", "9 to 5.")
	command := func(args ...string) string {
		code, out, stderr := execute(t, []string{"NATS_URL=nats://" + listen}, append([]string{"holds"}, args...)...)
		require.Equal(t, 0, code, stderr)
		return out
	}
	stop := w.serve()
	require.Equal(t, http.StatusOK, w.send("demo-secret", hook(page, echo("7001", "by_hand", "Hello, Anna here."))))
	w.eventually(func() bool { return w.held(dm.HoldTakeover) == 1 }, "the bot sleeps")
	stop()
	w.serve()
	require.Equal(t, http.StatusOK, w.post("7001", "m_1", "hours?"))
	w.eventually(func() bool { return w.silent(admin, "person") }, "the bot sleeps on")
	conversation := "instagram:" + page + ":7001"
	require.Regexp(t, conversation+` +person +takeover`, command("list"))
	require.Contains(t, command("list", "--account", "1"), "0 conversation(s)")

	require.Contains(t, command("release", conversation, "--by", "anna"), "the bot has it again")
	require.Contains(t, command("release", conversation), "already")
	require.Equal(t, http.StatusOK, w.send("demo-secret", hook(page, echo("7001", "by_hand", "Hello, Anna here."))), "the echo comes again")
	require.Equal(t, http.StatusOK, w.post("7001", "m_2", "price?"))
	w.eventually(func() bool { return len(w.replies("7001")) == 1 }, "the bot answers again")
	require.Equal(t, []string{"18 each."}, w.replies("7001"))

	require.Contains(t, command("hold", conversation, "--for", "1h", "--by", "ben"), "a person has it, until ")
	require.Contains(t, command("list", "--json"), `"by":"ben"`)
	w.eventually(func() bool { return w.held(dm.HoldOperator) == 2 }, "each change is an event")
	code, _, stderr := execute(t, []string{"NATS_URL=nats://" + listen}, "holds", "hold", "7001")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "expected channel:account:customer")
}

func TestAnotherAppHasTheThread(t *testing.T) {
	t.Parallel()
	admin := "127.0.0.1:" + freePort(t)
	w := newWorld(t, "ADMIN_ADDR="+admin, "FACEBOOK_APP_ID=1001")
	w.rule("price?", "18 each.")
	w.rule("hours?", "9 to 5.")
	w.serve()
	require.Equal(t, http.StatusOK, w.send("demo-secret", hook(page,
		item("7001", `"pass_thread_control":{"previous_owner_app_id":1001,"new_owner_app_id":2}`), message("7001", `"text":"hours?"`))))
	w.eventually(func() bool { return w.held(dm.HoldThreadControl) == 1 && w.silent(admin, "other_app") }, "silent while the other app has it")
	standby := strings.Replace(hook(page, message("7002", `"text":"hours?"`)), `"messaging"`, `"standby"`, 1)
	require.Equal(t, http.StatusOK, w.send("demo-secret", standby))
	w.eventually(func() bool { return w.held(dm.HoldStandby) == 1 }, "silent where we are only told")
	for _, customer := range []string{"7001", "7002"} {
		require.Equal(t, http.StatusOK, w.send("demo-secret", hook(page,
			item(customer, `"pass_thread_control":{"previous_owner_app_id":2,"new_owner_app_id":1001}`))))
		require.Equal(t, http.StatusOK, w.post(customer, "m_back_"+customer, "price?"))
		w.eventually(func() bool { return len(w.replies(customer)) == 1 }, "it is ours again")
		require.Equal(t, []string{"18 each."}, w.replies(customer))
	}
}

func TestTwoBotsDoNotTalkForEver(t *testing.T) {
	t.Parallel()
	admin := "127.0.0.1:" + freePort(t)
	w := newWorld(t, "MAX_REPLIES_PER_MINUTE=3", "LOOP_QUIET=1m", "ADMIN_ADDR="+admin)
	w.rule("later?", "Again.")
	stop := w.serve()
	for n := range 3 {
		require.Equal(t, http.StatusOK, w.post("7001", fmt.Sprint("m_", n), "later?"))
		w.eventually(func() bool { return len(w.replies("7001")) == n+1 }, "the bots talk")
	}
	require.Equal(t, http.StatusOK, w.post("7001", "m_3", "later?"))
	w.eventually(func() bool { return w.held(dm.HoldLoop) == 1 }, "held")
	stop()
	w.serve() // what was counted is forgotten, what is held is not
	require.Equal(t, http.StatusOK, w.post("7001", "m_4", "later?"))
	w.eventually(func() bool { return w.silent(admin, "held") }, "it goes on, and so does the silence")
	require.Equal(t, http.StatusOK, w.post("7002", "m_5", "later?"))
	w.eventually(func() bool { return len(w.replies("7002")) == 1 }, "others are answered")
	require.Len(t, w.replies("7001"), 3)
}

// Meta refuses a message because another app has the thread, or because this person got too many.
func TestMetaSaysThatAConversationIsNotTheBots(t *testing.T) {
	t.Parallel()
	admin := "127.0.0.1:" + freePort(t)
	w := newWorld(t, "ADMIN_ADDR="+admin)
	w.serve()
	for customer, c := range map[string]struct {
		fault  simulator.Fault
		hold   dm.HoldReason
		reason string
	}{
		"7001": {simulator.Fault{Kind: "error", Code: 100, Subcode: 2534037, Count: 1}, dm.HoldOtherApp, "other_app"},
		"7002": {simulator.Fault{Kind: "error", Code: 613, Subcode: 2018338, Count: 1}, dm.HoldTooMany, "person"},
	} {
		c.fault.Customer = customer
		_, err := w.meta.AddFault(c.fault)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, w.post(customer, "m_1_"+customer, "hello"))
		w.eventually(func() bool { return w.held(c.hold) == 1 }, "it is an event")
		require.Equal(t, http.StatusOK, w.post(customer, "m_2_"+customer, "hello?"))
		w.eventually(func() bool { return w.silent(admin, c.reason) }, "and the bot is silent")
		require.Empty(t, w.replies(customer))
	}
	w.eventually(func() bool { return w.count(`SELECT count(*) FROM messages WHERE status = 'failed'`) == 2 }, "what was refused has failed")
}

// ours checks that what we said ourselves never took a conversation from the bot.
func (w *world) ours() {
	w.t.Helper()
	require.Zero(w.t, w.count(`SELECT count(*) FROM events WHERE kind = 'hold'`))
}

func TestOurOwnEchoesNeverPutTheBotToSleep(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]simulator.Fault{
		"as Meta sends them":       {},
		"before Meta's answer":     {Kind: "echo_first"},
		"and the answer was lost":  {Kind: "reset_after", Count: 2},
		"and Meta said it failed":  {Kind: "sent_but_error", Count: 2},
		"and each webhook thrice":  {Kind: "duplicate", Copies: 2},
		"and webhooks out of time": {Kind: "delay", DelayMS: 1500, Rate: 0.5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "SEND_TIMEOUT=1s")
			w.rule("price?", "18 each.")
			w.serve()
			if fault.Kind != "" {
				_, err := w.meta.AddFault(fault)
				require.NoError(t, err)
			}
			const rounds = 3
			for n := range rounds {
				for c := range 4 {
					_, err := w.meta.Say(simulator.Action{Key: simulator.Key{Account: page, Customer: fmt.Sprint(7001 + c)}, Text: "price?", Expect: "18 each."})
					require.NoError(t, err)
				}
				w.eventually(func() bool { return w.meta.Totals().Replies >= 4*(n+1) }, "round after round is answered")
			}
			w.eventually(func() bool { return w.meta.Verdict().Missing == 0 }, "all are")
			w.eventually(func() bool {
				return w.count(`SELECT count(*) FROM messages WHERE direction = 'outbound' AND metadata ? 'kind' AND metadata ? 'delivery'`) == 4*rounds
			}, "every echo came, and joined its row")
			w.ours()
		})
	}
}

// answering adds a responder to what surrounds a sender. It tells how many holds there are.
func (o *outbound) responder() *holds.Holds {
	o.t.Helper()
	cfg, err := config.Load[responder.Config](append(o.environ, "DATABASE_URL="+pgtest.Database(o.t).URL.Reveal(), "FALLBACK_RESPONSE=Thanks!"))
	require.NoError(o.t, err)
	cfg.AdminAddr = "127.0.0.1:0"
	o.background(func(ctx context.Context) error { return responder.Run(ctx, cfg) })
	bucket, err := o.p.Bucket(o.t.Context(), topology.Conversations)
	require.NoError(o.t, err)
	return holds.New(bucket, holds.Options{})
}

func (o *outbound) none(h *holds.Holds) {
	o.t.Helper()
	require.NoError(o.t, h.List(o.t.Context(), func(r holds.Record) error {
		return fmt.Errorf("%s is not the bot's: %+v %+v", r.Conversation, r.Person, r.App)
	}))
}

// A sender is killed when the customer has the message and nobody else knows of it but Meta, whose echo comes. The bot must
// go on with the conversation, once.
func TestTheEchoOfAKilledSendersMessageIsOurs(t *testing.T) {
	t.Parallel()
	o := newOutbound(t)
	h := o.responder()
	customer := simulator.Key{Account: page, Customer: "7001"}
	_, err := o.meta.Say(simulator.Action{Key: customer, Text: "hello?"})
	require.NoError(t, err)
	killed, _ := o.process("after the call")
	_ = killed.Wait()
	_, err = o.meta.Say(simulator.Action{Key: customer, Text: "still there?"})
	require.NoError(t, err)
	heir, stderr := o.process("")
	o.settled("7001", 2)
	require.NoError(t, heir.Process.Kill())
	_ = heir.Wait()
	got, sent := o.received("7001")
	require.Equal(t, []string{"Thanks!", "Thanks!"}, got, "%s", stderr.String())
	_, mids := o.told("7001")
	require.ElementsMatch(t, sent, mids)
	o.none(h)
}

// The Send API's answer takes longer than an echo is waited for in memory.
func TestAnEchoMayOvertakeTheAnswerByMuch(t *testing.T) {
	t.Parallel()
	o := newOutbound(t)
	o.environ = append(o.environ, "SEND_TIMEOUT=10s", "DOUBT_TIMEOUT=1m")
	h := o.responder()
	cfg, err := config.Load[sender.Config](o.environ)
	require.NoError(t, err)
	late := make(chan struct{})
	o.mu.Lock()
	o.late = late
	o.mu.Unlock()
	o.background(func(ctx context.Context) error { return sender.Run(ctx, cfg) })
	timer := time.AfterFunc(3*time.Second, func() { close(late) })
	t.Cleanup(func() { timer.Stop() })
	customer := simulator.Key{Account: page, Customer: "7001"}
	for range 2 {
		_, err = o.meta.Say(simulator.Action{Key: customer, Text: "hello?"})
		require.NoError(t, err)
	}
	o.settled("7001", 2)
	outcomes, _ := o.told("7001")
	require.Equal(t, []dm.Outcome{dm.OutcomeSent, dm.OutcomeSent}, outcomes)
	o.none(h)
}

// What waited until a person had the conversation is not sent; what a person wrote is, and its echo is no takeover.
func TestTheSenderAsksWhoHasTheConversation(t *testing.T) {
	t.Parallel()
	o := newOutbound(t)
	h := o.responder()
	cfg, err := config.Load[sender.Config](o.environ)
	require.NoError(t, err)
	conversation := dm.Conversation{Channel: dm.ChannelInstagram, Account: page, Customer: "7001"}
	intent := func(id string, origin dm.Origin) pipeline.Outgoing {
		now := time.Now().UTC()
		return o.p.Intent(dm.ReplyIntent{ID: "in_" + id, EventID: "ev_" + id, Origin: origin, Conversation: conversation,
			Parts: []dm.Part{{Kind: dm.PartText, Text: id}, {Kind: dm.PartText, Text: id}}, EventTime: now, CreatedAt: now}, "c", "c")
	}
	waited := intent("rule", dm.OriginRule)
	_, err = h.Change(t.Context(), conversation, dm.Hold{Holder: dm.HolderPerson, Reason: dm.HoldTakeover, At: time.Now(), Until: time.Now().Add(time.Hour), Cause: "ev_taken"})
	require.NoError(t, err)
	require.NoError(t, o.p.Publish(t.Context(), waited, intent("operator", dm.OriginOperator), intent("taken", dm.OriginRule)))
	o.background(func(ctx context.Context) error { return sender.Run(ctx, cfg) })
	o.settled("7001", 6)
	got, _ := o.received("7001")
	require.Equal(t, []string{"operator", "operator", "taken", "taken"}, got)
	outcomes, _ := o.told("7001")
	require.ElementsMatch(t, []dm.Outcome{dm.OutcomeHeld, dm.OutcomeHeld, dm.OutcomeSent, dm.OutcomeSent, dm.OutcomeSent, dm.OutcomeSent}, outcomes)
	r, err := h.Get(t.Context(), conversation)
	require.NoError(t, err)
	require.Equal(t, "ev_taken", r.Person.Cause, "no echo changed it")
}
