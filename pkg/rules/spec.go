package rules

import (
	"time"

	"github.com/parley-dm/parley/pkg/dm"
)

// Occasion is a kind of thing that a customer does and that a rule may answer.
type Occasion string

// The occasions. A rule that names none is asked about messages: everything but reactions, referrals and comments, which
// are answered only where a rule says so.
const (
	OnText         Occasion = "text"          // a message with a text
	OnMedia        Occasion = "media"         // a message without one: pictures, videos, recordings, shared posts, hearts, …
	OnStoryReply   Occasion = "story_reply"   // a message that answers a story of the account
	OnStoryMention Occasion = "story_mention" // the customer mentioned the account in a story
	OnQuickReply   Occasion = "quick_reply"   // a tapped quick reply; its payload is asked too
	OnPostback     Occasion = "postback"      // a tapped button or menu; its payload is asked too
	OnFirst        Occasion = "first_message" // whatever the customer says first of all, ever
	OnReferral     Occasion = "referral"      // an ig.me link or an ad was followed
	OnReaction     Occasion = "reaction"      // a message of ours got a reaction
	OnComment      Occasion = "comment"       // a comment on a post
	OnLiveComment  Occasion = "live_comment"  // a comment on a live video
)

// Customers narrows a rule to new or returning customers.
type Customers string

// The kinds of customer: new ones have never had a reply before.
const (
	NewCustomers       Customers = "new"
	ReturningCustomers Customers = "returning"
)

// When is what has to hold, all of it, for a rule to match beside its keywords. Its zero value always holds.
type When struct {
	// On is what may have happened; messages of any kind if empty.
	On []Occasion `json:"on,omitempty" yaml:"on,omitempty"`
	// Payloads are payloads of quick replies and postbacks, refs of referrals or names of reactions, compared whole and as
	// they are; one is enough.
	Payloads []string `json:"payloads,omitempty" yaml:"payloads,omitempty"`
	// Languages are ISO 639-1 codes that the message may be written in.
	Languages []string `json:"languages,omitempty" yaml:"languages,omitempty"`
	// Intents and Sentiments are what a classifier may have said of the message. Without one they never hold.
	Intents    []string `json:"intents,omitempty" yaml:"intents,omitempty"`
	Sentiments []string `json:"sentiments,omitempty" yaml:"sentiments,omitempty"`
	// Accounts are ids of accounts of ours.
	Accounts []string `json:"accounts,omitempty" yaml:"accounts,omitempty"`
	// Customers is new or returning; both if empty.
	Customers Customers `json:"customers,omitempty" yaml:"customers,omitempty"`
	// Labels the conversation must have, all of them.
	Labels []string `json:"labels,omitempty" yaml:"labels,omitempty"`
	// Hours are when it holds.
	Hours *Hours `json:"hours,omitempty" yaml:"hours,omitempty"`
	// Otherwise: only when no rule without this flag matched.
	Otherwise bool `json:"otherwise,omitempty" yaml:"otherwise,omitempty"`
	// IgnoreAccents compares keywords without their diacritics: "cafe" finds "café".
	IgnoreAccents bool `json:"ignore_accents,omitempty" yaml:"ignore_accents,omitempty"`
}

// Hours is a weekly time table.
type Hours struct {
	// Zone is the IANA name of a time zone, such as Europe/Berlin.
	Zone string `json:"zone" yaml:"zone"`
	// Days are mon, tue, wed, thu, fri, sat, sun; every day if empty.
	Days []string `json:"days,omitempty" yaml:"days,omitempty"`
	// From and To are times of day, HH:MM; To is exclusive and may be 24:00, and one that is not after From is on the next day.
	// Both empty is all day.
	From string `json:"from,omitempty" yaml:"from,omitempty"`
	To   string `json:"to,omitempty" yaml:"to,omitempty"`
	// Holidays are dates, YYYY-MM-DD, on which the time table does not hold.
	Holidays []string `json:"holidays,omitempty" yaml:"holidays,omitempty"`
	// Outside turns it round: the rule holds whenever the time table does not.
	Outside bool `json:"outside,omitempty" yaml:"outside,omitempty"`
}

// Then is what a rule does. Beside it a rule has its plain text, response_text, which is one more way to say the first text.
type Then struct {
	// Reply is what is said, part by part, instead of the plain text. Texts in it are templates.
	Reply []Part `json:"reply,omitempty" yaml:"reply,omitempty"`
	// ByLanguage is what is said instead to messages in that language (ISO 639-1).
	ByLanguage map[string][]Part `json:"by_language,omitempty" yaml:"by_language,omitempty"`
	// PrivateReply answers a comment with a message to the one who wrote it. A rule for comments says nothing without it.
	PrivateReply bool `json:"private_reply,omitempty" yaml:"private_reply,omitempty"`
	// Like sets a heart on the customer's message.
	Like bool `json:"like,omitempty" yaml:"like,omitempty"`
	// HandOff gives the conversation to a person, after what is said.
	HandOff bool `json:"hand_off,omitempty" yaml:"hand_off,omitempty"`
	// Silent says nothing at all, not even the fallback.
	Silent bool `json:"silent,omitempty" yaml:"silent,omitempty"`
	// Labels are put on the conversation.
	Labels []string `json:"labels,omitempty" yaml:"labels,omitempty"`
}

// Part is one part of a reply as a rule has it: any of dm.Part, or one text of several.
type Part struct {
	dm.Part `yaml:",inline"`
	// Variants are texts of which one is said; instead of Part.Text.
	Variants []string `json:"variants,omitempty" yaml:"variants,omitempty"`
	// Choose is random (the default, drawn by the event so that a repetition draws the same) or turn (one after another in
	// each conversation).
	Choose string `json:"choose,omitempty" yaml:"choose,omitempty"`
}

// The ways to choose a variant.
const (
	ChooseRandom = "random"
	ChooseTurn   = "turn"
)

// Limits bound how often a rule answers. Its zero value does not.
type Limits struct {
	// OncePerCustomer: never again in a conversation where it has answered.
	OncePerCustomer bool `json:"once_per_customer,omitempty" yaml:"once_per_customer,omitempty"`
	// Cooldown is how long it stays silent in a conversation after it has answered there; "90m" in JSON and YAML.
	Cooldown Duration `json:"cooldown,omitempty" yaml:"cooldown,omitempty"`
	// From and Until are when it works; zero is always.
	From  time.Time `json:"from,omitzero" yaml:"from,omitempty"`
	Until time.Time `json:"until,omitzero" yaml:"until,omitempty"`
}

// Duration is a time span that is written as Go does: 90m, 24h.
type Duration time.Duration

// String writes it as it is read.
func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText writes it for JSON and YAML.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads it.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	*d = Duration(v)
	return err
}
