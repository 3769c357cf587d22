package graph

import (
	"fmt"
	"slices"
	"time"

	"github.com/parley-dm/parley/pkg/dm"
)

// Class says what is known of a message whose call did not succeed, and so what may be done next.
type Class int

// The classes. The zero value is none of them, so that a forgotten one shows.
const (
	_ Class = iota
	// ClassTransient: it was not sent; trying again may help.
	ClassTransient
	// ClassRateLimited: it was not sent; the rule's scope has to wait.
	ClassRateLimited
	// ClassTokenDead: it was not sent; the account needs a new token. Its queue is kept.
	ClassTokenDead
	// ClassAccountBlocked: it was not sent; the account may not send until somebody has seen to it. Its queue is kept.
	ClassAccountBlocked
	// ClassPermanent: it was not sent and never will be.
	ClassPermanent
	// ClassSentAnyway: Meta reported an error although it was sent. Never again; look for the mid.
	ClassSentAnyway
	// ClassUnknown: it may or may not have been sent. Never again blindly.
	ClassUnknown
	// ClassNoProfile: the customer has not agreed to share a profile. Look-ups only: go on without a name.
	ClassNoProfile
	// ClassNotFound: the message is gone or too old to be looked up: treat it as not known.
	ClassNotFound
)

var classNames = [...]string{
	"none", "transient", "rate_limited", "token_dead", "account_blocked", "permanent", "sent_anyway", "unknown", "no_profile", "not_found",
}

// String is the class's name, as metrics carry it.
func (c Class) String() string {
	if c < 0 || int(c) >= len(classNames) {
		return fmt.Sprintf("class(%d)", int(c))
	}
	return classNames[c]
}

// NotSent says whether the message is known not to have been sent, so that calling again cannot send it twice.
func (c Class) NotSent() bool {
	switch c {
	case ClassSentAnyway, ClassUnknown, 0:
		return false
	default:
		return true
	}
}

// Scope says what an error is about, beyond its message.
type Scope string

// The scopes. The zero value is the message alone.
const (
	ScopeMessage      Scope = ""
	ScopeConversation Scope = "conversation" // say nothing more to this customer for now
	ScopeAccount      Scope = "account"
	ScopeApp          Scope = "app" // all accounts of the app
)

// Rule is what an error means and what to do about it.
type Rule struct {
	// Code and Subcode are Meta's. A row with Subcode 0 holds for every subcode that has no row of its own.
	Code, Subcode int
	Class         Class
	Scope         Scope
	// Pause is how long the scope waits when no header says so.
	Pause time.Duration
	// MaxAttempts bounds the attempts below the caller's own bound; 0 leaves it.
	MaxAttempts int
	// Alert: a person should look.
	Alert bool
	// Window: the messaging window is closed. A person may still write, with the HUMAN_AGENT tag.
	Window bool
	// Stop: nothing automatic should follow in the conversation, and why.
	Stop dm.Stop
	// Meaning is for an operator.
	Meaning string
}

// How long to wait where Meta does not say. A dead token or a block is looked at again in case somebody mended it.
const (
	ratePause    = time.Minute
	tokenPause   = 30 * time.Second
	blockedPause = 5 * time.Minute
	policyPause  = 2 * time.Hour
)

// table is every row that is known, one for each code or code and subcode (meta-platform.md, section 7).
var table = []Rule{
	{Code: 1, Class: ClassTransient, MaxAttempts: 3, Alert: true, Meaning: "unknown error of Meta"},
	{Code: 1, Subcode: 99, Class: ClassTransient, MaxAttempts: 3, Alert: true, Meaning: "unknown error of Meta, often a missing permission"},
	{Code: 1, Subcode: 1357046, Class: ClassSentAnyway, Meaning: "an error, although it was sent"},
	{Code: 2, Class: ClassTransient, Meaning: "temporary failure on Meta's side"},
	{Code: 2, Subcode: 1545133, Class: ClassTransient, Meaning: "temporary failure, or the person has blocked the account"},

	{Code: 4, Class: ClassRateLimited, Scope: ScopeApp, Pause: ratePause, Meaning: "the app's limit of calls"},
	{Code: 17, Class: ClassRateLimited, Scope: ScopeAccount, Pause: ratePause, Meaning: "the user's limit of calls"},
	{Code: 32, Class: ClassRateLimited, Scope: ScopeAccount, Pause: ratePause, Meaning: "the page's limit of calls"},
	{Code: 613, Class: ClassRateLimited, Scope: ScopeAccount, Pause: ratePause, Meaning: "a limit of calls"},
	{Code: 613, Subcode: 2534040, Class: ClassRateLimited, Scope: ScopeAccount, Pause: ratePause, Meaning: "messages sent too fast"},
	{Code: 613, Subcode: 2018338, Class: ClassPermanent, Scope: ScopeConversation, Stop: dm.StopTooMany, Alert: true, Meaning: "too many messages to this person"},
	{Code: 613, Subcode: 1996, Class: ClassRateLimited, Scope: ScopeAccount, Pause: ratePause, Alert: true, Meaning: "inconsistent volume of calls"},
	{Code: 80001, Class: ClassRateLimited, Scope: ScopeAccount, Pause: 5 * ratePause, Meaning: "the page's business use case limit"},
	{Code: 80002, Class: ClassRateLimited, Scope: ScopeAccount, Pause: 5 * ratePause, Meaning: "Instagram's business use case limit"},
	{Code: 80006, Class: ClassRateLimited, Scope: ScopeAccount, Pause: 5 * ratePause, Meaning: "messaging's business use case limit"},

	{Code: 10, Class: ClassAccountBlocked, Scope: ScopeAccount, Pause: blockedPause, Alert: true, Meaning: "a permission is missing"},
	{Code: 10, Subcode: 2534022, Class: ClassPermanent, Window: true, Meaning: "outside the messaging window"},
	{Code: 10, Subcode: 2018278, Class: ClassPermanent, Window: true, Meaning: "outside the messaging window"},
	{Code: 10, Subcode: 2018065, Class: ClassPermanent, Window: true, Meaning: "outside the messaging window"},
	{Code: 10, Subcode: 2018108, Class: ClassPermanent, Meaning: "the person cannot receive messages now"},
	{Code: 10, Subcode: 2018300, Class: ClassPermanent, Scope: ScopeConversation, Stop: dm.StopNotOurs, Meaning: "another app owns the thread"},
	{Code: 10, Subcode: 1893063, Class: ClassAccountBlocked, Scope: ScopeAccount, Pause: blockedPause, Alert: true, Meaning: "the page is restricted"},
	{Code: 10, Subcode: 2534077, Class: ClassAccountBlocked, Scope: ScopeAccount, Pause: blockedPause, Alert: true, Meaning: "the page's link or two-factor authentication"},

	{Code: 100, Class: ClassPermanent, Meaning: "invalid parameter"},
	{Code: 100, Subcode: 33, Class: ClassPermanent, Alert: true, Meaning: "the object is gone or there is no permission for it"},
	{Code: 100, Subcode: 2018001, Class: ClassPermanent, Stop: dm.StopUnreachable, Meaning: "no such user"},
	{Code: 100, Subcode: 2534014, Class: ClassPermanent, Stop: dm.StopUnreachable, Meaning: "no such user"},
	{Code: 100, Subcode: 2534015, Class: ClassPermanent, Meaning: "invalid message data"},
	{Code: 100, Subcode: 2018047, Class: ClassPermanent, Meaning: "invalid attachment type"},
	{Code: 100, Subcode: 2018109, Class: ClassPermanent, Meaning: "the attachment is too large"},
	{Code: 100, Subcode: 2018008, Class: ClassTransient, MaxAttempts: 2, Meaning: "the medium could not be fetched"},
	{Code: 100, Subcode: 2534013, Class: ClassAccountBlocked, Scope: ScopeAccount, Pause: blockedPause, Alert: true, Meaning: "the page is not linked to the Instagram account"},
	{Code: 100, Subcode: 2534029, Class: ClassAccountBlocked, Scope: ScopeAccount, Pause: blockedPause, Alert: true, Meaning: "the business is blocked"},
	{Code: 100, Subcode: 2534025, Class: ClassPermanent, Meaning: "the comment is not open to a private reply, or has had it"},
	{Code: -1, Subcode: 2534023, Class: ClassPermanent, Meaning: "the comment is not open to a private reply, or has had it"},
	{Code: 100, Subcode: 2534037, Class: ClassPermanent, Scope: ScopeConversation, Stop: dm.StopNotOurs, Meaning: "another app owns the thread"},
	{Code: 100, Subcode: 2018300, Class: ClassPermanent, Scope: ScopeConversation, Stop: dm.StopNotOurs, Meaning: "another app owns the thread"},

	{Code: 190, Class: ClassTokenDead, Scope: ScopeAccount, Pause: tokenPause, Alert: true, Meaning: "the token is dead"},
	{Code: 190, Subcode: 458, Class: ClassTokenDead, Scope: ScopeAccount, Pause: tokenPause, Alert: true, Meaning: "the token is dead: the app was removed"},
	{Code: 190, Subcode: 459, Class: ClassTokenDead, Scope: ScopeAccount, Pause: tokenPause, Alert: true, Meaning: "the token is dead: the user has to log in to Facebook"},
	{Code: 190, Subcode: 460, Class: ClassTokenDead, Scope: ScopeAccount, Pause: tokenPause, Alert: true, Meaning: "the token is dead: the password was changed"},
	{Code: 190, Subcode: 463, Class: ClassTokenDead, Scope: ScopeAccount, Pause: tokenPause, Alert: true, Meaning: "the token has expired"},
	{Code: 190, Subcode: 464, Class: ClassTokenDead, Scope: ScopeAccount, Pause: tokenPause, Alert: true, Meaning: "the token is dead: the user is not confirmed"},
	{Code: 190, Subcode: 467, Class: ClassTokenDead, Scope: ScopeAccount, Pause: tokenPause, Alert: true, Meaning: "the token is invalid"},

	{Code: 200, Class: ClassAccountBlocked, Scope: ScopeAccount, Pause: blockedPause, Alert: true, Meaning: "a permission is missing"},
	{Code: 200, Subcode: 2018028, Class: ClassAccountBlocked, Scope: ScopeAccount, Pause: blockedPause, Alert: true, Meaning: "the app is not live, or the permission was not reviewed"},
	{Code: 200, Subcode: 2534041, Class: ClassAccountBlocked, Scope: ScopeAccount, Pause: blockedPause, Alert: true, Meaning: "the owner has disabled access to messages"},
	{Code: 200, Subcode: 1545041, Class: ClassPermanent, Stop: dm.StopUnreachable, Meaning: "this person is not available"},
	{Code: 551, Class: ClassPermanent, Stop: dm.StopUnreachable, Meaning: "this person is not available"},

	{Code: 230, Class: ClassNoProfile, Meaning: "the person has not agreed to share a profile"},
	{Code: 9010, Class: ClassNoProfile, Meaning: "the person has not agreed to share a profile"},
	{Code: 368, Class: ClassAccountBlocked, Scope: ScopeAccount, Pause: policyPause, Alert: true, Meaning: "blocked for breaking a policy"},
	{Code: 2022, Class: ClassAccountBlocked, Scope: ScopeAccount, Pause: policyPause, Alert: true, Meaning: "blocked for breaking a policy"},
	{Code: 9000001, Class: ClassNotFound, Meaning: "the message is gone or older than the last 20"},
}

// code is what the table is looked up by.
type code struct{ code, subcode int }

var byCode = func() map[code]Rule {
	m := make(map[code]Rule, len(table))
	for _, r := range table {
		m[code{r.Code, r.Subcode}] = r
	}
	return m
}()

// Rules lists the table.
func Rules() []Rule { return slices.Clone(table) }

// Classify finds the rule for an error: by code and subcode, then by code, then by what Meta says of itself
// (is_transient), and only then by the HTTP status, which is unreliable.
func Classify(status, errorCode, subcode int, isTransient bool) Rule {
	if r, ok := byCode[code{errorCode, subcode}]; ok && errorCode != 0 {
		return r
	}
	if r, ok := byCode[code{errorCode, 0}]; ok && errorCode != 0 {
		return r
	}
	var r Rule
	if isTransient {
		r = Rule{Class: ClassTransient, Meaning: "temporary, says Meta"}
	} else {
		r = byStatus(status, errorCode != 0)
	}
	r.Code, r.Subcode = errorCode, subcode
	return r
}
