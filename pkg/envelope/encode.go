package envelope

import (
	"github.com/parley-dm/parley/pkg/dm"
)

// headBytes is about what an envelope takes beside its data's long members.
const headBytes = 768

func (e *Envelope[T]) write(w *writer) {
	w.out = append(w.out, '{')
	w.str("id", e.ID)
	w.str("type", e.Type)
	w.number("version", int64(e.Version))
	w.time("time", e.Time)
	w.str("account", e.Account)
	w.str("conversation", e.Conversation)
	w.str("correlation_id", e.CorrelationID)
	w.optional("causation_id", e.CausationID)
	w.key("data")
	w.out = append(w.out, '{')
	switch data := any(&e.Data).(type) {
	case *dm.Event:
		w.event(data)
	case *dm.ReplyIntent:
		w.intent(data)
	case *dm.Delivery:
		w.delivery(data)
	}
	w.out = append(w.out, '}', '}')
}

// size is about how long the envelope becomes.
func (e *Envelope[T]) size() int {
	switch data := any(&e.Data).(type) {
	case *dm.Event:
		return headBytes + len(data.Text) + len(data.Raw) + 256*len(data.Attachments)
	case *dm.ReplyIntent:
		n := headBytes
		for i := range data.Parts {
			n += partBytes(&data.Parts[i])
		}
		if data.Trace != nil {
			n += 64 + 192*len(data.Trace.Tried)
		}
		return n
	case *dm.Delivery:
		return headBytes + partBytes(&data.Message) + len(data.Reason) + 256*len(data.Attempts)
	default:
		return headBytes
	}
}

func (w *writer) conversation(c *dm.Conversation) {
	w.str("channel", string(c.Channel))
	w.str("account", c.Account)
	w.str("customer", c.Customer)
}

func (w *writer) event(e *dm.Event) {
	w.str("id", e.ID)
	w.conversation(&e.Conversation)
	w.str("kind", string(e.Kind))
	w.optional("mid", e.MID)
	w.optional("text", e.Text)
	w.optional("message_type", e.MessageType)
	w.attachments(e.Attachments)
	w.optional("payload", e.Payload)
	w.optional("reply_to_mid", e.ReplyToMID)
	w.optional("story_id", e.StoryID)
	w.optional("reaction", e.Reaction)
	w.optional("emoji", e.Emoji)
	w.optionalNumber("edits", int64(e.Edits))
	w.optional("ref", e.Ref)
	w.optional("ad_id", e.AdID)
	w.optional("product_id", e.ProductID)
	w.optional("app_id", e.AppID)
	w.optional("control", e.Control)
	w.optional("old_owner_app_id", e.OldOwner)
	w.optional("new_owner_app_id", e.NewOwner)
	w.optional("comment_id", e.CommentID)
	w.optional("parent_id", e.ParentID)
	w.optional("media_id", e.MediaID)
	w.optional("username", e.Username)
	if e.Own {
		w.flag("own", true)
	}
	w.hold(e.Hold)
	w.decision(e.Decision)
	w.labels(e.Labels)
	if e.Standby {
		w.flag("standby", true)
	}
	w.profile(e.Profile)
	w.flag("known_account", e.KnownAccount)
	w.time("time", e.Time)
	w.time("received_at", e.ReceivedAt)
	w.optional("source", string(e.Source))
	if len(e.Raw) > 0 {
		w.raw("raw", e.Raw)
	}
}

func (w *writer) hold(h *dm.Hold) {
	if h == nil {
		return
	}
	w.key("hold")
	w.out = append(w.out, '{')
	w.str("holder", string(h.Holder))
	w.str("reason", string(h.Reason))
	w.optional("by", h.By)
	w.time("at", h.At)
	if !h.Until.IsZero() {
		w.time("until", h.Until)
	}
	w.optional("mid", h.MID)
	w.optional("cause", h.Cause)
	w.out = append(w.out, '}')
}

func (w *writer) profile(p *dm.Profile) {
	if p == nil {
		return
	}
	w.key("profile")
	w.out = append(w.out, '{')
	w.optional("name", p.Name)
	w.optional("username", p.Username)
	w.optional("picture_url", p.PictureURL)
	if p.NoConsent {
		w.flag("no_consent", true)
	}
	w.time("fetched_at", p.FetchedAt)
	w.out = append(w.out, '}')
}

func (w *writer) attachments(all []dm.Attachment) {
	if len(all) == 0 {
		return
	}
	w.key("attachments")
	for i := range all {
		a := &all[i]
		w.element(i)
		w.str("type", a.Type)
		w.optional("url", a.URL)
		w.optional("title", a.Title)
		w.optional("media_id", a.MediaID)
		w.out = append(w.out, '}')
	}
	w.out = append(w.out, ']')
}

// element begins the i-th object of a list.
func (w *writer) element(i int) {
	if i == 0 {
		w.out = append(w.out, '[', '{')
	} else {
		w.out = append(w.out, ',', '{')
	}
}

func (w *writer) intent(i *dm.ReplyIntent) {
	w.str("id", i.ID)
	w.optional("event_id", i.EventID)
	w.optionalNumber("step", int64(i.Step))
	w.conversation(&i.Conversation)
	w.str("origin", string(i.Origin))
	w.optional("rule_id", i.RuleID)
	w.optional("rule_name", i.RuleName)
	w.optional("matched_on", i.MatchedOn)
	w.key("parts")
	w.parts(i.Parts)
	w.time("event_time", i.EventTime)
	w.time("received_at", i.ReceivedAt)
	w.time("created_at", i.CreatedAt)
	if !i.Expires.IsZero() {
		w.time("expires", i.Expires)
	}
	w.trace(i.Trace)
}

func (w *writer) delivery(d *dm.Delivery) {
	w.str("id", d.ID)
	w.str("intent_id", d.IntentID)
	w.number("part", int64(d.Part))
	w.number("of", int64(d.Of))
	w.conversation(&d.Conversation)
	w.str("outcome", string(d.Outcome))
	w.optional("mid", d.MID)
	w.str("origin", string(d.Origin))
	w.key("message")
	w.out = append(w.out, '{')
	w.part(&d.Message)
	w.attempts(d.Attempts)
	w.optional("reason", d.Reason)
	w.optional("stop", string(d.Stop))
	w.time("sent_at", d.SentAt)
	w.time("received_at", d.ReceivedAt)
}

func (w *writer) attempts(all []dm.Attempt) {
	if len(all) == 0 {
		return
	}
	w.key("attempts")
	for i := range all {
		a := &all[i]
		w.element(i)
		w.time("at", a.At)
		w.number("duration_ms", a.DurationMS)
		w.optionalNumber("status", int64(a.Status))
		w.optionalNumber("code", int64(a.Code))
		w.optionalNumber("subcode", int64(a.Subcode))
		w.optional("error", a.Error)
		w.optional("fbtrace_id", a.TraceID)
		w.out = append(w.out, '}')
	}
	w.out = append(w.out, ']')
}
