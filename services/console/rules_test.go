package console_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/repository"
	"github.com/parley-dm/parley/pkg/rules"
	"github.com/parley-dm/parley/services/console/internal/store"
	"github.com/parley-dm/parley/services/console/internal/webtest"
)

// ruleForm is what the form of a plain rule sends.
func ruleForm(name, keywords, text string) url.Values {
	return url.Values{
		"as": {"form"}, "do": {"save"}, "name": {name}, "priority": {"10"}, "active": {"1"}, "keywords": {keywords}, "match_type": {"word"}, "response_text": {text},
	}
}

// addRule stores a rule as somebody would.
func addRule(t *testing.T, site *webtest.Site, r rules.Rule) repository.Rule {
	t.Helper()
	stored, err := site.Store.Rules().Create(t.Context(), repository.Rule{Rule: r}, "test")
	require.NoError(t, err)
	return stored
}

// send posts a form and returns the answer's status and text.
func send(t *testing.T, site *webtest.Site, p *webtest.Person, path string, form url.Values) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, site.URL+path, strings.NewReader(form.Encode()))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := p.Do(req)
	require.NoError(t, err)
	var b strings.Builder
	require.NoError(t, resp.Write(&b))
	require.NoError(t, resp.Body.Close())
	return resp.StatusCode, b.String()
}

func TestARuleIsMadeChangedUndoneAndDeleted(t *testing.T) {
	t.Parallel()
	site := webtest.Start(t, nil)
	agent := site.As(store.Agent)
	form := ruleForm("Prices", "price\r\nhow much\r\n\r\n", "See {{customer.first_name | \"there\"}}")
	form.Set("quick_replies", "Sale | SALE\r\nNew")
	form.Set("when.hours.zone", "Europe/Berlin")
	form["when.hours.days"] = []string{"mon", "fri"}
	form.Set("when.customers", "new")
	form.Set("then.labels", "asks for prices, lead")
	form.Set("limits.cooldown", "90m")
	status, to := agent.Post("/rules/new", form)
	require.Equal(t, http.StatusSeeOther, status)
	id := strings.TrimPrefix(to, "/rules/")
	made, err := site.Store.Rules().Get(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, []string{"price", "how much"}, made.Keywords)
	require.Equal(t, agent.User.Email, made.UpdatedBy)
	require.Equal(t, []string{"mon", "fri"}, made.When.Hours.Days)
	require.Equal(t, rules.NewCustomers, made.When.Customers)
	require.Equal(t, []string{"asks for prices", "lead"}, made.Then.Labels)
	require.Equal(t, rules.Duration(90*time.Minute), made.Limits.Cooldown)
	require.Equal(t, "SALE", made.Then.Reply[0].QuickReplies[0].Payload)

	_, list := agent.Get("/rules")
	require.Contains(t, list, "Prices")
	status, _ = agent.Post("/rules/"+id+"/active", url.Values{"version": {"1"}, "active": {"0"}})
	require.Equal(t, http.StatusSeeOther, status)
	_, history := agent.Get("/rules/" + id + "/history")
	require.Contains(t, history, "changed on or off")
	require.Contains(t, history, agent.User.Email)
	_, to = agent.Post("/rules/"+id+"/restore", url.Values{"version": {"1"}})
	require.Equal(t, "/rules/"+id, to)
	undone, err := site.Store.Rules().Get(t.Context(), id)
	require.NoError(t, err)
	require.True(t, undone.Active)
	require.Equal(t, 3, undone.Version)

	_, to = agent.Post("/rules/"+id+"/delete", url.Values{"version": {"3"}})
	require.Equal(t, "/rules/"+id+"/history", to)
	status, _ = agent.Get("/rules/" + id)
	require.Equal(t, http.StatusNotFound, status)
	_, history = agent.Get("/rules/history")
	require.Contains(t, history, "deleted")
	status, _ = agent.Post("/rules/"+id+"/restore", url.Values{"version": {"3"}})
	require.Equal(t, http.StatusSeeOther, status, "a deleted one comes back")
	for _, action := range []string{"rule.created", "rule.switched_off", "rule.deleted"} {
		require.Equal(t, 1, count(t, site, `SELECT count(*) FROM audit_log WHERE action = $1 AND target = $2 AND actor = $3`, action, "rule:"+id, agent.User.Email), action)
	}
	require.Equal(t, 2, count(t, site, `SELECT count(*) FROM audit_log WHERE action = 'rule.restored'`))
}

func TestAViewerLooksAtRulesOnly(t *testing.T) {
	t.Parallel()
	site := webtest.Start(t, nil)
	rule := addRule(t, site, rules.Rule{Name: "Prices", Keywords: []string{"price"}, Response: "See there", Active: true})
	viewer := site.As(store.Viewer)
	for _, path := range []string{"/rules", "/rules/" + rule.ID, "/rules/" + rule.ID + "?yaml", "/rules/history", "/rules/" + rule.ID + "/history", "/rules/export"} {
		status, body := viewer.Get(path)
		require.Equal(t, http.StatusOK, status, path)
		require.NotContains(t, body, `value="save"`)
	}
	for _, path := range []string{"/rules/new", "/rules/import"} {
		status, _ := viewer.Get(path)
		require.Equal(t, http.StatusForbidden, status, path)
	}
	for _, path := range []string{"/rules/new", "/rules/import", "/rules/preview", "/rules/" + rule.ID, "/rules/" + rule.ID + "/active", "/rules/" + rule.ID + "/delete", "/rules/" + rule.ID + "/restore"} {
		status, _ := viewer.Post(path, ruleForm("Evil", "x", "y"))
		require.Equal(t, http.StatusForbidden, status, path)
	}
	require.Equal(t, 1, count(t, site, `SELECT count(*) FROM response_rule_versions`))
}

func TestTwoWhoChangeOneRuleAreTold(t *testing.T) {
	t.Parallel()
	site := webtest.Start(t, nil)
	rule := addRule(t, site, rules.Rule{Name: "Prices", Keywords: []string{"price"}, Response: "See there", Active: true})
	ann, ben := site.As(store.Agent), site.As(store.Agent)
	hers, his := ruleForm("Prices", "price", "hers"), ruleForm("Prices", "price", "his own words")
	hers.Set("version", "1")
	his.Set("version", "1")
	status, _ := ann.Post("/rules/"+rule.ID, hers)
	require.Equal(t, http.StatusSeeOther, status)
	status, body := send(t, site, ben, "/rules/"+rule.ID, his)
	require.Equal(t, http.StatusConflict, status)
	require.Contains(t, body, ann.User.Email)
	require.Contains(t, body, "his own words")
	require.Contains(t, body, `name="version" value="2"`)
	now, err := site.Store.Rules().Get(t.Context(), rule.ID)
	require.NoError(t, err)
	require.Equal(t, "hers", now.Response)
	_, to := ben.Post("/rules/"+rule.ID+"/delete", url.Values{"version": {"1"}})
	require.Equal(t, "/rules/"+rule.ID, to, "nor is it deleted")
	status, _ = ben.Get(to)
	require.Equal(t, http.StatusOK, status)
}

func TestWhatIsWrongIsSaidAtItsField(t *testing.T) {
	t.Parallel()
	site := webtest.Start(t, nil)
	agent := site.As(store.Agent)
	form := ruleForm("Bad", "(unclosed", "x")
	form.Set("match_type", "regex")
	form.Set("priority", "high")
	form.Set("limits.cooldown", "soon")
	form.Set("when.languages", "klingon")
	status, body := send(t, site, agent, "/rules/new", form)
	require.Equal(t, http.StatusUnprocessableEntity, status)
	for _, field := range []string{"keywords", "priority", "cooldown", "languages"} {
		require.Contains(t, body, `id="`+field+`-problem"`)
	}
	require.Contains(t, body, "(unclosed</textarea>")
	status, body = send(t, site, agent, "/rules/new", url.Values{"as": {"yaml"}, "do": {"save"}, "yaml": {"rules:\n- name: A\n  kewords: [a]\n"}})
	require.Equal(t, http.StatusUnprocessableEntity, status)
	require.Contains(t, body, "rule:3:")
	require.Zero(t, count(t, site, `SELECT count(*) FROM response_rules`))

	addRule(t, site, rules.Rule{Name: "Broken", Keywords: []string{"("}, MatchType: rules.MatchRegex, Response: "x", Active: true})
	addRule(t, site, rules.Rule{Name: "First", Keywords: []string{"price"}, Priority: 9, Response: "x", Active: true})
	addRule(t, site, rules.Rule{Name: "Never", Keywords: []string{"price list"}, Response: "x", Active: true})
	_, body = agent.Get("/rules")
	require.Contains(t, body, "expected RE2 expressions")
	require.Contains(t, body, "Never wins: “First” always comes first")
}

func TestTheFormLosesNothingThatItDoesNotShow(t *testing.T) {
	t.Parallel()
	site := webtest.Start(t, nil)
	agent := site.As(store.Agent)
	yaml := `rules:
- name: Rich
  priority: 4
  keywords: [price]
  when: {payloads: [PRICE], labels: [lead], hours: {zone: Europe/Berlin, from: "10:00", to: "19:00", holidays: [2026-12-25]}}
  then:
    reply: [{variants: [One, Two], choose: turn}, {text: More}]
    by_language: {de: [{text: Preise}]}
  limits: {cooldown: 24h, from: 2026-11-20T00:00:30+01:00}
`
	status, to := agent.Post("/rules/new", url.Values{"as": {"yaml"}, "do": {"save"}, "yaml": {yaml}})
	require.Equal(t, http.StatusSeeOther, status)
	id := strings.TrimPrefix(to, "/rules/")
	before, err := site.Store.Rules().Get(t.Context(), id)
	require.NoError(t, err)
	browser := agent.Open(webtest.Desktop, false)
	browser.Go(to)
	browser.Click(`button[value="save"]`)
	browser.Wait(".toast")
	browser.Run(chromedp.Navigate("about:blank")) // it listens for changes, and would see the console stop
	after, err := site.Store.Rules().Get(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, before, after, "saving the form as it is changes nothing, not even the version")
}

func TestHostileNamesAreTextOnEveryPage(t *testing.T) {
	t.Parallel()
	site := webtest.Start(t, nil)
	const evil = `"><script>alert(1)</script>`
	rule := addRule(t, site, rules.Rule{Name: evil, Keywords: []string{evil}, Response: evil, Active: true})
	agent := site.As(store.Agent)
	for _, path := range []string{"/rules", "/rules/" + rule.ID, "/rules/" + rule.ID + "?yaml", "/rules/history", "/rules/" + rule.ID + "/history"} {
		_, body := agent.Get(path)
		require.NotContains(t, body, "<script>alert", path)
		require.Contains(t, body, "&lt;script&gt;", path)
	}
	_, body := send(t, site, agent, "/rules/preview", ruleForm(evil, evil, evil))
	require.NotContains(t, body, "<script>")
}

// wrote writes a conversation of one customer with one message and, where a rule answered, its answer.
func wrote(t *testing.T, site *webtest.Site, account, customer, text, ruleID string, age time.Duration) {
	t.Helper()
	at := time.Now().Add(-age)
	var conversation string
	require.NoError(t, site.DB.QueryRow(t.Context(), `INSERT INTO conversations (page_id, instagram_user_id, last_message_at) VALUES ($1, $2, $3)
		RETURNING id::text`, account, customer, at).Scan(&conversation))
	_, err := site.DB.Exec(t.Context(), `INSERT INTO messages (conversation_id, account, sender_id, recipient_id, message_text, direction, timestamp, status, metadata)
		VALUES ($1, $2, $3, $2, $4, 'inbound', $5, 'received', '{"kind": "message"}')`, conversation, account, customer, text, at)
	require.NoError(t, err)
	if ruleID == "" {
		return
	}
	for part := range 2 {
		_, err = site.DB.Exec(t.Context(), `INSERT INTO messages (conversation_id, account, sender_id, recipient_id, message_text, direction, timestamp, status, metadata)
			VALUES ($1, $2, $2, $3, 'answer', 'outbound', $4, 'sent', jsonb_build_object('intent', jsonb_build_object('rule_id', $5::text, 'part', $6::int)))`,
			conversation, account, customer, at, ruleID, part)
		require.NoError(t, err)
	}
}

func TestHitsAndTheDryRunAreOfTheLastWeekAndOfOnesOwnAccounts(t *testing.T) {
	t.Parallel()
	site := webtest.Start(t, nil)
	rule := addRule(t, site, rules.Rule{Name: "Prices", Keywords: []string{"price"}, Response: "See there", Active: true})
	wrote(t, site, "shop", "1", "what is the price of it", rule.ID, time.Hour)
	wrote(t, site, "shop", "2", "how about shipping to Rome", "", 2*time.Hour)
	wrote(t, site, "other", "3", "shipping to Oslo", rule.ID, 3*time.Hour)
	wrote(t, site, "shop", "4", "shipping of old", rule.ID, 8*24*time.Hour)

	hits, err := site.Store.RuleHits(t.Context(), store.All)
	require.NoError(t, err)
	require.Equal(t, map[string]int{rule.ID: 2}, hits, "an answer of two parts is one, and an old one is none")
	hits, err = site.Store.RuleHits(t.Context(), store.Scope{"shop"})
	require.NoError(t, err)
	require.Equal(t, map[string]int{rule.ID: 1}, hits)

	form := ruleForm("Shipping", "shipping", "Two days")
	form.Set("do", "try")
	_, body := send(t, site, site.As(store.Agent), "/rules/new", form)
	require.Contains(t, body, "<strong>2</strong> of 3 messages would be answered differently")
	require.Contains(t, body, "shipping to Oslo")
	_, body = send(t, site, site.As(store.Agent, "shop"), "/rules/new", form)
	require.Contains(t, body, "<strong>1</strong> of 2 messages would be answered differently")
	require.Contains(t, body, "shipping to Rome")
	require.NotContains(t, body, "shipping to Oslo")
	form = ruleForm("Prices", "price", "See here")
	form.Set("do", "try")
	form.Set("version", "1")
	_, body = send(t, site, site.As(store.Agent), "/rules/"+rule.ID, form)
	require.Contains(t, body, "<strong>1</strong> of 3 messages would be answered differently")
	require.Contains(t, body, "the same rule, with another answer")
	require.Equal(t, 1, count(t, site, `SELECT count(*) FROM response_rule_versions`), "trying changes nothing")
}

func TestHitsAreCountedByTheirIndex(t *testing.T) {
	t.Parallel()
	site := webtest.Start(t, nil)
	addRule(t, site, rules.Rule{Name: "Prices", Keywords: []string{"price"}, Response: "See there", Active: true})
	_, err := site.DB.Exec(t.Context(), `INSERT INTO conversations (page_id, instagram_user_id) VALUES ('shop', '1')`)
	require.NoError(t, err)
	_, err = site.DB.Exec(t.Context(), `INSERT INTO messages (conversation_id, account, sender_id, recipient_id, direction, timestamp, status, metadata)
		SELECT c.id, 'shop', 'shop', '1', 'outbound', now() - n * interval '1 minute', 'sent',
			jsonb_build_object('intent', jsonb_build_object('rule_id', (SELECT id FROM response_rules), 'part', 0))
		FROM conversations c, generate_series(1, 3000) n`)
	require.NoError(t, err)
	hits, err := site.Store.RuleHits(t.Context(), store.All)
	require.NoError(t, err)
	for _, n := range hits {
		require.Equal(t, store.MaxHits, n, "no further than that")
	}
	_, body := site.As(store.Viewer).Get("/rules")
	require.Contains(t, body, "1,000+")
	require.Equal(t, 1, count(t, site, `SELECT count(*) FROM pg_stat_user_indexes WHERE indexrelname = 'messages_of_rule'`))
}

func TestAFileIsSeenBeforeItIsImported(t *testing.T) {
	t.Parallel()
	site := webtest.Start(t, nil)
	agent := site.As(store.Agent)
	addRule(t, site, rules.Rule{Name: "Prices", Keywords: []string{"price"}, Response: "See there", Active: true})
	addRule(t, site, rules.Rule{Name: "Old", Keywords: []string{"old"}, Response: "x", Active: true})
	_, exported := agent.Get("/rules/export")
	require.Contains(t, exported, "- id: ")
	form := url.Values{"replace": {"1"}, "yaml": {"rules:\n- {name: Prices, keywords: [price], response_text: See here}\n- {name: New, keywords: [new], response_text: y}\n"}}
	status, body := send(t, site, agent, "/rules/import", form)
	require.Equal(t, http.StatusOK, status)
	for _, line := range []string{`new</span> <span class="break">New`, `changed</span> <span class="break">Prices`, `removed</span> <span class="break">Old`} {
		require.Contains(t, body, line)
	}
	require.Equal(t, 2, count(t, site, `SELECT count(*) FROM response_rule_versions`), "nothing is changed yet")
	_, sum, ok := strings.Cut(body, `name="sum" value="`)
	require.True(t, ok)
	sum, _, _ = strings.Cut(sum, `"`)
	form.Set("do", "apply")
	form.Set("sum", "something else")
	_, body = send(t, site, agent, "/rules/import", form)
	require.Contains(t, body, "Nothing was changed")
	form.Set("sum", sum)
	status, to := agent.Post("/rules/import", form)
	require.Equal(t, http.StatusSeeOther, status)
	require.Equal(t, "/rules", to)
	require.Equal(t, 2, count(t, site, `SELECT count(*) FROM response_rules WHERE name IN ('Prices', 'New')`))
	require.Equal(t, 1, count(t, site, `SELECT count(*) FROM audit_log WHERE action = 'rules.imported' AND detail->>'removed' = '1'`))

	status, body = send(t, site, agent, "/rules/import", url.Values{"yaml": {"rules:\n- {name: A, keywords: ['('], match_type: regex, response_text: y}\n"}})
	require.Equal(t, http.StatusUnprocessableEntity, status)
	require.Contains(t, body, "rules[0].keywords")
	status, _ = agent.Post("/rules/import", url.Values{"yaml": {strings.Repeat("#", 300<<10)}})
	require.Equal(t, http.StatusBadRequest, status, "too large")
}

func TestRulesInABrowser(t *testing.T) {
	t.Parallel()
	for name, screen := range map[string]struct {
		width int64
		dark  bool
	}{"light": {webtest.Desktop, false}, "dark": {webtest.Desktop, true}, "phone": {webtest.Phone, true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			site := webtest.Start(t, nil)
			prices := rulesToLookAt(t, site)
			b := site.As(store.Agent).Open(screen.width, screen.dark)
			for path, page := range map[string]string{
				"/rules": "rules", "/rules/" + prices.ID: "rules-edit", "/rules/" + prices.ID + "?yaml": "rules-yaml", "/rules/import": "rules-import",
				"/rules/" + prices.ID + "/history": "rules-history",
			} {
				b.Go(path)
				require.False(t, b.Overflows(), path)
				b.Screenshot(page + "-" + name)
			}
			b.Go("/rules/new")
			b.Type("#name", "Shipping")
			b.Type("#keywords", "ship")
			b.Type("#response_text", "Hi {{customer.first_name}}, two days.")
			b.Type("#quick_replies", "Track it\nA person | PERSON")
			b.Until(`document.querySelector("#phone .bubble.out")?.textContent.includes("Hi Mara, two days.") && document.querySelectorAll("#phone .phone-quick span").length === 2`)
			b.Click(`button[value="try"]`)
			b.Wait("#trial")
			require.Contains(t, b.Text("#trial"), "1 of 2 messages would be answered differently")
			require.False(t, b.Overflows())
			b.Screenshot("rules-try-" + name)
			b.Run(chromedp.Navigate("about:blank")) // it listens for changes, and would see the console stop
		})
	}
}

// rulesToLookAt are one that is well, one that never wins, one that is broken and one that is off, and two messages.
func rulesToLookAt(t *testing.T, site *webtest.Site) repository.Rule {
	t.Helper()
	prices := addRule(t, site, rules.Rule{
		Name: "Prices", Keywords: []string{"price", "how much", "was kostet"}, MatchType: rules.MatchWord, Priority: 40, Response: "All prices are in our shop.", Active: true,
	})
	addRule(t, site, rules.Rule{Name: "Price list", Keywords: []string{"price list"}, MatchType: rules.MatchWord, Priority: 30, Response: "Here is the list.", Active: true})
	addRule(t, site, rules.Rule{Name: "Order", Keywords: []string{"order (#"}, MatchType: rules.MatchRegex, Priority: 20, Response: "It is on its way.", Active: true})
	addRule(t, site, rules.Rule{
		Name: strings.Repeat("Averylongnamewithoutanyspace", 4), Keywords: []string{"human"}, MatchType: rules.MatchWord, Priority: 10,
		Response: "One of us answers soon.", Then: rules.Then{HandOff: true},
	})
	wrote(t, site, "shop", "1", "what is the price of it", prices.ID, time.Hour)
	wrote(t, site, "shop", "2", "do you ship to Rome, and how long does it take?", "", 2*time.Hour)
	return prices
}
