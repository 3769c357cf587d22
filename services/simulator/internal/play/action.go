package play

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/parley-dm/parley/services/simulator/internal/webhooks"
	"github.com/parley-dm/parley/services/simulator/internal/world"
)

// The kinds of thing that a customer can do. The first ones are messages, those from KindReact on change one.
const (
	KindImage        world.Kind = "image"
	KindAudio        world.Kind = "audio"
	KindVideo        world.Kind = "video"
	KindShare        world.Kind = "share"
	KindStoryMention world.Kind = "story_mention"
	KindStoryReply   world.Kind = "story_reply"
	KindHeart        world.Kind = "like_heart"
	KindUnsupported  world.Kind = "unsupported"
	KindQuickReply   world.Kind = "quick_reply"
	KindPostback     world.Kind = "postback"

	KindReact   world.Kind = "react"
	KindUnreact world.Kind = "unreact"
	KindUnsend  world.Kind = "unsend"
	KindEdit    world.Kind = "edit"
	KindSeen    world.Kind = "seen"
)

// maxText bounds what a customer may type: Instagram allows 1000 characters, and tests like to go beyond.
const maxText = 100_000

// Action is one thing that a customer does.
type Action struct {
	world.Key
	// Kind is text if empty.
	Kind world.Kind
	Text string
	// URL is the medium's; one of the simulator's own pictures if empty. Payload is that of a tap.
	URL, Payload string
	// ReplyTo is the message that a text quotes; Target the one that is reacted to, unsent, edited or seen.
	ReplyTo, Target string
	// Expect is the reply that must come; Age moves the action into the past; Show opens the customer's phone.
	Expect string
	Age    time.Duration
	Show   bool
}

// ErrAction is an action that makes no sense.
var ErrAction = errors.New("this cannot be done")

func (a *Action) check() error {
	if err := CheckCustomer(a.Customer); err != nil {
		return err
	}
	if len(a.Text) > maxText {
		return fmt.Errorf("%w: text: got %d bytes, expected at most %d", ErrAction, len(a.Text), maxText)
	}
	switch a.Kind {
	case "":
		a.Kind = world.KindText
	case world.KindText, KindImage, KindAudio, KindVideo, KindShare, KindStoryMention, KindStoryReply, KindHeart, KindUnsupported:
	case KindQuickReply, KindPostback:
		if a.Text == "" || a.Payload == "" {
			return fmt.Errorf("%w: %s needs the text of the button and its payload", ErrAction, a.Kind)
		}
	case KindReact, KindUnreact, KindUnsend, KindEdit, KindSeen:
		if a.Target == "" {
			return fmt.Errorf("%w: %s needs the mid of a message as target", ErrAction, a.Kind)
		}
	default:
		return fmt.Errorf("%w: kind %q is not known", ErrAction, a.Kind)
	}
	if a.Kind == KindEdit && a.Text == "" || a.Kind == world.KindText && a.Text == "" {
		return fmt.Errorf("%w: text: expected at least one character", ErrAction)
	}
	return nil
}

// CheckCustomer says whether an id is one that Meta could have given.
func CheckCustomer(id string) error {
	if id == "" || len(id) > 20 || id[0] == '0' || strings.Trim(id, "0123456789") != "" {
		return fmt.Errorf("%w: customer: got %q, expected up to 20 digits", ErrAction, id)
	}
	return nil
}

// changes says whether the action is done to a message that is there, rather than being one.
func (a *Action) changes() bool {
	switch a.Kind {
	case KindReact, KindUnreact, KindUnsend, KindEdit, KindSeen:
		return true
	default: // the others are messages
		return false
	}
}

// text is what the phone shows of it; kinds without a text have none.
func (a *Action) text() string {
	switch a.Kind {
	case world.KindText, KindStoryReply, KindQuickReply, KindPostback:
		return a.Text
	default:
		return ""
	}
}

// item is the webhook's item about a message.
func (a *Action) item(m world.Message) webhooks.Item {
	it := a.blank(m.At)
	msg := &webhooks.Message{MID: m.MID, Text: m.Text}
	switch a.Kind {
	case KindPostback:
		it.Postback = &webhooks.Postback{MID: m.MID, Title: a.Text, Payload: a.Payload}
		return it
	case KindQuickReply:
		msg.QuickReply = &webhooks.QuickReply{Payload: a.Payload}
	case KindStoryReply:
		msg.ReplyTo = encode(map[string]any{"story": map[string]string{"url": a.url("story"), "id": "18040000000000001"}})
	case KindUnsupported:
		msg.IsUnsupported = true
	case KindHeart:
		msg.Attachments = json.RawMessage(`[{"type":"like_heart"}]`)
	case KindImage, KindAudio, KindVideo, KindShare, KindStoryMention:
		msg.Attachments = encode([]any{map[string]any{"type": string(a.Kind), "payload": map[string]string{"url": a.url(string(a.Kind))}}})
	default: // a text says it all
	}
	if a.ReplyTo != "" {
		msg.ReplyTo = encode(map[string]string{"mid": a.ReplyTo})
	}
	it.Message = msg
	return it
}

func (a *Action) blank(at time.Time) webhooks.Item {
	return webhooks.Item{Sender: webhooks.Party{ID: a.Customer}, Recipient: webhooks.Party{ID: a.Account}, Timestamp: at.UnixMilli()}
}

// url stands for a medium where none is given. The name ends in .invalid, which RFC 6761 keeps from ever resolving.
func (a *Action) url(what string) string {
	if a.URL != "" {
		return a.URL
	}
	return "https://lookaside.fbsbx.invalid/ig_messaging_cdn/?asset_id=" + what + "&signature=simulated"
}

// encode marshals values that cannot fail to.
func encode(v any) json.RawMessage {
	b, _ := json.Marshal(v) //nolint:errchkjson // maps and slices of strings always encode
	return b
}

// change does an action to a message that is there.
func (p *Player) change(a Action) (world.Message, error) {
	var change world.Change
	it := a.blank(p.deps.World.Now().Add(-a.Age))
	none := ""
	switch a.Kind {
	case KindReact:
		emoji := a.Text
		if emoji == "" {
			emoji = "❤️"
		}
		change.Reaction = &emoji
		name := "other"
		if emoji == "❤️" {
			name = "love"
		}
		it.Reaction = &webhooks.Reaction{MID: a.Target, Action: "react", Reaction: name, Emoji: emoji}
	case KindUnreact:
		change.Reaction = &none
		it.Reaction = &webhooks.Reaction{MID: a.Target, Action: "unreact"}
	case KindUnsend:
		change.Delete = true
		it.Message = &webhooks.Message{MID: a.Target, IsDeleted: true}
	case KindEdit:
		change.Text = &a.Text
	case KindSeen:
		it.Read = &webhooks.Read{MID: a.Target}
	default: // the others are messages
	}
	target, _, ok := p.deps.World.Message(a.Account, a.Target)
	if ok && (a.Kind == KindUnsend || a.Kind == KindEdit) && !target.FromCustomer {
		return target, fmt.Errorf("%w: a customer can only %s messages of their own", ErrAction, a.Kind)
	}
	m, err := p.deps.World.Change(a.Key, a.Target, change)
	if err != nil {
		return m, err
	}
	if a.Kind == KindEdit {
		it.Edit = &webhooks.Edit{MID: a.Target, Text: a.Text, NumEdit: m.Edits}
	}
	return m, p.dispatch(a.Key, false, it, webhooks.Job{Lane: a.Account + ":" + a.Customer, Told: p.count})
}
