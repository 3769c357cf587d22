package world

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strings"
)

// Message ids look like Meta's: opaque, about 164 characters, with the same beginning. They hold the conversation and the
// message's number in it, so that looking one up needs no index of millions of long keys.
const (
	midPrefix = "aWdfZAG1faXRlbToxOklHTWVzc2FnZAUlE"
	midBytes  = 97 // 130 characters of base64: with the prefix 164
)

var (
	midEncoding = base64.RawURLEncoding.Strict()
	errMID      = errors.New("not one of our message ids")
)

// encodeMID packs nonce, number, account and customer, and fills up with noise derived from them.
func encodeMID(nonce uint64, k Key, seq int) string {
	var b [midBytes]byte
	binary.LittleEndian.PutUint64(b[:], nonce)
	binary.LittleEndian.PutUint64(b[8:], uint64(seq))          //nolint:gosec // a count of messages is not negative
	b[16], b[17] = byte(len(k.Account)), byte(len(k.Customer)) //nolint:gosec // ids have at most 20 digits
	n := 18 + copy(b[18:], k.Account)
	n += copy(b[n:], k.Customer)
	x := nonce ^ uint64(seq)*0x9e3779b97f4a7c15 //nolint:gosec // noise
	for i := n; i < midBytes; i++ {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x) //nolint:gosec // noise
	}
	whiten(b[8:], nonce)
	var out [len(midPrefix) + 130]byte
	copy(out[:], midPrefix)
	midEncoding.Encode(out[len(midPrefix):], b[:])
	return string(out[:])
}

// decodeMID is the way back.
func decodeMID(mid string) (nonce uint64, k Key, seq int, err error) {
	rest, ok := strings.CutPrefix(mid, midPrefix)
	if !ok || len(rest) != midEncoding.EncodedLen(midBytes) {
		return 0, Key{}, 0, errMID
	}
	var b [midBytes]byte
	if _, err := midEncoding.Decode(b[:], []byte(rest)); err != nil {
		return 0, Key{}, 0, errMID
	}
	nonce = binary.LittleEndian.Uint64(b[:])
	whiten(b[8:], nonce)
	number := binary.LittleEndian.Uint64(b[8:])
	la, lc := int(b[16]), int(b[17])
	if number > 1<<40 || 18+la+lc > midBytes {
		return 0, Key{}, 0, errMID
	}
	return nonce, Key{Account: string(b[18 : 18+la]), Customer: string(b[18+la : 18+la+lc])}, int(number), nil
}

// whiten hides the ids from the eye: nobody should be tempted to read meaning into a mid.
func whiten(b []byte, seed uint64) {
	x := seed | 1
	for i := range b {
		x = x*6364136223846793005 + 1442695040888963407
		b[i] ^= byte(x >> 56)
	}
}

// conversationPrefix begins the ids of conversations.
const conversationPrefix = "aWdfZAG06MTpJR01lc3NhZA2VUaHJlYWQ6"

// ConversationID is a conversation's id in the Graph API.
func ConversationID(k Key) string {
	return conversationPrefix + midEncoding.EncodeToString([]byte(k.Account+":"+k.Customer))
}

// ParseConversationID is the way back.
func ParseConversationID(id string) (Key, bool) {
	rest, ok := strings.CutPrefix(id, conversationPrefix)
	if !ok {
		return Key{}, false
	}
	raw, err := midEncoding.DecodeString(rest)
	if err != nil {
		return Key{}, false
	}
	account, customer, ok := strings.Cut(string(raw), ":")
	return Key{Account: account, Customer: customer}, ok
}
