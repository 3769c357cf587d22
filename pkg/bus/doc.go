// Package bus is a Watermill publisher and subscriber on NATS JetStream that keeps order, owns partitions and never sends
// an acknowledgement that it does not mean.
//
// What it gives over the stock adapter:
//
//   - Publishing sets Nats-Msg-Id to the message's UUID, sends a slice in one flight and returns when every message has been
//     acknowledged by JetStream, so that publishing twice stores once and nothing is believed stored that is not.
//   - Subscribing hands out messages by lanes: those with one key one after another, many keys at once, bounded in number
//     and in bytes. A message that is held is kept alive with InProgress; a message that failed is tried again in its lane.
//   - Where order does not matter, many messages can be handed out as one: see [Batch].
//   - With an [Ownership], a topic's partitions are shared out among the members of a group; each has one owner at a time,
//     and everything that an owner left unacknowledged comes to the next one first, in stream order.
//   - A stop lets running handlers finish and flushes their acknowledgements.
//   - [NewRouter] adds what a handler should not have to think about: panics, deadlines, classes of errors, retries in the
//     lane, dead letters.
//
// It knows nothing of what the messages mean: the caller gives a [KeyFunc] and subjects.
package bus
