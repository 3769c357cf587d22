// Package respond decides what is answered to an event: what a rule, an engine or the fallback says, or nothing, each with its reason.
//
// [Silence] is a pure function that says what is never answered. [Responder] puts around it and the chain of engines what they need to
// know and what comes of a decision beside the reply: the bound on replies to one customer, what is remembered of the conversation,
// labels, hand-offs, and what an operator sees. The package knows neither the bus nor PostgreSQL.
package respond
