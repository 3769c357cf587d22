package page

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/services/console/internal/live"
	"github.com/parley-dm/parley/services/console/internal/ops"
	"github.com/parley-dm/parley/services/console/internal/store"
	"github.com/parley-dm/parley/services/console/internal/web"
)

const (
	inboxPage = 30
	// inboxHeld bounds how many held conversations a filter by holder looks at.
	inboxHeld = 5000
	// inboxAccounts bounds the accounts that are offered as a filter.
	inboxAccounts = 200
	maxWords      = 100
)

// inboxQuery is what the URL says: all filters are in it.
type inboxQuery struct {
	Account, Label, Holder, Assignee, Search string
	Unread, Closed, Waiting                  bool
	After                                    string
}

func parseInbox(v url.Values) inboxQuery {
	search := strings.ToValidUTF8(strings.ReplaceAll(strings.TrimSpace(v.Get("q")), "\x00", ""), "")
	if len(search) > maxWords {
		search = strings.ToValidUTF8(search[:maxWords], "")
	}
	clean := func(name string) string { return strings.ToValidUTF8(strings.ReplaceAll(v.Get(name), "\x00", ""), "") }
	return inboxQuery{
		Account: clean("account"), Label: clean("label"), Holder: clean("holder"), Assignee: clean("assignee"), Search: search,
		Unread: v.Get("unread") == "1", Closed: v.Get("state") == "closed", Waiting: v.Get("order") == "waiting", After: clean("after"),
	}
}

// values writes the filters, without the place in the list.
func (q inboxQuery) values() url.Values {
	v := url.Values{}
	for name, value := range map[string]string{"account": q.Account, "label": q.Label, "holder": q.Holder, "assignee": q.Assignee, "q": q.Search} {
		if value != "" {
			v.Set(name, value)
		}
	}
	for name, on := range map[string]bool{"unread": q.Unread} {
		if on {
			v.Set(name, "1")
		}
	}
	if q.Closed {
		v.Set("state", "closed")
	}
	if q.Waiting {
		v.Set("order", "waiting")
	}
	return v
}

// href is a path with the filters.
func (q inboxQuery) href(path string) string {
	if v := q.values().Encode(); v != "" {
		return path + "?" + v
	}
	return path
}

// Filtered says whether anything narrows the list.
func (q inboxQuery) Filtered() bool {
	return len(q.values()) > 0 && (len(q.values()) > 1 || !q.Waiting)
}

// inboxRow is one conversation of the list.
type inboxRow struct {
	store.Talk
	Href, Avatar, Snippet, Holder, HolderTone string
	Current                                   bool
}

// inboxData is the list and what is around it.
type inboxData struct {
	Query      inboxQuery
	Rows       []inboxRow
	More       string
	Many, Away bool
	Here       string // the list's own address, for forms that come back
	RowsHref   string
	Accounts   []string
	Labels     []string
	Colleagues []store.Colleague
	Me         string
	MayAct     bool
	Simulator  bool
	Thread     *threadData
}

// inboxList shows the list alone.
func (p *Pages) inboxList(w http.ResponseWriter, r *http.Request) error {
	data, err := p.inbox(r, "")
	if err != nil {
		return err
	}
	return p.show(w, r, "inbox/list", "Inbox", data)
}

// inboxRows is the list again, for a page that is told of changes.
func (p *Pages) inboxRows(w http.ResponseWriter, r *http.Request) error {
	var data inboxData
	data.Query = parseInbox(r.URL.Query())
	if err := p.rows(r, &data, r.URL.Query().Get("current")); err != nil {
		return err
	}
	return p.fragment(w, "inbox/list", "rows", &data)
}

// inbox is the list with the filters; current is the conversation that is open.
func (p *Pages) inbox(r *http.Request, current string) (*inboxData, error) {
	ctx, user := r.Context(), web.UserOf(r)
	data := &inboxData{Query: parseInbox(r.URL.Query()), Me: user.ID, MayAct: user.Role.May(store.Agent), Simulator: p.o.SimulatorURL != ""}
	data.Here, data.RowsHref = data.Query.href("/inbox"), data.Query.href("/inbox/rows")
	err := p.rows(r, data, current)
	if err == nil {
		data.Accounts, err = p.Store.InboxAccounts(ctx, web.ScopeOf(r), inboxAccounts)
	}
	if err == nil {
		data.Labels, err = p.Store.InboxLabels(ctx, web.ScopeOf(r))
	}
	if err == nil {
		data.Colleagues, err = p.Store.Colleagues(ctx)
	}
	return data, err
}

// rows finds the conversations of the list.
func (p *Pages) rows(r *http.Request, data *inboxData, current string) error {
	ctx, scope, q := r.Context(), web.ScopeOf(r), data.Query
	f := store.InboxFilter{
		Account: q.Account, Label: q.Label, Assignee: q.Assignee, Unread: q.Unread, Closed: q.Closed, Waiting: q.Waiting,
		After: store.ParseCursor(q.After), Limit: inboxPage,
	}
	if q.Assignee == "me" {
		f.Assignee = web.UserOf(r).ID
	}
	if q.Search != "" {
		ids, many, err := p.Store.Search(ctx, scope, q.Search)
		if err != nil {
			return err
		}
		f.Only, data.Many = ids, many
	}
	if err := p.byHolder(r, q.Holder, &f); err != nil {
		if !errors.Is(err, ops.ErrAway) {
			return err
		}
		data.Away = true
	}
	talks, next, err := p.Store.Inbox(ctx, scope, f)
	if err != nil {
		return err
	}
	for i := range talks {
		data.Rows = append(data.Rows, p.row(r, q, &talks[i], current))
	}
	if next.ID != "" {
		v := q.values()
		v.Set("after", next.String())
		data.More = "/inbox?" + v.Encode()
	}
	return nil
}

// byHolder narrows a filter to what the bot has, or to what it has not.
func (p *Pages) byHolder(r *http.Request, holder string, f *store.InboxFilter) error {
	if holder != "bot" && holder != "person" {
		return nil
	}
	held, err := p.Desk.Held(r.Context(), inboxHeld)
	if err != nil {
		return err
	}
	ids := make([]string, 0, len(held))
	for _, c := range held {
		ids = append(ids, live.ConversationID(c))
	}
	switch {
	case holder == "bot":
		f.Not = ids
	case f.Only == nil:
		f.Only, f.OnlyOpen = ids, true
	default:
		f.Only = slices.DeleteFunc(f.Only, func(id string) bool { return !slices.Contains(ids, id) })
	}
	return nil
}

func (p *Pages) row(r *http.Request, q inboxQuery, t *store.Talk, current string) inboxRow {
	row := inboxRow{Talk: *t, Href: q.href("/inbox/" + t.ID), Avatar: p.picture(t.Contact.PictureURL), Snippet: snippet(t), Current: t.ID == current}
	if h, held, err := p.Desk.Holder(r.Context(), t.Conversation); err == nil && held {
		row.Holder, row.HolderTone = holderName(h), "warn"
	}
	return row
}

// snippet is one line for the newest message.
func snippet(t *store.Talk) string {
	who := ""
	if t.Direction == "outbound" {
		switch dm.Origin(t.Origin) {
		case dm.OriginOperator:
			who = "You: "
		case "":
			who = "Business: "
		default:
			who = "Bot: "
		}
	}
	switch {
	case t.Deleted:
		return who + "Message unsent"
	case t.Text != "":
		return who + strings.Join(strings.Fields(t.Text), " ")
	default:
		return who + typeName(t.Type)
	}
}

// typeName is what a message without a text is called.
func typeName(kind string) string {
	names := map[string]string{
		"image": "Picture", "video": "Video", "audio": "Voice message", "file": "File", "share": "Shared post", "story_mention": "Mentioned you in a story",
		"story_reply": "Replied to your story", "postback": "Tapped a button", "template": "Cards", "like_heart": "♥", "unsupported": "Something that Meta does not pass on",
		"ephemeral": "A picture that is gone", "reel": "Shared reel", "ig_reel": "Shared reel", "ig_post": "Shared post", "reaction": "Reaction", "unreaction": "Took a reaction back",
	}
	if name, ok := names[kind]; ok {
		return name
	}
	return "Message of a kind that is not known here"
}

// holderName is who has a conversation, in a word.
func holderName(h dm.Hold) string {
	switch {
	case h.Holder == dm.HolderApp:
		return "Another app"
	case h.By != "":
		return h.By
	default:
		return "A person"
	}
}
