package dm

import (
	"crypto/sha256"
	"encoding/base32"
	"strconv"
	"strings"
)

// idEncoding gives ids that are safe in a bus subject, a KV key, a URL and a log line.
var idEncoding = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// derive hashes the parts, each with its length in front so that ("ab","c") and ("a","bc") differ, into a prefixed id of
// 26 characters (130 of SHA-256's bits: no collision to be met).
func derive(prefix string, parts ...string) string {
	sum := digest(parts...)
	return prefix + idEncoding.EncodeToString(sum[:])[:26]
}

func digest(parts ...string) [sha256.Size]byte {
	var b strings.Builder
	for _, p := range parts {
		b.WriteString(strconv.Itoa(len(p)))
		b.WriteByte(':')
		b.WriteString(p)
	}
	return sha256.Sum256([]byte(b.String()))
}

// EventID identifies one thing that happened: identity is the mid where Meta gives one, else what tells the item apart
// from others (its raw bytes). The kind is part of it because Meta uses one mid for a message, its reactions, edits and
// deletion.
func EventID(channel Channel, account string, kind EventKind, identity ...string) string {
	return derive("ev_", append([]string{string(channel), account, string(kind)}, identity...)...)
}

// IntentID identifies the answer to an event: one for each step of it.
func IntentID(eventID string, step int) string {
	return derive("in_", eventID, strconv.Itoa(step))
}

// DeliveryID identifies one outcome of one message of an intent. The outcome is part of it: a message may be unknown
// first and sent later, and both are told.
func DeliveryID(intentID string, part int, outcome Outcome) string {
	return derive("de_", intentID, strconv.Itoa(part), string(outcome))
}

// RowID is a deterministic UUID (version 8, RFC 9562) over the parts, for primary keys that two writers must agree on
// without asking each other.
func RowID(parts ...string) [16]byte {
	sum := digest(parts...)
	var id [16]byte
	copy(id[:], sum[:16])
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return id
}
