// Package graph speaks Meta's Graph API: it sends messages, looks up what was sent, and says what an error means.
//
// [Client] makes the calls, [SplitText] and [Expand] turn the parts of a reply into messages that the Send API takes, and
// [Error] carries Meta's words together with a [Rule]: what the table of known codes says to do. The package makes one
// call when it is asked for one. It never tries again by itself, because a message that went out cannot be taken back:
// whoever calls decides with [Error.Class].
package graph
