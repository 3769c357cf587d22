package dm

import (
	"fmt"
	"hash/fnv"
	"strings"
)

// Channel is the platform that a conversation is held on.
type Channel string

// The channels. Only Instagram is spoken today; the others keep their names ready.
const (
	ChannelInstagram Channel = "instagram"
	ChannelMessenger Channel = "messenger"
	ChannelWhatsApp  Channel = "whatsapp"
)

// Conversation identifies all that one customer and one account say to each other. A customer's id is scoped to the
// account by Meta, and one person may write to two accounts of ours, so all three fields are the key.
type Conversation struct {
	Channel  Channel `json:"channel"`
	Account  string  `json:"account"`
	Customer string  `json:"customer"`
}

// String is the conversation's name on the bus and in logs: "instagram:17841400000000001:7001".
func (c Conversation) String() string {
	return string(c.Channel) + ":" + c.Account + ":" + c.Customer
}

// ParseConversation reads what [Conversation.String] wrote.
func ParseConversation(s string) (Conversation, error) {
	channel, rest, ok := strings.Cut(s, ":")
	account, customer, ok2 := strings.Cut(rest, ":")
	if !ok || !ok2 || channel == "" {
		return Conversation{}, fmt.Errorf("conversation %q: expected channel:account:customer", s)
	}
	return Conversation{Channel: Channel(channel), Account: account, Customer: customer}, nil
}

// Partition is the partition, in [0, partitions), that the conversation's events travel in.
func (c Conversation) Partition(partitions int) int { return partition(c.String(), partitions) }

// AccountPartition is the partition, in [0, partitions), that an account's reply intents travel in: everything of one
// account leaves through one sender at a time, so that rate limits and pauses are exact.
func AccountPartition(channel Channel, account string, partitions int) int {
	return partition(string(channel)+":"+account, partitions)
}

// partition hashes with FNV-1a: stable across processes, versions and machines, which a seeded hash is not.
func partition(key string, partitions int) int {
	if partitions <= 1 {
		return 0
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(key))
	return int(h.Sum32() % uint32(partitions)) //nolint:gosec // partitions is a small positive number
}
