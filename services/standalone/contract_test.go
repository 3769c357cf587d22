package standalone_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/services/simulator"
)

// What the contract promises and only all services together can keep, tried from outside.

// hook is the body of a webhook with these items.
func hook(account string, items ...string) string {
	return fmt.Sprintf(`{"object":"instagram","entry":[{"id":%q,"time":%d,"messaging":[%s]}]}`, account, time.Now().UnixMilli(), strings.Join(items, ","))
}

// item is one item of a customer; what is what happened, as Meta writes it.
func item(customer, what string) string {
	return fmt.Sprintf(`{"sender":{"id":%q},"recipient":{"id":%q},"timestamp":%d,%s}`, customer, page, time.Now().UnixMilli(), what)
}

// message is an item with a message, whose mid is its customer's.
func message(customer, rest string) string {
	return item(customer, fmt.Sprintf(`"message":{"mid":"m_%s",%s}`, customer, rest))
}

// send posts a body that is signed with a secret.
func (w *world) send(secret, body string) int {
	w.t.Helper()
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = io.WriteString(mac, body)
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.webhook, bytes.NewBufferString(body))
	require.NoError(w.t, err)
	req.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	status, _ := w.do(req)
	return status
}

// do makes a request and returns its status and body.
func (w *world) do(req *http.Request) (status int, body string) {
	res, err := w.client.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	b, _ := io.ReadAll(res.Body)
	_ = res.Body.Close()
	return res.StatusCode, string(b)
}

func TestEachInputOfACustomerIsAnsweredOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	attachment := func(kind string) string {
		return `"attachments":[{"type":"` + kind + `","payload":{"url":"https://cdn.test/x"}}]`
	}
	answered := map[string][2]string{ // customer: message_type and item
		"7001": {"text", message("7001", `"text":"hello"`)},
		"7002": {"image", message("7002", attachment("image"))},
		"7003": {"story_mention", message("7003", attachment("story_mention"))},
		"7004": {"share", message("7004", attachment("ig_reel"))},
		"7005": {"ephemeral", message("7005", `"attachments":[{"type":"ephemeral"}]`)},
		"7006": {"hologram", message("7006", attachment("hologram"))},
		"7007": {"unsupported", message("7007", `"is_unsupported":true`)},
		"7008": {"story_reply", message("7008", `"text":"nice","reply_to":{"story":{"url":"U","id":"S"}}`)},
		"7009": {"text", message("7009", `"text":"Title","quick_reply":{"payload":"P"}`)},
		"7010": {"postback", item("7010", `"postback":{"mid":"m_7010","title":"T","payload":"P"}`)},
		"7011": {"text", item("7011", `"message":{"text":"no mid"}`)},
	}
	silent := []string{
		fmt.Sprintf(`{"sender":{"id":%q},"recipient":{"id":"8001"},"message":{"mid":"m_8001","text":"ours","is_echo":true}}`, page),
		message("8002", `"is_deleted":true`), message("8003", `"text":""`),
		item("8004", `"reaction":{"mid":"m_7001","action":"react","reaction":"love","emoji":"❤"}`), item("8005", `"read":{"mid":"m_7001"}`),
		item("8006", `"message_edit":{"mid":"m_8006","text":"new","num_edit":1}`), item("8007", `"referral":{"ref":"r","source":"X","type":"OPEN_THREAD"}`),
		item("8008", `"pass_thread_control":{"new_owner_app_id":1}`), item("8009", `"brand_new":{"x":1}`),
		strings.Replace(message("8010", `"text":"late"`), `"timestamp":`, `"timestamp":1500000000000,"x":`, 1),
		`null`, `"text"`, `{}`, `{"sender":{"id":{}},"message":7}`,
	}
	w.serve()
	items := silent
	for _, a := range answered {
		items = append(items, a[1])
	}
	require.Equal(t, http.StatusOK, w.send("demo-secret", hook(page, items...)), "one bad item does not harm the others")
	require.Equal(t, http.StatusOK, w.send("demo-secret", hook("999", message("8011", `"text":"to an account that is not ours"`))))
	w.eventually(func() bool {
		return w.count(`SELECT count(*) FROM messages WHERE direction = 'outbound' AND status = 'sent' AND mid <> 'm_8001'`) == len(answered)
	}, "all are answered")
	w.eventually(func() bool { return w.count(`SELECT count(*) FROM events WHERE kind = 'unknown'`) == 5 }, "what is not understood is kept")
	for customer, a := range answered {
		require.Len(t, w.replies(customer), 1, a[1])
		w.eventually(func() bool {
			return w.count(`SELECT count(*) FROM messages WHERE sender_id = $1 AND message_type = $2 AND status = 'received'`, customer, a[0]) == 1
		}, a[1])
	}
	require.Equal(t, len(answered), w.meta.Totals().Replies, "and nobody else is")
	w.eventually(func() bool {
		return w.count(`SELECT count(*) FROM messages WHERE mid = 'm_8001' AND direction = 'outbound'`) == 1
	}, "what the account said itself is kept")
}

func TestTheSameWebhookManyTimesAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.serve()
	same := message("7001", `"text":"hello"`)
	var posts sync.WaitGroup
	statuses := make([]int, 20)
	for i := range statuses {
		posts.Go(func() { statuses[i] = w.send("demo-secret", hook(page, same, same)) })
	}
	posts.Wait()
	for _, s := range statuses {
		require.Equal(t, http.StatusOK, s)
	}
	// What comes after it, in the same conversation, is answered after it.
	require.Equal(t, http.StatusOK, w.post("7001", "m_after", "and now?"))
	w.eventually(func() bool { return w.count(`SELECT count(*) FROM messages WHERE status = 'sent'`) == 2 }, "both are answered")
	require.Len(t, w.replies("7001"), 2)
	w.eventually(func() bool { return w.count(`SELECT count(*) FROM messages WHERE mid IN ('m_7001', 'm_after')`) == 2 }, "one row each")
}

func TestTextsOfAnyKindAreKeptAndAnswered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.serve()
	texts := []struct{ json, want string }{
		{`a\u0000b`, "a\uFFFDb"}, {`a\ud800b\udc00`, "a\uFFFDb\uFFFD"}, {"a\xffb", "a\uFFFDb"}, {`👨‍👩‍👧‍👦 \ud83d\ude00`, "👨‍👩‍👧‍👦 😀"}, {"كم السعر؟ שלום", "كم السعر؟ שלום"},
		{strings.Repeat(`\ud83d\ude00`, 20_000), strings.Repeat("😀", 20_000)}, {strings.Repeat("<", 20_000), strings.Repeat("<", 20_000)},
	}
	for i, c := range texts {
		require.Equal(t, http.StatusOK, w.send("demo-secret", hook(page, message(fmt.Sprint(7000+i), `"text":"`+c.json+`"`))))
	}
	w.eventually(func() bool { return w.count(`SELECT count(*) FROM messages WHERE status = 'sent'`) == len(texts) }, "all are answered")
	for i, c := range texts {
		w.eventually(func() bool {
			return w.count(`SELECT count(*) FROM messages WHERE sender_id = $1 AND message_text = $2`, fmt.Sprint(7000+i), c.want) == 1
		}, c.json[:min(len(c.json), 20)])
	}
}

func TestALongReplyArrivesInPieces(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	family := strings.Repeat("👨‍👩‍👧‍👦", 120)
	w.rule("family", family)
	w.serve()
	require.Equal(t, http.StatusOK, w.post("7001", "m_1", "family"))
	w.eventually(func() bool { return strings.Join(w.replies("7001"), "") == family }, "all of it, in order")
	pieces := w.replies("7001")
	for _, p := range pieces {
		require.LessOrEqual(t, len(p), 1000)
		require.Zero(t, len(p)%len("👨‍👩‍👧‍👦"), "no family is torn apart")
	}
	w.eventually(func() bool { return w.count(`SELECT count(*) FROM messages WHERE status = 'sent'`) == len(pieces) }, "each piece is a row")
}

func TestAnyClientCanReadTheEnvelopes(t *testing.T) {
	t.Parallel()
	listen := "127.0.0.1:" + freePort(t)
	w := newWorld(t, "NATS_LISTEN="+listen)
	w.serve()
	nc, err := nats.Connect("nats://" + listen)
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	sub, err := nc.SubscribeSync("dm.>")
	require.NoError(t, err)
	require.NoError(t, nc.Flush())
	require.Equal(t, http.StatusOK, w.post("7001", "m_1", "hello"))
	cause := ""
	for _, stage := range []string{"dm.event.", "dm.intent.", "dm.delivery."} {
		m, err := sub.NextMsg(patience)
		// What the sender found out of the customer comes when it comes, and an echo may overtake the delivery that it is of.
		for err == nil && (strings.HasSuffix(m.Subject, ".profile") || strings.HasSuffix(m.Subject, ".echo")) {
			m, err = sub.NextMsg(patience)
		}
		require.NoError(t, err)
		var e struct {
			ID, Type, Account, Conversation string
			Version                         int
			Time                            time.Time
			Correlation                     string `json:"correlation_id"`
			Causation                       string `json:"causation_id"`
			Data                            map[string]any
		}
		require.NoError(t, json.Unmarshal(m.Data, &e))
		require.True(t, strings.HasPrefix(m.Subject, stage) && strings.HasPrefix(stage, e.Type), m.Subject)
		require.Equal(t, m.Header.Get("Nats-Msg-Id"), e.ID)
		require.Equal(t, []any{page, "instagram:" + page + ":7001", 1}, []any{e.Account, e.Conversation, e.Version})
		require.WithinDuration(t, time.Now(), e.Time, patience)
		require.NotEmpty(t, e.Data)
		require.NotEmpty(t, e.Correlation)
		require.True(t, cause == "" || e.Causation == cause, "each names the one before it")
		cause = e.ID
		if stage == "dm.delivery." {
			break
		}
	}
}

func TestRepliesGoOnWithoutPostgreSQLAndRowsCatchUp(t *testing.T) {
	t.Parallel()
	admin := "127.0.0.1:" + freePort(t)
	w := newWorld(t, "ADMIN_ADDR="+admin)
	w.rule("price?", "18 each.")
	w.serve()
	ready := func() (int, string) {
		req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+admin+"/readyz", nil)
		require.NoError(t, err)
		return w.do(req)
	}
	status, body := ready()
	require.Equal(t, http.StatusOK, status, body)

	name, open := w.closeDatabase()
	w.eventually(func() bool {
		status, body = ready()
		return status == http.StatusServiceUnavailable && strings.Contains(body, `{"name":"archiver.postgres","ok":false,`)
	}, "it says that "+name+" is away")
	require.Equal(t, http.StatusOK, w.post("7001", "m_1", "Price?"))
	w.eventually(func() bool { return len(w.replies("7001")) == 1 }, "it answers by the rules it last knew")
	require.Equal(t, "18 each.", w.replies("7001")[0])
	open()
	w.eventually(func() bool { status, _ = ready(); return status == http.StatusOK }, "it is ready again")
	w.eventually(func() bool {
		return w.count(`SELECT count(*) FROM messages WHERE mid = 'm_1' OR status = 'sent'`) == 2
	}, "nothing of it is missing")
}

// closeDatabase lets nobody into the world's database, and ends who is in, until open is called.
func (w *world) closeDatabase() (name string, open func()) {
	w.t.Helper()
	name = w.pool.Config().ConnConfig.Database
	var target *url.URL
	for _, kv := range w.environ {
		if v, ok := strings.CutPrefix(kv, "DATABASE_URL="); ok {
			var err error
			target, err = url.Parse(v)
			require.NoError(w.t, err)
		}
	}
	target.Path = "/postgres"
	conn, err := pgx.Connect(w.t.Context(), target.String())
	require.NoError(w.t, err)
	do := func(sql string) {
		_, err := conn.Exec(context.Background(), sql)
		require.NoError(w.t, err)
	}
	do(`ALTER DATABASE "` + name + `" ALLOW_CONNECTIONS false`)
	do(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '` + name + `'`)
	w.t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return name, func() {
		do(`ALTER DATABASE "` + name + `" ALLOW_CONNECTIONS true`)
		w.pool.Reset() // the test's own connections were ended too
	}
}

func TestAccountsHaveTheirOwnSecretsAndPolicies(t *testing.T) {
	t.Parallel()
	const archived = "17841400000000002"
	file := filepath.Join(t.TempDir(), "accounts.yaml")
	require.NoError(t, os.WriteFile(file, []byte(`accounts:
  - {id: "`+page+`", token: demo-token}
  - {id: "`+archived+`", reply: false, app_secret: its-own}
`), 0o600))
	w := newWorld(t, "ACCOUNTS_FILE="+file, "INSTAGRAM_PAGE_ID=", "INSTAGRAM_PAGE_ACCESS_TOKEN=")
	w.serve()
	require.Equal(t, http.StatusUnauthorized, w.send("not-its-own", hook(archived, message("7001", `"text":"hello"`))))
	require.Equal(t, http.StatusOK, w.send("its-own", hook(archived, message("7001", `"text":"hello"`))))
	require.Equal(t, http.StatusOK, w.send("demo-secret", hook(page, message("7001", `"text":"hello"`))), "one customer, two accounts, one mid")
	w.eventually(func() bool { return w.count(`SELECT count(*) FROM messages`) == 3 }, "two of the customer's, and a reply")
	require.Equal(t, 2, w.count(`SELECT count(*) FROM conversations WHERE instagram_user_id = '7001'`))
	w.eventually(func() bool { return len(w.replies("7001")) == 1 }, "one of them is answered")
	require.Empty(t, w.meta.Messages(simulator.Key{Account: archived, Customer: "7001"}), "the other is archived")
}
