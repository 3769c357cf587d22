package console_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/envelope"
	"github.com/parley-dm/parley/pkg/topology"
	"github.com/parley-dm/parley/services/console"
	"github.com/parley-dm/parley/services/console/internal/store"
	"github.com/parley-dm/parley/services/console/internal/webtest"
)

const (
	shop   = "17841400000000001"
	branch = "17841400000000002"
)

// chat is a conversation whose rows a test writes as the archiver would.
type chat struct {
	dm.Conversation
	t    *testing.T
	site *webtest.Site
	id   string
	n    int
}

func newChat(t *testing.T, site *webtest.Site, account, customer, name string) *chat {
	t.Helper()
	c := &chat{t: t, site: site, Conversation: dm.Conversation{Channel: dm.ChannelInstagram, Account: account, Customer: customer}}
	c.id = uuid.UUID(dm.RowID("conversation", string(c.Channel), c.Account, c.Customer)).String()
	c.exec(`INSERT INTO conversations (id, channel, page_id, instagram_user_id) VALUES ($1, $2, $3, $4)`, c.id, c.Channel, account, customer)
	if name != "" {
		c.exec(`INSERT INTO contacts (channel, page_id, instagram_user_id, name, username, fetched_at) VALUES ($1, $2, $3, $4, $5, now())`,
			c.Channel, account, customer, name, "user"+customer)
	}
	return c
}

func (c *chat) exec(sql string, args ...any) {
	c.t.Helper()
	_, err := c.site.DB.Exec(c.t.Context(), sql, args...)
	require.NoError(c.t, err)
}

func (c *chat) row(id, mid, text, kind, direction, status string, at time.Time, meta map[string]any) string {
	c.t.Helper()
	encoded, err := json.Marshal(meta)
	require.NoError(c.t, err)
	var sent *time.Time
	if status == "sent" || status == "read" {
		sent = &at
	}
	c.exec(`INSERT INTO messages (id, conversation_id, account, mid, sender_id, recipient_id, message_text, message_type, direction, timestamp, status, metadata, created_at, sent_at)
		VALUES ($1, $2, $3, nullif($4, ''), $5, $6, nullif($7, ''), $8, $9, $10, $11, $12::jsonb, $10, $13)`,
		id, c.id, c.Account, mid, c.Customer, c.Account, text, kind, direction, at, status, string(encoded), sent)
	column := map[string]string{"inbound": "last_inbound_at", "outbound": "last_outbound_at"}[direction]
	if direction == "inbound" || sent != nil {
		c.exec(`UPDATE conversations SET last_message_at = greatest(last_message_at, $2), `+column+` = greatest(`+column+`, $2) WHERE id = $1`, c.id, at)
	}
	return id
}

// hears is a message of the customer.
func (c *chat) hears(text string, at time.Time, more map[string]any) (id, event string) {
	c.t.Helper()
	c.n++
	mid := "in_" + c.Account + c.Customer + "_" + strconv.Itoa(c.n)
	event = dm.EventID(c.Channel, c.Account, dm.KindMessage, mid)
	meta := map[string]any{"event_id": event, "kind": "message", "received_at": at.Add(350 * time.Millisecond), "source": "webhook", "raw": map[string]any{"message": map[string]any{"mid": mid, "text": text}}}
	kind := "text"
	for k, v := range more {
		if k == "type" {
			kind = v.(string) //nolint:errcheck,forcetypeassert // a test
			continue
		}
		meta[k] = v
	}
	return c.row(uuid.UUID(dm.RowID("message", c.Account, mid)).String(), mid, text, kind, "inbound", "received", at, meta), event
}

// says is a message of ours that answers an event.
func (c *chat) says(text, event, status string, at time.Time, intent, delivery map[string]any) string {
	c.t.Helper()
	c.n++
	id := dm.IntentID(event, 0)
	decided := map[string]any{"id": id, "part": 0, "of": 1, "event_id": event, "origin": "rule", "created_at": at.Add(-400 * time.Millisecond)}
	for k, v := range intent {
		decided[k] = v
	}
	outcome := map[string]any{"outcome": "sent", "at": at, "attempts": []dm.Attempt{{At: at.Add(-280 * time.Millisecond), DurationMS: 280, Status: 200}}}
	for k, v := range delivery {
		outcome[k] = v
	}
	return c.row(uuid.UUID(dm.RowID("outbound", id, "0")).String(), "out_"+c.id+strconv.Itoa(c.n), text, "text", "outbound", status, at, map[string]any{"intent": decided, "delivery": outcome})
}

// busyInbox is a morning's conversations, with something of everything.
func busyInbox(t *testing.T, site *webtest.Site) (maria, evil *chat) {
	t.Helper()
	now := time.Now().UTC().Truncate(time.Second)
	maria = newChat(t, site, shop, "7001", "Maria Lindqvist")
	_, e1 := maria.hears("Hej! What is the price of the blue backpack?", now.Add(-26*time.Minute), nil)
	maria.says("Our bags start at 49 €. You find all prices at https://shop.example/prices", e1, "read", now.Add(-26*time.Minute+1200*time.Millisecond), map[string]any{
		"rule_id": uuid.NewString(), "rule_name": "Prices", "matched_on": "price",
		"trace": dm.Trace{
			Engines: []dm.TraceEngine{{Name: "rules", Outcome: "decided", Micros: 84}}, Occasions: []string{"message"}, Rules: 42, RulesVersion: "r7k2", Language: "en", At: now.Add(-26*time.Minute + 800*time.Millisecond), Micros: 96,
			Tried: []dm.TraceRule{{ID: uuid.NewString(), Name: "Black Friday prices", Version: 3, Skipped: "from", Detail: "begins 27 Nov", Keyword: "price", Words: "price"}, {ID: uuid.NewString(), Name: "Prices", Version: 5, Won: true, Keyword: "price", Words: "price"}},
		},
	}, nil)
	maria.hears("", now.Add(-22*time.Minute), map[string]any{"type": "image", "attachments": []dm.Attachment{{Type: "image", URL: "https://example.org/photo.jpg"}}})
	_, e2 := maria.hears("Is this the one? And do you ship to Norway?", now.Add(-21*time.Minute), map[string]any{
		"first_text": "Is this the one?", "edits": []map[string]any{{"number": 1, "text": "Is this the one? And do you ship to Norway?", "at": now.Add(-20 * time.Minute), "event_id": "e"}},
		"reaction": map[string]any{"emoji": "❤️", "at": now.Add(-20 * time.Minute)},
	})
	maria.says("Yes, that is our Nordic 24 l. We ship to Norway within three days.", e2, "sent", now.Add(-15*time.Minute), map[string]any{"origin": "operator", "message": map[string]any{"kind": "text", "quick_replies": []dm.QuickReply{{Title: "Order it", Payload: "O"}, {Title: "Other colours", Payload: "C"}}}}, nil)
	_, e3 := maria.hears("Great, thanks! One more question: can I return it if it does not fit?", now.Add(-4*time.Minute), nil)
	maria.says("You can return anything within 30 days.", e3, "failed", now.Add(-3*time.Minute), nil, map[string]any{
		"outcome": "failed", "reason": "This message is sent outside of allowed window.", "attempts": []dm.Attempt{{At: now.Add(-3*time.Minute - time.Second), DurationMS: 212, Status: 400, Code: 10, Subcode: 2018278, Error: "This message is sent outside of allowed window.", TraceID: "AbCd"}},
	})

	evil = newChat(t, site, shop, "7666", `<img src=x onerror="alert(1)">`)
	evil.hears(`<script>document.title="owned"</script> "><b onmouseover=alert(1)>`, now.Add(-2*time.Minute), nil)
	evil.hears("", now.Add(-time.Minute), map[string]any{"type": "file", "attachments": []dm.Attachment{{Type: "file", URL: "javascript:document.title='owned'", Title: "click me"}, {Type: "image", URL: "data:text/html,<script>1</script>"}}})

	for i, name := range []string{"Jonas Weber", "Aïcha Benali", "田中 由美", "Priya Raman", "", "Tom O’Neill", "Sofía García Hernández de la Fuente y Montenegro"} {
		c := newChat(t, site, shop, strconv.Itoa(7100+i), name)
		at := now.Add(-time.Duration(i*47+8) * time.Minute)
		_, e := c.hears([]string{"Are you open on Sunday?", "Bonjour, combien coûte le sac rouge ?", "青いバックパックはありますか？", "Where is my order 48213?", "hello?", "The zip broke after a week 😞", "Gracias, ya llegó y es precioso, muchísimas gracias por todo"}[i], at, nil)
		if i%3 != 0 {
			c.says("Thanks for your message! Someone will get back to you soon.", e, "read", at.Add(2*time.Second), map[string]any{"origin": "fallback"}, nil)
		}
	}
	return maria, evil
}

func TestTheInboxOnADesktop(t *testing.T) {
	t.Parallel()
	lookAtInbox(t, webtest.Desktop, false, "light")
}

func TestTheInboxInTheDark(t *testing.T) {
	t.Parallel()
	lookAtInbox(t, webtest.Desktop, true, "dark")
}

func TestTheInboxOnAPhone(t *testing.T) {
	t.Parallel()
	lookAtInbox(t, webtest.Phone, false, "phone")
}

// lookAtInbox opens every page of the inbox on one screen.
func lookAtInbox(t *testing.T, width int64, dark bool, name string) {
	t.Helper()
	site := webtest.Start(t, nil)
	maria, evil := busyInbox(t, site)
	agent := site.As(store.Agent)
	status, _ := agent.Post("/inbox/"+maria.id+"/take", nil)
	require.Equal(t, http.StatusSeeOther, status)
	status, _ = agent.Post("/inbox/replies", url.Values{"shortcut": {"refund"}, "body": {"Your refund is on its way: it takes three to five days."}})
	require.Equal(t, http.StatusSeeOther, status)
	var traced, failed string
	require.NoError(t, site.DB.QueryRow(t.Context(), `SELECT id FROM messages WHERE message_text LIKE 'Our bags%'`).Scan(&traced))
	require.NoError(t, site.DB.QueryRow(t.Context(), `SELECT id FROM messages WHERE status = 'failed'`).Scan(&failed))
	b := agent.Open(width, dark)
	for _, page := range []struct{ name, path, wait string }{
		{"inbox-list", "/inbox", ".talk"}, {"inbox-thread", "/inbox/" + maria.id, ".bubble"}, {"inbox-evil", "/inbox/" + evil.id, ".bubble"},
		{"inbox-trace", "/inbox/" + maria.id + "/trace/" + traced, ".timeline"}, {"inbox-trace-failed", "/inbox/" + maria.id + "/trace/" + failed, ".timeline"},
		{"inbox-replies", "/inbox/replies", ".saved-row"}, {"inbox-nothing", "/inbox?q=zzz", ".empty"},
	} {
		b.Go(page.path)
		b.Wait(page.wait)
		require.False(t, b.Overflows(), page.name+" "+name)
		b.Screenshot(page.name + "-" + name)
	}
}

func TestWhatCustomersWriteIsOnlyText(t *testing.T) {
	t.Parallel()
	site := webtest.Start(t, nil)
	_, evil := busyInbox(t, site)
	b := site.As(store.Agent).Open(webtest.Desktop, false)
	b.Go("/inbox/" + evil.id)
	b.Wait(".bubble")
	require.Contains(t, b.Text(".bubble .text"), `<script>document.title="owned"</script>`)
	b.Until(`!document.title.includes("owned") && !document.querySelector('a[href^="javascript"], img[src="x"], a[href^="data"], img[src^="data:text"]')`)
	require.Contains(t, b.Text("h2"), "<img src=x")
}

// said waits for an intent of a person on the bus.
func intents(t *testing.T, site *webtest.Site) []dm.ReplyIntent {
	t.Helper()
	var out []dm.ReplyIntent
	stream, err := site.Host.Conn.JetStream().Stream(t.Context(), topology.Intents.Name)
	require.NoError(t, err)
	info, err := stream.Info(t.Context())
	require.NoError(t, err)
	for seq := info.State.FirstSeq; seq <= info.State.LastSeq && info.State.Msgs > 0; seq++ {
		m, err := stream.GetMsg(t.Context(), seq)
		require.NoError(t, err)
		e, err := envelope.Decode[dm.ReplyIntent](m.Data)
		require.NoError(t, err)
		out = append(out, e.Data)
	}
	return out
}

func TestAMessageAppearsLiveAndAPersonAnswersItOnce(t *testing.T) {
	t.Parallel()
	site := webtest.Start(t, nil)
	now := time.Now().UTC().Truncate(time.Second)
	c := newChat(t, site, shop, "7001", "Maria Lindqvist")
	_, first := c.hears("hello", now.Add(-25*time.Hour), nil)
	b := site.As(store.Agent).Open(webtest.Desktop, false)
	b.Go("/inbox/" + c.id)
	b.Wait(".live.on")
	require.Contains(t, b.Text(".holder"), "The bot has it")
	require.Contains(t, b.Text(".standing"), "for people only")
	b.Type("#text", "I was writing this")

	_, event := c.hears("are you there?", now, nil)
	e := dm.Event{ID: event, Conversation: c.Conversation, Kind: dm.KindMessage, MID: "in_x", Text: "are you there?", MessageType: "text", KnownAccount: true, Time: now, ReceivedAt: now}
	require.NoError(t, site.Pipeline.Publish(t.Context(), site.Pipeline.Event(e, "req")))
	b.Until(`[...document.querySelectorAll(".bubble .text")].some((e) => e.textContent === "are you there?")`)
	b.Until(`document.querySelector(".standing").textContent.includes("24-hour window")`)
	b.Until(`document.querySelector("#text").value === "I was writing this"`)

	b.Click(".composer button.primary")
	b.Until(`document.querySelector("#text").value === ""`)
	b.Until(`document.querySelector(".holder").textContent.includes("Some agent has it")`)
	got := intents(t, site)
	require.Len(t, got, 1)
	require.Equal(t, dm.OriginOperator, got[0].Origin)
	require.Equal(t, "I was writing this", got[0].Parts[0].Text)
	require.Equal(t, []any{event, now}, []any{got[0].EventID, got[0].EventTime.UTC()}, "the window is that of the newest message, not of %s", first)

	b.Until(`document.activeElement.blur() === undefined`)
	b.Run(chromedp.KeyEvent("t"))
	b.Wait(".toast")
	b.Until(`document.querySelector(".holder").textContent.includes("The bot has it")`)
	b.Run(chromedp.KeyEvent("r"))
	b.Until(`document.activeElement.id === "text"`)
}

func TestADoubleClickSaysItOnce(t *testing.T) {
	t.Parallel()
	site := webtest.Start(t, nil)
	c := newChat(t, site, shop, "7001", "")
	c.hears("hello", time.Now().Add(-time.Hour), nil)
	agent := site.As(store.Agent)
	form := url.Values{"text": {"hi, how can I help?"}, "nonce": {"0123456789abcdefghij"}}
	for range 3 {
		status, to := agent.Post("/inbox/"+c.id+"/send?unread=1", form)
		require.Equal(t, http.StatusSeeOther, status)
		require.Equal(t, "/inbox/"+c.id+"?unread=1", to)
	}
	require.Len(t, intents(t, site), 1)
	form.Set("nonce", "another nonce of enough length")
	status, _ := agent.Post("/inbox/"+c.id+"/send", form)
	require.Equal(t, http.StatusSeeOther, status)
	require.Len(t, intents(t, site), 2)
}

func TestWhatCannotBeSentIsSaid(t *testing.T) {
	t.Parallel()
	site := webtest.Start(t, nil)
	agent := site.As(store.Agent)
	old, silent, young := newChat(t, site, shop, "1", ""), newChat(t, site, shop, "2", ""), newChat(t, site, shop, "3", "")
	old.hears("hello", time.Now().Add(-8*24*time.Hour), nil)
	young.hears("hello", time.Now().Add(-time.Hour), nil)
	for _, c := range []struct {
		chat        *chat
		text, nonce string
	}{
		{old, "hi", "0123456789abcdefghij"}, {silent, "hi", "0123456789abcdefghij"}, {young, " \n", "0123456789abcdefghij"},
		{young, strings.Repeat("ä", 5000), "0123456789abcdefghij"}, {young, "hi", "short"},
	} {
		status, _ := agent.Post("/inbox/"+c.chat.id+"/send", url.Values{"text": {c.text}, "nonce": {c.nonce}})
		require.Equal(t, http.StatusUnprocessableEntity, status, c.text)
	}
	require.Empty(t, intents(t, site))
}

func TestOnlyWhoMaySeesAndActs(t *testing.T) {
	t.Parallel()
	site := webtest.Start(t, nil)
	mine, other := newChat(t, site, shop, "7001", "Maria Lindqvist"), newChat(t, site, branch, "7002", "Secret Name")
	mine.hears("for the shop", time.Now().Add(-time.Hour), nil)
	id, _ := other.hears("for the branch xylophone", time.Now().Add(-time.Hour), nil)
	agent, viewer := site.As(store.Agent, shop), site.As(store.Viewer)
	status, body := agent.Get("/inbox")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, body, "Maria Lindqvist")
	require.NotContains(t, body, "Secret Name")
	_, body = agent.Get("/inbox?q=xylophone")
	require.NotContains(t, body, "Secret Name")
	_, body = agent.Get("/inbox?account=" + branch)
	require.NotContains(t, body, "Secret Name")
	for _, path := range []string{"", "/live", "/earlier", "/trace/" + id} {
		status, body = agent.Get("/inbox/" + other.id + path)
		require.Equal(t, http.StatusNotFound, status, path)
		require.NotContains(t, body, "xylophone")
	}
	status, _ = agent.Get("/inbox/" + mine.id + "/trace/" + id)
	require.Equal(t, http.StatusNotFound, status, "a message of another conversation")
	for _, action := range []string{"send", "take", "hand-back", "assign", "label", "close", "reopen", "unread", "note"} {
		form := url.Values{"text": {"hi"}, "nonce": {"0123456789abcdefghij"}, "add": {"x"}}
		status, _ = agent.Post("/inbox/"+other.id+"/"+action, form)
		require.Equal(t, http.StatusNotFound, status, action)
		status, _ = viewer.Post("/inbox/"+mine.id+"/"+action, form)
		require.Equal(t, http.StatusForbidden, status, action)
	}
	status, _ = agent.Get("/inbox/not-a-uuid")
	require.Equal(t, http.StatusNotFound, status)
	status, body = viewer.Get("/inbox/" + mine.id)
	require.Equal(t, http.StatusOK, status)
	require.NotContains(t, body, "<textarea")
	require.Empty(t, intents(t, site))
	var unread bool
	require.NoError(t, site.DB.QueryRow(t.Context(), `SELECT is_unread FROM conversations WHERE id = $1`, mine.id).Scan(&unread))
	require.True(t, unread, "who only looks leaves it unread")
}

func TestTheButtonHasASimulatedCustomerWrite(t *testing.T) {
	t.Parallel()
	asked := make(chan map[string]any, 1)
	simulator := playedSimulator(t, asked)
	site := webtest.Start(t, func(c *console.Config) { c.SimulatorURL = simulator })
	status, body := site.As(store.Agent).Get("/inbox")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, body, "Have a simulated customer write")
	status, _ = site.As(store.Agent, shop).Post("/inbox/simulate", nil)
	require.Equal(t, http.StatusSeeOther, status)
	require.Equal(t, shop, (<-asked)["account"])

	without := webtest.Start(t, nil)
	_, body = without.As(store.Agent).Get("/inbox")
	require.NotContains(t, body, "/inbox/simulate")
	status, _ = without.As(store.Agent).Post("/inbox/simulate", nil)
	require.Equal(t, http.StatusNotFound, status)
}
