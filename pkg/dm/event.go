package dm

import (
	"encoding/json"
	"time"
)

// EventKind says what happened.
type EventKind string

// The kinds of event, after Meta's webhook fields.
const (
	KindMessage       EventKind = "message"        // a customer wrote: text, attachments, story reply, quick reply, …
	KindPostback      EventKind = "postback"       // a customer tapped a button or a menu
	KindEcho          EventKind = "echo"           // the account wrote: through us, another app or the Instagram app
	KindSelf          EventKind = "self"           // the account wrote to itself
	KindDelete        EventKind = "delete"         // a message was unsent
	KindEdit          EventKind = "edit"           // a message was edited
	KindEditNoop      EventKind = "edit_noop"      // the message_edit with num_edit 0 that accompanies plain messages
	KindReaction      EventKind = "reaction"       // a reaction was set
	KindUnreaction    EventKind = "unreaction"     // a reaction was taken away
	KindSeen          EventKind = "seen"           // messages up to one were read
	KindReferral      EventKind = "referral"       // an ig.me link or ad was followed
	KindOptin         EventKind = "optin"          // notification messages were allowed
	KindThreadControl EventKind = "thread_control" // another app takes, passes or asks for the thread
	KindStandby       EventKind = "standby"        // a message while another app owns the thread
	KindComment       EventKind = "comment"        // a comment on a post
	KindLiveComment   EventKind = "live_comment"   // a comment on a live video
	KindMention       EventKind = "mention"        // the account was mentioned
	KindProfile       EventKind = "profile"        // what Meta tells of a customer was looked up; made by Parley
	KindHold          EventKind = "hold"           // who has the conversation changed; made by Parley, never by Meta
	KindDecision      EventKind = "decision"       // a customer's message got no answer, and why; made by Parley
	KindLabel         EventKind = "label"          // labels were put on a conversation or taken off; made by Parley
	KindUnknown       EventKind = "unknown"        // well-formed, but not understood: kept raw
)

// Source says how an event reached us.
type Source string

// The sources of events.
const (
	SourceWebhook  Source = "webhook"
	SourceBackfill Source = "backfill" // found by comparing with the conversations API
	SourceParley   Source = "parley"   // it happened here
)

// Event is one thing that happened in a conversation.
type Event struct {
	ID string `json:"id"`
	Conversation
	Kind EventKind `json:"kind"`
	// MID is Meta's id of the message that the event is about; unique with its account only. Empty where Meta gives none.
	MID  string `json:"mid,omitempty"`
	Text string `json:"text,omitempty"`
	// MessageType is the row's messages.message_type: text, image, video, audio, file, share, story_mention, story_reply,
	// postback, unsupported, … Empty for events that are not messages.
	MessageType string       `json:"message_type,omitempty"`
	Attachments []Attachment `json:"attachments,omitempty"`
	// Payload is that of a quick reply or a postback.
	Payload string `json:"payload,omitempty"`
	// ReplyToMID and StoryID say what a message answers; Reaction and Emoji what was set on MID.
	ReplyToMID string `json:"reply_to_mid,omitempty"`
	StoryID    string `json:"story_id,omitempty"`
	Reaction   string `json:"reaction,omitempty"`
	Emoji      string `json:"emoji,omitempty"`
	// Edits is num_edit of an edit.
	Edits int `json:"edits,omitempty"`
	// Ref is the ref of a referral, AdID its ad.
	Ref  string `json:"ref,omitempty"`
	AdID string `json:"ad_id,omitempty"`
	// ProductID is the shop's product that a message is about.
	ProductID string `json:"product_id,omitempty"`
	// AppID is the app that sent an echo, where Meta tells.
	AppID string `json:"app_id,omitempty"`
	// Control is pass, take or request for thread control; OldOwner and NewOwner are the apps that it goes between, where
	// Meta tells.
	Control  string `json:"control,omitempty"`
	OldOwner string `json:"old_owner_app_id,omitempty"`
	NewOwner string `json:"new_owner_app_id,omitempty"`
	// CommentID, ParentID, MediaID and Username belong to comments and mentions.
	CommentID string `json:"comment_id,omitempty"`
	ParentID  string `json:"parent_id,omitempty"`
	MediaID   string `json:"media_id,omitempty"`
	Username  string `json:"username,omitempty"`
	// Own: the account itself wrote the comment, or has seen the messages.
	Own bool `json:"own,omitempty"`
	// Hold is the change, for KindHold.
	Hold *Hold `json:"hold,omitempty"`
	// Decision says why a message got no answer, for KindDecision; MID is that message's.
	Decision *Decision `json:"decision,omitempty"`
	// Labels is the change, for KindLabel.
	Labels *Labels `json:"labels,omitempty"`
	// Standby: another app owns the thread and we were only told.
	Standby bool `json:"standby,omitempty"`
	// Profile is what was found, for KindProfile.
	Profile *Profile `json:"profile,omitempty"`
	// KnownAccount: the account is one that this installation answers for. Others are kept and never answered.
	KnownAccount bool `json:"known_account"`
	// Time is Meta's own time of the event; the time of receipt where Meta gives none.
	Time time.Time `json:"time"`
	// ReceivedAt is when ingress accepted it.
	ReceivedAt time.Time `json:"received_at"`
	Source     Source    `json:"source,omitempty"`
	// Raw is the item as Meta sent it.
	Raw json.RawMessage `json:"raw,omitempty"`
}

// Decision is why a customer's message got no answer of its own.
type Decision struct {
	// EventID is the event that was decided, Kind its kind.
	EventID string    `json:"event_id"`
	Kind    EventKind `json:"kind"`
	// Reason is one word, as the metric parley_decisions_total has it: person, late, no_match, burst, …
	Reason string `json:"reason"`
	Trace  *Trace `json:"trace,omitempty"`
}

// Labels is a change of a conversation's labels. Of each label the newest change counts, by At.
type Labels struct {
	Added   []string `json:"added,omitempty"`
	Removed []string `json:"removed,omitempty"`
	// By is who: an operator's name, or "rule " and its name.
	By string `json:"by,omitempty"`
	// Cause is the id of the event that a rule answered; empty for a person's change.
	Cause string    `json:"cause,omitempty"`
	At    time.Time `json:"at"`
}

// Attachment is one medium of a message. URL is signed by Meta and expires within days.
type Attachment struct {
	Type  string `json:"type"`
	URL   string `json:"url,omitempty"`
	Title string `json:"title,omitempty"`
	// MediaID is ig_post_media_id or reel_video_id, which come as numbers beyond 2^53.
	MediaID string `json:"media_id,omitempty"`
}

// FromCustomer says whether the event is something that a customer said and that is worth an answer: a message or a tap,
// not an empty one.
func (e *Event) FromCustomer() bool {
	switch e.Kind {
	case KindMessage:
		return e.Text != "" || len(e.Attachments) > 0 || e.MessageType == "unsupported" || e.StoryID != "" || e.Payload != ""
	case KindPostback:
		return true
	default:
		return false
	}
}
