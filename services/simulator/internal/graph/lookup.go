package graph

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/parley-dm/parley/services/simulator/internal/world"
)

const (
	timeFormat = "2006-01-02T15:04:05-0700"
	// detailed is how many of a conversation's newest messages have details; of older ones there is only the id.
	detailed = 20
	pageSize = 25
	maxPage  = 100
	// longLived is what a refreshed Instagram token has left, in seconds: just under 60 days.
	longLived = 5183944
)

type object = map[string]any

// conversations is GET /{account}/conversations.
func (a *API) conversations(w http.ResponseWriter, r *http.Request, node string) *Error {
	account, err := a.authorized(w, r, node)
	if err != nil {
		return err
	}
	q := r.URL.Query()
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
		if inner, ok := nested(fields, "messages"); ok {
			o["messages"] = a.messageList(account, h, inner)
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
	a.usageHeaders(w.Header(), account)
	return account, a.limit(account.ID, limitLookup)
}

// node is GET /{id}: an account, a conversation, a message or a customer.
func (a *API) node(w http.ResponseWriter, r *http.Request, id string) *Error {
	account, err := a.authorize(fromRequest(r), id)
	if err != nil {
		return err
	}
	a.usageHeaders(w.Header(), account)
	if err := a.limit(account.ID, limitLookup); err != nil {
		return err
	}
	fields := r.URL.Query().Get("fields")
	if id == "me" || id == account.ID {
		writeJSON(w, http.StatusOK, pick(object{"id": account.ID, "user_id": account.ID, "username": account.Username, "name": account.Name, "account_type": "BUSINESS"}, fields, "id"))
		return nil
	}
	if key, ok := world.ParseConversationID(id); ok && key.Account == account.ID {
		return a.conversation(w, account, key, fields)
	}
	if m, rank, ok := a.deps.World.Message(account.ID, id); ok {
		return a.message(w, account, m, rank, fields)
	}
	key := world.Key{Account: account.ID, Customer: id}
	profile, ok := a.deps.World.Profile(key)
	if !ok {
		return noObject(id)
	}
	writeJSON(w, http.StatusOK, pick(object{
		"id": id, "name": profile.Name, "username": profile.Username, "profile_pic": nil, "follower_count": 128,
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
	if inner, ok := nested(fields, "messages"); ok {
		out["messages"] = a.messageList(account, h, inner)
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

// messageList is a conversation's messages, newest first.
func (a *API) messageList(account world.Account, h world.History, fields string) object {
	data := make([]object, 0, min(len(h.Messages), maxPage))
	for i, m := range slices.Backward(h.Messages) {
		rank := len(h.Messages) - 1 - i
		if rank >= maxPage {
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
	return object{
		"id": m.MID, "created_time": m.At.UTC().Format(timeFormat), "from": from, "to": object{"data": []object{to}}, "message": m.Text,
	}
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
func nested(fields, name string) (inner string, ok bool) {
	i := strings.Index(fields, name)
	if i < 0 {
		return "", false
	}
	rest := fields[i+len(name):]
	if strings.HasPrefix(rest, ".") {
		if end := strings.IndexAny(rest, "{,"); end >= 0 {
			rest = rest[end:]
		}
	}
	if strings.HasPrefix(rest, "{") {
		if end := strings.IndexByte(rest, '}'); end > 0 {
			return rest[1:end], true
		}
	}
	return "", true
}

// subscribedApps is /{account}/subscribed_apps.
func (a *API) subscribedApps(w http.ResponseWriter, r *http.Request, node string) *Error {
	account, err := a.authorized(w, r, node)
	if err != nil {
		return err
	}
	switch r.Method {
	case http.MethodGet:
		data := []object{}
		if fields := a.subscriptions.get(account.ID); len(fields) > 0 {
			data = append(data, object{"id": a.opts.AppID, "name": "Parley", "subscribed_fields": fields})
		}
		writeJSON(w, http.StatusOK, object{"data": data})
	case http.MethodPost:
		fields := r.FormValue("subscribed_fields")
		if fields == "" {
			return param("Param subscribed_fields must be a non-empty array.")
		}
		a.subscriptions.set(account.ID, strings.Split(fields, ","))
		writeJSON(w, http.StatusOK, object{"success": true})
	case http.MethodDelete:
		a.subscriptions.set(account.ID, nil)
		writeJSON(w, http.StatusOK, object{"success": true})
	default:
		return noObject(node)
	}
	return nil
}

// debugToken is GET /debug_token.
func (a *API) debugToken(w http.ResponseWriter, r *http.Request) *Error {
	q := r.URL.Query()
	if fromRequest(r).token == "" {
		return &Error{Code: codeMissingToken, Message: "An access token is required to request this resource."}
	}
	if q.Get("input_token") == "" {
		return param("The parameter input_token is required")
	}
	data := object{"app_id": a.opts.AppID, "application": "Parley", "type": "PAGE", "is_valid": false, "scopes": []string{}}
	account, known := a.deps.World.ByToken(q.Get("input_token"))
	switch {
	case !known:
		data["error"] = object{"code": codeToken, "message": "Invalid OAuth access token - Cannot parse access token"}
	case a.deps.Faults.DeadToken(account.ID):
		e := expired(a.deps.World.Now())
		data["error"] = object{"code": e.Code, "message": e.Message, "subcode": e.Subcode}
		data["expires_at"] = a.deps.World.Now().Add(-time.Hour).Unix()
	default:
		data["is_valid"], data["expires_at"], data["profile_id"] = true, 0, account.ID
		data["scopes"] = []string{"instagram_basic", "instagram_manage_messages", "pages_manage_metadata"}
	}
	writeJSON(w, http.StatusOK, object{"data": data})
	return nil
}

// refreshToken is GET /refresh_access_token. The token stays the same: Meta may give the same one too.
func (a *API) refreshToken(w http.ResponseWriter, r *http.Request) *Error {
	c := fromRequest(r)
	account, err := a.authorize(c, "")
	if err != nil {
		return err
	}
	if r.URL.Query().Get("grant_type") != "ig_refresh_token" {
		return param("Param grant_type must be ig_refresh_token.")
	}
	a.usageHeaders(w.Header(), account)
	writeJSON(w, http.StatusOK, object{"access_token": c.token, "token_type": "bearer", "expires_in": longLived})
	return nil
}
