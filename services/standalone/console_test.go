package standalone_test

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/services/console"
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
	w.eventually(func() bool { return w.count(`SELECT count(*) FROM messages WHERE status = 'sent'`) == 1 }, "and it is archived")

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
