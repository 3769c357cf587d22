// Package topology declares everything that Parley keeps on NATS, as data: streams, subjects, partitions, buckets. Nothing
// else names a subject or a stream. [Ensure] makes the server agree.
//
// `parley topology` prints it.
package topology

import (
	"crypto/sha256"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/parley-dm/parley/pkg/dm"
)

// DefaultPartitions is the number of partitions that streams are made with. It bounds the replicas of a stage, not its
// speed, and cannot change while messages wait; it is kept in the streams' metadata.
const DefaultPartitions = 16

// Window is how long a stream recognises a message id that it has seen.
const Window = 10 * time.Minute

// RosterTTL is how long a service that says nothing more is listed.
const RosterTTL = 45 * time.Second

// Stream is one JetStream stream. Streams keep by age and bytes, not as work queues: archiver, console and replay read the
// same messages.
type Stream struct {
	Name, Description string
	// Subjects is what it takes; Shape says what the tokens mean, for people.
	Subjects, Shape string
	// MaxAge is 0 where only a stage removes.
	MaxAge      time.Duration
	MaxBytes    int64
	Partitioned bool
	// Settled: stages read it, and what all of them have settled may be removed when room is needed. Otherwise only age, or
	// the stage that it belongs to, removes.
	Settled bool
}

// The streams.
var (
	Events = Stream{
		Name: "DM_EVENTS", Subjects: "dm.event.>", Shape: "dm.event.<partition>.<account>.<kind>", Partitioned: true, Settled: true,
		Description: "what happened: one message for each item of a webhook; partitioned by conversation",
		MaxAge:      7 * 24 * time.Hour, MaxBytes: 2 << 30,
	}
	Intents = Stream{
		Name: "DM_INTENTS", Subjects: "dm.intent.>", Shape: "dm.intent.<partition>.<account>", Partitioned: true, Settled: true,
		Description: "what is to be said: reply intents; partitioned by account",
		MaxAge:      7 * 24 * time.Hour, MaxBytes: 2 << 30,
	}
	Parked = Stream{
		Name: "DM_PARKED", Subjects: "dm.parked.>", Shape: "dm.parked.<partition>.<account>", Partitioned: true,
		Description: "reply intents of accounts that are paused, in their order, until they may leave or their window closes; the sender removes each then",
		MaxBytes:    1 << 30,
	}
	Deliveries = Stream{
		Name: "DM_DELIVERIES", Subjects: "dm.delivery.>", Shape: "dm.delivery.<account>.<outcome>", Settled: true,
		Description: "what came of it: one message for each message sent, failed, expired or unknown",
		MaxAge:      7 * 24 * time.Hour, MaxBytes: 2 << 30,
	}
	Dead = Stream{
		Name: "DM_DEAD", Subjects: "dm.dead.>", Shape: "dm.dead.<stage>.<account>",
		Description: "messages that a stage gave up on, as they were, with the reason",
		MaxAge:      90 * 24 * time.Hour, MaxBytes: 1 << 30,
	}
)

// Streams lists all streams.
func Streams() []Stream { return []Stream{Events, Intents, Parked, Deliveries, Dead} }

// Bucket is one key-value bucket.
type Bucket struct {
	Name, Description, Keys string
	// TTL is how long a value is kept after its last write; 0 is for ever.
	TTL time.Duration
	// Each: every value has a time to live of its own, or none.
	Each bool
}

// The buckets.
var (
	Leases = Bucket{
		Name: "parley_leases", Keys: "<stage>.member.<id> and <stage>.lease.<partition>",
		Description: "who is alive in a stage and who owns which of its partitions",
	}
	Ledger = Bucket{
		Name: "parley_ledger", Keys: "<intent>.<part>", TTL: 48 * time.Hour,
		Description: "the sender's memory of what it claimed and what came of it; kept longer than Meta redelivers (36 h)",
	}
	Accounts = Bucket{
		Name: "parley_accounts", Keys: "<channel>.<account> and app.<login>",
		Description: "how accounts stand, as JSON: paused, why, since when and until when, what to do, when the token ends, how much is parked; no key is nothing to tell",
	}
	Tokens = Bucket{
		Name: "parley_tokens", Keys: "<channel>.<account>",
		Description: "access tokens that were refreshed, encrypted with TOKEN_KEY",
	}
	Profiles = Bucket{
		Name: "parley_profiles", Keys: "<channel>.<account>.<customer>", Each: true,
		Description: "what Meta tells of customers, as JSON: name, username, picture, when it was looked up; forgotten when it is time to look again",
	}
	Conversations = Bucket{
		Name: "parley_conversations", Keys: "<channel>.<account>.<customer>", Each: true,
		Description: "who has a conversation where that is not the bot, or was not until lately: a person or another app, until when and why",
	}
	Roster = Bucket{
		Name: "parley_roster", Keys: "<service>.<instance>", TTL: RosterTTL,
		Description: "the services that run, as JSON: since when, whether each can do its work and why not, its latest errors",
	}
	Spools = Bucket{
		Name: "parley_spools", Keys: "<spool>", TTL: time.Hour,
		Description: "which conversations wait in the spools of ingress, by hash, and since when, so that no other replica overtakes them",
	}
	Erased = Bucket{
		Name: "parley_erased", Keys: "<hash>", TTL: 25 * time.Hour,
		Description: "customers and messages that were erased within a day, by hash: the look for missed webhooks goes back as far and would find them at Meta",
	}
	State = Bucket{
		Name: "parley_state", Keys: "<channel>.<account>.<customer>", Each: true,
		Description: "what deciding needs to remember of a conversation, as JSON: what rules did there and when, labels, the last fallback; no key where nothing needs it",
	}
)

// SpoolHeader is how many bytes a value in [Spools] has that names no conversation: nothing waits in that spool.
const SpoolHeader = 2 + 8

// Buckets lists all buckets.
func Buckets() []Bucket {
	return []Bucket{Leases, Ledger, Accounts, Tokens, Profiles, Conversations, State, Spools, Roster, Erased}
}

// EventSubject is where an event goes.
func EventSubject(e *dm.Event, partitions int) string {
	return "dm.event." + strconv.Itoa(e.Partition(partitions)) + "." + Token(e.Account) + "." + string(e.Kind)
}

// EventsOf matches the events of one kind.
func EventsOf(kind dm.EventKind) string { return "dm.event.*.*." + string(kind) }

// IntentSubject is where a reply intent goes.
func IntentSubject(i *dm.ReplyIntent, partitions int) string {
	return "dm.intent." + strconv.Itoa(dm.AccountPartition(i.Channel, i.Account, partitions)) + "." + Token(i.Account)
}

// ParkedSubject is where a reply intent waits while its account is paused.
func ParkedSubject(i *dm.ReplyIntent, partitions int) string {
	return "dm.parked." + strconv.Itoa(dm.AccountPartition(i.Channel, i.Account, partitions)) + "." + Token(i.Account)
}

// DeliverySubject is where a delivery goes.
func DeliverySubject(d *dm.Delivery) string {
	return "dm.delivery." + Token(d.Account) + "." + string(d.Outcome)
}

// DeadSubject is where a stage's dead letters go. account may be unknown.
func DeadSubject(stage, account string) string {
	return "dm.dead." + Token(stage) + "." + Token(account)
}

// PartitionFilter matches everything in one partition of a partitioned stream.
func (s Stream) PartitionFilter(partition int) string {
	return fmt.Sprintf("%s.%d.>", strings.TrimSuffix(s.Subjects, ".>"), partition)
}

// ConversationKey is a conversation's key in [Conversations], [State] and [Profiles].
func ConversationKey(c dm.Conversation) string {
	return Token(string(c.Channel)) + "." + Token(c.Account) + "." + Token(c.Customer)
}

// ErasedHash is how [Erased], in hexadecimal, and the table erasures name a customer of an account or a message, by Meta's id.
func ErasedHash(account, id string) []byte {
	sum := sha256.Sum256([]byte(account + ":" + id))
	return sum[:]
}

// LedgerKey is the key of one message of an intent in [Ledger].
func LedgerKey(intentID string, part int) string { return Token(intentID) + "." + strconv.Itoa(part) }

// Token makes one subject token of an id. Meta's ids are digits and pass unchanged; anything that a subject cannot hold is
// written as =XX in hexadecimal, and nothing at all as "-".
func Token(id string) string {
	if id == "" {
		return "-"
	}
	plain := true
	for i := range len(id) {
		if !tokenByte(id[i]) {
			plain = false
			break
		}
	}
	if plain {
		return id
	}
	var b strings.Builder
	for i := range len(id) {
		if tokenByte(id[i]) {
			b.WriteByte(id[i])
		} else {
			fmt.Fprintf(&b, "=%02X", id[i])
		}
	}
	return b.String()
}

func tokenByte(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c == '_' || c == '-'
}
