// Package webhook speaks the webhooks of Meta's messaging platform: it checks and makes their signatures, and turns a body
// into the [dm.Event]s that are in it, one for each item.
//
// Parse takes every shape that is known to be sent: messaging, standby, changes, and field and value flat on the entry;
// ids as strings or as numbers beyond 2^53; times in milliseconds, in seconds, as strings or not at all. What it does not understand
// becomes an event of kind unknown with the bytes as they came, and harms nothing beside it. It does no I/O and knows no
// accounts: who is answered is decided elsewhere.
//
// The JSON is read once, by jsontext, the tokenizer of Go's encoding/json/v2 (in the standard library from Go 1.27 on, where
// this module is an alias for it). encoding/json would have to read a body three times for the same: once to check it, once to take it
// apart into raw items, once for each item.
package webhook
