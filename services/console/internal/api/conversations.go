package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/services/console/internal/desk"
	"github.com/parley-dm/parley/services/console/internal/store"
)

// Conversation is a conversation as the API shows it.
type Conversation struct {
	ID            string     `json:"id" format:"uuid"`
	Channel       string     `json:"channel" example:"instagram"`
	Account       string     `json:"account" doc:"the id of the account"`
	Customer      string     `json:"customer" doc:"the customer's id, which the account alone has"`
	CreatedAt     time.Time  `json:"created_at"`
	LastMessageAt *time.Time `json:"last_message_at,omitempty"`
	Holder        *Holder    `json:"holder,omitempty" doc:"who else than the bot has it; only where one conversation is asked for"`
}

// Holder is who has a conversation.
type Holder struct {
	Who    string     `json:"who" enum:"person,app"`
	Reason string     `json:"reason" doc:"operator, takeover, hand_off, loop, …"`
	By     string     `json:"by,omitempty"`
	Since  time.Time  `json:"since"`
	Until  *time.Time `json:"until,omitempty" doc:"when the bot has it again by itself; absent: when it is handed back"`
}

// Message is a message as the API shows it.
type Message struct {
	ID        string          `json:"id" format:"uuid"`
	MID       string          `json:"mid,omitempty" doc:"Meta's id of it"`
	Direction string          `json:"direction" enum:"inbound,outbound"`
	Type      string          `json:"type" example:"text"`
	Text      string          `json:"text,omitempty"`
	Status    string          `json:"status" enum:"received,queued,sent,delivered,read,failed,expired,unknown"`
	Time      time.Time       `json:"time"`
	SentAt    *time.Time      `json:"sent_at,omitempty"`
	DeletedAt *time.Time      `json:"deleted_at,omitempty"`
	Metadata  json.RawMessage `json:"metadata" doc:"attachments, edits, reaction, decision, delivery"`
}

type conversationsInput struct {
	Page
	Account string `query:"account" doc:"only those of this account" maxLength:"100"`
}

type conversationsOutput struct {
	Body struct {
		Conversations []Conversation `json:"conversations"`
		Next          string         `json:"next,omitempty" doc:"the cursor of the next page; absent on the last"`
	}
}

type conversationInput struct {
	ID string `path:"id" format:"uuid"`
}

type conversationOutput struct{ Body Conversation }

type messagesInput struct {
	Page
	ID string `path:"id" format:"uuid"`
}

type messagesOutput struct {
	Body struct {
		Messages []Message `json:"messages"`
		Next     string    `json:"next,omitempty" doc:"the cursor of the next page; absent on the last"`
	}
}

type sendInput struct {
	ID   string `path:"id" format:"uuid"`
	Key  string `header:"Idempotency-Key" doc:"makes the message the same when it is asked for again" maxLength:"200"`
	Body struct {
		Text string `json:"text" minLength:"1" maxLength:"8000" doc:"8,000 bytes at most; a long one is sent as several"`
	}
}

type sendOutput struct {
	Body struct {
		IntentID string `json:"intent_id" doc:"metadata.intent.id of the messages that come of it"`
	}
}

type holdInput struct {
	ID   string `path:"id" format:"uuid"`
	Key  string `header:"Idempotency-Key" maxLength:"200"`
	Body struct {
		For string `json:"for,omitempty" doc:"for how long, such as 2h; without it until it is handed back" example:"2h" maxLength:"20"`
	}
}

type releaseInput struct {
	ID  string `path:"id" format:"uuid"`
	Key string `header:"Idempotency-Key" maxLength:"200"`
}

func (a *API) conversations(h huma.API) {
	tags := []string{"Conversations"}
	huma.Register(h, huma.Operation{
		OperationID: "list-conversations", Method: http.MethodGet, Path: "/api/v1/conversations", Summary: "List conversations, newest first",
		Tags: tags, Security: needs("conversations:read"),
	}, a.listConversations)
	huma.Register(h, huma.Operation{
		OperationID: "get-conversation", Method: http.MethodGet, Path: "/api/v1/conversations/{id}", Summary: "Get a conversation, and who has it",
		Tags: tags, Security: needs("conversations:read"),
	}, a.getConversation)
	huma.Register(h, huma.Operation{
		OperationID: "list-messages", Method: http.MethodGet, Path: "/api/v1/conversations/{id}/messages", Summary: "List a conversation's messages, newest first",
		Tags: tags, Security: needs("conversations:read"),
	}, a.listMessages)
	huma.Register(h, huma.Operation{
		OperationID: "send-message", Method: http.MethodPost, Path: "/api/v1/conversations/{id}/messages", Summary: "Write to the customer, as a person",
		Description:   "It is queued, and sent within moments. The bot goes on answering unless the conversation is taken over.",
		DefaultStatus: http.StatusAccepted, Tags: tags, Security: needs("messages:send"),
	}, a.send)
	huma.Register(h, huma.Operation{
		OperationID: "hold-conversation", Method: http.MethodPost, Path: "/api/v1/conversations/{id}/hold", Summary: "Take a conversation from the bot",
		Tags: tags, Security: needs("conversations:write"),
	}, a.hold)
	huma.Register(h, huma.Operation{
		OperationID: "release-conversation", Method: http.MethodPost, Path: "/api/v1/conversations/{id}/release", Summary: "Give a conversation back to the bot",
		Tags: tags, Security: needs("conversations:write"),
	}, a.release)
}

func (a *API) listConversations(ctx context.Context, in *conversationsInput) (*conversationsOutput, error) {
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	found, err := a.d.Store.Conversations(ctx, mustCaller(ctx).scope(), in.Account, after, in.Limit+1)
	if err != nil {
		return nil, a.failed(ctx, "conversations", err)
	}
	found, next, err := cut(found, in.Limit, func(c *store.Conversation) store.ConversationsAfter {
		return store.ConversationsAfter{At: *c.LastMessageAt, ID: c.ID}
	})
	if err != nil {
		return nil, a.failed(ctx, "conversations", err)
	}
	out := &conversationsOutput{}
	out.Body.Next, out.Body.Conversations = next, make([]Conversation, len(found))
	for i := range found {
		out.Body.Conversations[i] = conversation(&found[i])
	}
	return out, nil
}

func conversation(c *store.Conversation) Conversation {
	return Conversation{
		ID: c.ID, Channel: string(c.Channel), Account: c.Account, Customer: c.Customer, CreatedAt: c.CreatedAt, LastMessageAt: c.LastMessageAt,
	}
}

// find finds a conversation that the caller sees.
func (a *API) find(ctx context.Context, id string) (store.Conversation, error) {
	c, err := a.d.Store.Conversation(ctx, mustCaller(ctx).scope(), id)
	if err != nil {
		return c, a.failed(ctx, "conversation", err)
	}
	return c, nil
}

// atDesk names a conversation for the desk.
func atDesk(c *store.Conversation) desk.Conversation {
	return desk.Conversation{ID: c.ID, Conversation: c.Key()}
}

func (a *API) getConversation(ctx context.Context, in *conversationInput) (*conversationOutput, error) {
	c, err := a.find(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return a.shown(ctx, &c)
}

// shown is a conversation with who has it.
func (a *API) shown(ctx context.Context, c *store.Conversation) (*conversationOutput, error) {
	hold, held, err := a.d.Desk.Holder(ctx, c.Key())
	if err != nil {
		return nil, a.failed(ctx, "conversation", err)
	}
	out := &conversationOutput{Body: conversation(c)}
	if held {
		out.Body.Holder = holder(hold)
	}
	return out, nil
}

func holder(h dm.Hold) *Holder {
	out := &Holder{Who: string(h.Holder), Reason: string(h.Reason), By: h.By, Since: h.At}
	if !h.Until.IsZero() {
		out.Until = &h.Until
	}
	return out
}

func (a *API) listMessages(ctx context.Context, in *messagesInput) (*messagesOutput, error) {
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	if _, err := a.find(ctx, in.ID); err != nil {
		return nil, err
	}
	found, err := a.d.Store.Messages(ctx, in.ID, after, in.Limit+1)
	if err != nil {
		return nil, a.failed(ctx, "messages", err)
	}
	found, next, err := cut(found, in.Limit, func(m *store.Message) store.MessagesAfter { return store.MessagesAfter{At: m.At, ID: m.ID} })
	if err != nil {
		return nil, a.failed(ctx, "messages", err)
	}
	out := &messagesOutput{}
	out.Body.Next, out.Body.Messages = next, make([]Message, len(found))
	for i, m := range found {
		out.Body.Messages[i] = Message{
			ID: m.ID, MID: m.MID, Direction: m.Direction, Type: m.Type, Text: m.Text, Status: m.Status, Time: m.At, SentAt: m.SentAt,
			DeletedAt: m.DeletedAt, Metadata: m.Metadata,
		}
	}
	return out, nil
}

func (a *API) send(ctx context.Context, in *sendInput) (*sendOutput, error) {
	c, err := a.find(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	id, err := a.d.Desk.Say(ctx, mustCaller(ctx).person(), desk.Saying{Conversation: atDesk(&c), Text: in.Body.Text, Key: keyOf(ctx)})
	if err != nil {
		return nil, a.failed(ctx, "message", err)
	}
	out := &sendOutput{}
	out.Body.IntentID = id
	return out, nil
}

// maxHold bounds a time that was given; longer is until it is handed back.
const maxHold = 30 * 24 * time.Hour

func (a *API) hold(ctx context.Context, in *holdInput) (*conversationOutput, error) {
	c, err := a.find(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	var until time.Time
	if in.Body.For != "" {
		d, err := time.ParseDuration(in.Body.For)
		if err != nil || d < time.Minute || d > maxHold {
			return nil, huma.Error422UnprocessableEntity("for: expected a time of 1m to 720h, such as 2h")
		}
		until = a.d.Now().Add(d)
	}
	if err := a.d.Desk.Take(ctx, mustCaller(ctx).person(), atDesk(&c), until); err != nil {
		return nil, a.failed(ctx, "conversation", err)
	}
	return a.shown(ctx, &c)
}

func (a *API) release(ctx context.Context, in *releaseInput) (*conversationOutput, error) {
	c, err := a.find(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if err := a.d.Desk.HandBack(ctx, mustCaller(ctx).person(), atDesk(&c)); err != nil {
		return nil, a.failed(ctx, "conversation", err)
	}
	return a.shown(ctx, &c)
}
