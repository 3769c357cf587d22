package webhook

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/parley-dm/parley/pkg/dm"
)

// Kept is the Raw of an event whose item cannot travel as it is, because it is too large, nests too deep, or is one of too
// many: its text, in as many events as it takes. Joined in the order of Part, the texts are the item again.
type Kept struct {
	Part int `json:"part"`
	Of   int `json:"of"`
	// SHA256 is that of the whole, in hexadecimal; Bytes its length.
	SHA256 string `json:"sha256"`
	Bytes  int    `json:"bytes"`
	Text   string `json:"text"`
}

// keep adds what is not understood as an event of kind unknown, or as several where one cannot hold it.
func (p *parser) keep(raw []byte, conversation dm.Conversation, at time.Time) {
	if raw == nil {
		return
	}
	e := dm.Event{Conversation: conversation, Kind: dm.KindUnknown, Time: at}
	if travels(raw) {
		e.Raw = raw
		p.stamp(&e, compact(raw))
		p.events = append(p.events, e)
		return
	}
	sum := sha256.Sum256(raw)
	name := hex.EncodeToString(sum[:])
	parts := chunks(raw)
	for i, text := range parts {
		e.Raw, _ = json.Marshal(Kept{Part: i + 1, Of: len(parts), SHA256: name, Bytes: len(raw), Text: string(text)}) // strings and numbers always encode
		p.stamp(&e, name, strconv.Itoa(i))
		p.events = append(p.events, e)
	}
}

// chunks cuts raw, which is UTF-8, into pieces of at most maxPieceBytes, at characters.
func chunks(raw []byte) [][]byte {
	var out [][]byte
	for len(raw) > maxPieceBytes {
		cut := maxPieceBytes
		for !utf8.RuneStart(raw[cut]) {
			cut--
		}
		out = append(out, raw[:cut])
		raw = raw[cut:]
	}
	return append(out, raw)
}

// escapedLen is the most that an item takes once encoding/json has written it, as it is or as decoded texts: what HTML, and
// for two separators JavaScript, would misread becomes six bytes, and nothing else becomes longer than it is in the item.
func escapedLen(raw []byte) int {
	n := len(raw)
	for _, c := range []byte("<>&") {
		n += 5 * bytes.Count(raw, []byte{c})
	}
	for _, separator := range []string{"\u2028", "\u2029"} {
		n += 3 * bytes.Count(raw, []byte(separator))
	}
	return n
}

// travels says whether an item can be carried in an envelope as it is.
func travels(raw []byte) bool {
	if len(raw) > MaxItemBytes/6 && escapedLen(raw) > MaxItemBytes {
		return false
	}
	if bytes.Count(raw, []byte("{"))+bytes.Count(raw, []byte("[")) <= maxDepth {
		return true
	}
	depth, quoted := 0, false
	for i := 0; i < len(raw); i++ {
		switch raw[i] {
		case '"':
			quoted = !quoted
		case '\\':
			i++
		case '{', '[':
			if !quoted {
				depth++
			}
			if depth > maxDepth {
				return false
			}
		case '}', ']':
			if !quoted {
				depth--
			}
		}
	}
	return true
}
