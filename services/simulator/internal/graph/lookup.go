package graph

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/parley-dm/parley/services/simulator/internal/fault"
	"github.com/parley-dm/parley/services/simulator/internal/world"
)

const (
	timeFormat = "2006-01-02T15:04:05-0700"
	// detailed is how many of a conversation's newest messages have details; of older ones there is only the id.
	detailed = 20
	pageSize = 25
	maxPage  = 100
)

type object = map[string]any

// conversations is GET /{account}/conversations.
func (a *API) conversations(w http.ResponseWriter, r *http.Request, node string) *Error {
	account, err := a.authorized(w, r, node)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	if over, err := a.disturb(w, account.ID, q.Get("user_id"), fault.Conversations); over {
		return err
	}
	if err := a.limit(account.ID, limitLookup); err != nil {
		return err
	}
	if q.Get("platform") != "instagram" {
		// Without it Meta lists the Page's Messenger threads, of which there are none.
		writeJSON(w, http.StatusOK, object{"data": []any{}})
		return nil
	}
	limit := pageSize
	if n, err := strconv.Atoi(q.Get("limit")); err == nil && n > 0 {
		limit = min(n, maxPage)
	}
	after, _ := strconv.Atoi(q.Get("after"))
	recent, more := a.deps.World.Recent(account.ID, q.Get("user_id"), max(after, 0), limit)
	fields := q.Get("fields")
	data := make([]object, 0, len(recent))
	for _, h := range recent {
		o := object{"id": world.ConversationID(h.Key), "updated_time": h.Last().UTC().Format(timeFormat)}
		if inner, most, ok := nested(fields, "messages"); ok {
			o["messages"] = a.messageList(account, h, inner, most)
		}
		data = append(data, o)
	}
	out := object{"data": data}
	if more {
		cursor := strconv.Itoa(max(after, 0) + limit)
		next := *r.URL
		q.Set("after", cursor)
		q.Del("access_token")
		next.RawQuery = q.Encode()
		out["paging"] = object{"cursors": object{"after": cursor}, "next": "http://" + r.Host + next.String()}
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

// authorized is what every look-up begins with.
func (a *API) authorized(w http.ResponseWriter, r *http.Request, node string) (world.Account, *Error) {
	account, err := a.authorize(fromRequest(r), node)
	if err != nil {
		return account, err
	}
	if err := own(account, node); err != nil {
		return account, err
	}
	return account, a.admit(w, account)
}

// node is GET /{id}: an account, a conversation, a message or a customer.
func (a *API) node(w http.ResponseWriter, r *http.Request, id string) *Error {
	account, err := a.authorize(fromRequest(r), id)
	if err != nil {
		return err
	}
	if err := a.admit(w, account); err != nil {
		return err
	}
	fields := r.URL.Query().Get("fields")
	if id == "me" || id == account.ID || isDigits(id) {
		return a.profile(w, account, id, fields)
	}
	key, isConversation := world.ParseConversationID(id)
	m, rank, isMessage := a.deps.World.Message(account.ID, id)
	if isMessage {
		key = m.Key
	}
	if over, err := a.disturb(w, account.ID, key.Customer, fault.Conversations); over {
		return err
	}
	if err := a.limit(account.ID, limitLookup); err != nil {
		return err
	}
	switch {
	case isConversation && key.Account == account.ID:
		return a.conversation(w, account, key, fields)
	case isMessage:
		return a.message(w, account, m, rank, fields)
	default:
		return noObject(id)
	}
}

// profile is that of the account, or of a customer.
func (a *API) profile(w http.ResponseWriter, account world.Account, id, fields string) *Error {
	customer := id
	if id == "me" || id == account.ID {
		customer = ""
	}
	if over, err := a.disturb(w, account.ID, customer, fault.Profile); over {
		return err
	}
	if customer == "" {
		writeJSON(w, http.StatusOK, pick(object{"id": account.ID, "user_id": account.ID, "username": account.Username, "name": account.Name, "account_type": "BUSINESS"}, fields, "id"))
		return nil
	}
	profile, ok := a.deps.World.Profile(world.Key{Account: account.ID, Customer: customer})
	if !ok {
		return noObject(id)
	}
	var picture any
	if link := a.deps.Link("profile", id); link != "" {
		picture = link
	}
	writeJSON(w, http.StatusOK, pick(object{
		"id": id, "name": profile.Name, "username": profile.Username, "profile_pic": picture, "follower_count": 128,
		"is_user_follow_business": true, "is_business_follow_user": false, "is_verified_user": false,
	}, fields, "id", "name"))
	return nil
}

func (a *API) conversation(w http.ResponseWriter, account world.Account, key world.Key, fields string) *Error {
	h, ok := a.deps.World.History(key)
	if !ok {
		return noObject(world.ConversationID(key))
	}
	out := object{"id": world.ConversationID(key)}
	if strings.Contains(fields, "updated_time") {
		out["updated_time"] = h.Last().UTC().Format(timeFormat)
	}
	if inner, most, ok := nested(fields, "messages"); ok {
		out["messages"] = a.messageList(account, h, inner, most)
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

// messageList is a conversation's messages, newest first.
func (a *API) messageList(account world.Account, h world.History, fields string, most int) object {
	data := make([]object, 0, min(len(h.Messages), most))
	for i, m := range slices.Backward(h.Messages) {
		rank := len(h.Messages) - 1 - i
		if rank >= most {
			break
		}
		wanted := fields
		if rank >= detailed || wanted == "" {
			wanted = "id,created_time"
		}
		data = append(data, pick(a.describe(account, m), wanted, "id"))
	}
	return object{"data": data}
}

func (a *API) message(w http.ResponseWriter, account world.Account, m world.Message, rank int, fields string) *Error {
	if rank >= detailed {
		return &Error{Code: codeGone, Message: "(#9000001) The message has been deleted or is older than the newest 20 of its conversation."}
	}
	writeJSON(w, http.StatusOK, pick(a.describe(account, m), fields, "id", "created_time"))
	return nil
}

func (a *API) describe(account world.Account, m world.Message) object {
	profile, _ := a.deps.World.Profile(m.Key)
	business := object{"username": account.Username, "id": account.ID}
	customer := object{"username": profile.Username, "id": m.Customer}
	from, to := business, customer
	if m.FromCustomer {
		from, to = customer, business
	}
	out := object{
		"id": m.MID, "created_time": m.At.UTC().Format(timeFormat), "from": from, "to": object{"data": []object{to}}, "message": m.Text,
	}
	attach(out, m)
	return out
}

// pick keeps the fields that were asked for, or the given ones when none were.
func pick(o object, fields string, always ...string) object {
	wanted := strings.Split(fields, ",")
	if fields == "" {
		wanted = nil
	}
	out := object{}
	for _, name := range append(wanted, always...) {
		if v, ok := o[strings.TrimSpace(name)]; ok && v != nil {
			out[strings.TrimSpace(name)] = v
		}
	}
	return out
}

// nested finds name or name{inner} or name.limit(5){inner} in a list of fields.
func nested(fields, name string) (inner string, most int, ok bool) {
	_, rest, ok := strings.Cut(fields, name)
	if !ok {
		return "", 0, false
	}
	most = maxPage
	if limited, found := strings.CutPrefix(rest, ".limit("); found {
		number, after, _ := strings.Cut(limited, ")")
		if n, err := strconv.Atoi(number); err == nil && n > 0 {
			most = min(n, maxPage)
		}
		rest = after
	}
	if within, found := strings.CutPrefix(rest, "{"); found {
		inner, _, _ = strings.Cut(within, "}")
	}
	return inner, most, true
}
