package graph

import "time"

const (
	// commentOpen is how long a comment may get its private reply, liveOpen how long a live video is live here.
	commentOpen = 7 * 24 * time.Hour
	liveOpen    = time.Hour
	// privateReplies is how many an account may send in an hour.
	privateReplies = 750
)

// replyPrivately checks and uses up a comment's one private reply.
func (a *API) replyPrivately(account, id string) *Error {
	refused := &Error{Code: codeParameter, Subcode: subcodeNoComment, Message: "(#100) The comment is invalid for a private reply: it is unknown, too old, or has had one."}
	comment, ok := a.deps.World.FindComment(account, id)
	if !ok {
		return refused
	}
	age, open := a.deps.World.Now().Sub(comment.At), commentOpen
	if comment.Live {
		open = liveOpen
	}
	if age > open && !a.opts.IgnoreWindow || comment.Replied {
		return refused
	}
	if a.opts.Rate > 0 && !comment.Live && a.private.call(account, a.deps.World.Now()).calls > privateReplies {
		return &Error{Code: codeRate, Subcode: subcodeSendRate, Message: "(#613) Calls to this API have exceeded the rate limit."}
	}
	if err := a.deps.World.TakeComment(account, id); err != nil {
		return refused
	}
	return nil
}
