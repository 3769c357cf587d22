package standalone_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/services/console"
	"github.com/parley-dm/parley/services/simulator"
)

// person is somebody of the business at the console, as a browser without scripts is.
type person struct {
	*world
	base   string
	client *http.Client
}

// signIn signs in a new agent by a one-time link.
func (w *world) signIn(addr string) *person {
	w.t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(w.t, err)
	p := &person{world: w, base: "http://" + addr, client: &http.Client{Transport: w.client.Transport, Jar: jar, Timeout: patience}}
	public, err := url.Parse(p.base)
	require.NoError(w.t, err)
	database := ""
	for _, kv := range w.environ {
		if value, ok := strings.CutPrefix(kv, "DATABASE_URL="); ok {
			database = value
		}
	}
	link, err := console.AddUser(w.t.Context(), config.Database{URL: config.Secret(database)}, public, console.NewUser{Email: "anna@example.com", Name: "Anna", Role: "agent", By: "test"})
	require.NoError(w.t, err)
	at, err := url.Parse(link)
	require.NoError(w.t, err)
	status, _ := p.submit(at.Path, url.Values{"token": {at.Query().Get("token")}})
	require.Equal(w.t, http.StatusOK, status)
	return p
}

func (p *person) submit(path string, form url.Values) (status int, body string) {
	p.t.Helper()
	return p.ask(http.MethodPost, path, strings.NewReader(form.Encode()))
}

func (p *person) look(path string) (status int, body string) {
	p.t.Helper()
	return p.ask(http.MethodGet, path, http.NoBody)
}

func (p *person) ask(method, path string, form io.Reader) (status int, body string) {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), method, p.base+path, form)
	require.NoError(p.t, err)
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	resp, err := p.client.Do(req)
	require.NoError(p.t, err)
	text, err := io.ReadAll(resp.Body)
	require.NoError(p.t, err)
	require.NoError(p.t, resp.Body.Close())
	return resp.StatusCode, string(text)
}

// The whole way: a person takes a conversation over, writes, and the customer's phone has it; the bot is silent meanwhile, and
// answers again when the conversation is handed back.
func TestAPersonTakesOverWritesAndHandsBack(t *testing.T) {
	t.Parallel()
	admin, addr := "127.0.0.1:"+freePort(t), "127.0.0.1:"+freePort(t)
	w := newWorld(t, "ADMIN_ADDR="+admin, "CONSOLE_ADDR="+addr)
	w.rule("price?", "18 each.")
	w.rule("hours?", "9 to 5.")
	w.serve()
	require.Equal(t, http.StatusOK, w.post("7001", "m_1", "price?"))
	w.eventually(func() bool { return len(w.replies("7001")) == 1 }, "the bot answers")
	w.eventually(func() bool { return w.count(`SELECT count(*) FROM messages WHERE status IN ('sent', 'received')`) == 2 }, "and both are archived")

	anna := w.signIn(addr)
	var id, heard string
	require.NoError(t, w.pool.QueryRow(t.Context(), `SELECT c.id, m.id FROM conversations c JOIN messages m ON m.conversation_id = c.id AND m.direction = 'inbound'`).Scan(&id, &heard))
	_, page := anna.look("/inbox/" + id)
	require.Contains(t, page, "The bot has it")
	_, trace := anna.look("/inbox/" + id + "/trace/" + heard)
	require.Contains(t, trace, "Decided: a rule won")
	require.Contains(t, trace, "taken by Meta")
	require.Contains(t, trace, "<svg class=\"chart\"")

	status, page := anna.submit("/inbox/"+id+"/take", nil)
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, page, "Anna has it")
	require.Equal(t, http.StatusOK, w.post("7001", "m_2", "hours?"))
	w.eventually(func() bool { return w.silent(admin, "person") }, "the bot is silent")

	form := url.Values{"text": {"Anna here: how can I help?"}, "nonce": {"a nonce of enough length"}}
	for range 2 {
		status, _ = anna.submit("/inbox/"+id+"/send", form)
		require.Equal(t, http.StatusOK, status)
	}
	w.eventually(func() bool { return len(w.replies("7001")) == 2 }, "the phone shows what Anna wrote")
	require.Equal(t, []string{"18 each.", "Anna here: how can I help?"}, w.replies("7001"))
	w.eventually(func() bool {
		return w.count(`SELECT count(*) FROM messages WHERE status = 'sent' AND metadata #>> '{intent,origin}' = 'operator'`) == 1
	}, "it is a row, sent once")

	status, _ = anna.submit("/inbox/"+id+"/label", url.Values{"add": {"vip"}})
	require.Equal(t, http.StatusOK, status)
	w.eventually(func() bool {
		return w.count(`SELECT count(*) FROM conversation_labels WHERE label = 'vip' AND present`) == 1
	}, "the label is kept")
	_, page = anna.look("/inbox?label=vip")
	require.Contains(t, page, id)
	status, _ = anna.submit("/inbox/"+id+"/label", url.Values{"remove": {"vip"}})
	require.Equal(t, http.StatusOK, status)
	w.eventually(func() bool {
		return w.count(`SELECT count(*) FROM conversation_labels WHERE label = 'vip' AND NOT present`) == 1
	}, "and taken off")

	status, page = anna.submit("/inbox/"+id+"/hand-back", nil)
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, page, "The bot has it")
	require.Equal(t, http.StatusOK, w.post("7001", "m_3", "price?"))
	w.eventually(func() bool { return len(w.replies("7001")) == 3 }, "the bot answers again")
	require.Equal(t, "18 each.", w.replies("7001")[2])
}

// decided is the row of a customer's message from us with a status, when there is one.
func (w *world) decided(customer, status string) (id string) {
	w.t.Helper()
	w.eventually(func() bool {
		return w.pool.QueryRow(w.t.Context(), `SELECT m.id::text FROM messages m JOIN conversations c ON c.id = m.conversation_id
			WHERE c.instagram_user_id = $1 AND m.direction = 'outbound' AND m.status = $2`, customer, status).Scan(&id) == nil
	}, "the message to "+customer+" is "+status)
	return id
}

// What failed, and what nobody knows of, is settled at the console, and the stages do what was decided: what was sent is not sent
// again, what is sent again is sent once.
func TestAPersonSettlesWhatFailedAndWhatIsInDoubt(t *testing.T) {
	t.Parallel()
	addr := "127.0.0.1:" + freePort(t)
	w := newWorld(t, "CONSOLE_ADDR="+addr, "SEND_TIMEOUT=1s", "DOUBT_TIMEOUT=31s")
	w.rule("price?", "18 each.")
	const arrived, lost, refused = "7001", "7002", "7003"
	for _, f := range []simulator.Fault{
		{Customer: arrived, Kind: "reset_after"}, {Customer: arrived, Kind: "no_echo"}, {Customer: lost, Kind: "reset_before"},
		{Customer: refused, Kind: "error", Code: 100},
	} {
		f.Count = 1
		_, err := w.meta.AddFault(f)
		require.NoError(t, err)
	}
	silent := func(rw http.ResponseWriter, r *http.Request) bool { // Meta does not say what was sent
		if !strings.HasSuffix(r.URL.Path, "/conversations") {
			return false
		}
		rw.WriteHeader(http.StatusInternalServerError)
		return true
	}
	w.between.Store(&silent)
	w.serve()
	for n, customer := range []string{arrived, lost, refused} {
		require.Equal(t, http.StatusOK, w.post(customer, fmt.Sprintf("m_%d", n), "price?"))
	}
	failed, unknown, other := w.decided(refused, "failed"), w.decided(arrived, "unknown"), w.decided(lost, "unknown")
	require.Equal(t, []string{"18 each."}, w.replies(arrived))
	require.Empty(t, w.replies(lost))
	require.Empty(t, w.replies(refused))

	anna := w.signIn(addr)
	_, page := anna.look("/failures")
	require.Contains(t, page, "It may have been sent")
	for _, decision := range []url.Values{{"id": {unknown}, "decision": {"was_sent"}}, {"id": {other}, "decision": {"send_again"}}} {
		status, _ := anna.submit("/failures/decide", decision)
		require.Equal(t, http.StatusOK, status)
	}
	for range 2 { // a double click
		status, _ := anna.submit("/failures/replay", url.Values{"id": {failed}})
		require.Equal(t, http.StatusOK, status)
	}
	require.Equal(t, unknown, w.decided(arrived, "sent"), "its row says what somebody found out")
	require.Equal(t, 1, w.count(`SELECT count(*) FROM messages WHERE id = $1 AND metadata #>> '{delivery,reason}' = 'decided by anna@example.com'`, unknown))
	w.eventually(func() bool { return len(w.replies(lost)) == 1 && len(w.replies(refused)) == 1 }, "both are sent again")
	for customer, before := range map[string]string{lost: other, refused: failed} {
		require.NotEqual(t, before, w.decided(customer, "sent"), "as a message of its own")
	}
	_, page = anna.look("/failures")
	require.Contains(t, page, "Nothing has failed")
	for _, customer := range []string{arrived, lost, refused} {
		require.Equal(t, []string{"18 each."}, w.replies(customer), "once")
	}
}
