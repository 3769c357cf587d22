// Package dm is Parley's domain: direct messages of a business's customers, what is answered to them and what came of it.
//
// It is the ground floor. It knows neither Meta's JSON nor the bus nor PostgreSQL, imports the standard library only, and
// every other package speaks its types: an [Event] comes in, a [ReplyIntent] is decided, a [Delivery] says what came of it.
//
// Ids are derived, never drawn: the same webhook item always yields the same event id, the same decision the same intent
// id. That is what makes every stage safe to run twice.
package dm
