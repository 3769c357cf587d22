package record

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/parley-dm/parley/pkg/dm"
)

const (
	// maxDepth is how deep jsonb may nest here; PostgreSQL's own bound depends on its stack.
	maxDepth = 500
	// maxExponent bounds the digits of a number's exponent: jsonb keeps numbers exactly and refuses 1e200000.
	maxExponent = 3
)

// Event is what is kept raw.
type Event struct {
	ID, Kind, MID    string
	Conversation     dm.Conversation
	Time, ReceivedAt time.Time
	// Data is the event as the bus carried it.
	Data string
}

func newEvent(e *dm.Event, at, received time.Time) *Event {
	raw, original := safeRaw(e.Raw)
	whole := struct {
		dm.Event
		RawBase64 []byte `json:"raw_base64,omitempty"`
	}{Event: *e, RawBase64: original}
	whole.Raw = raw
	out := &Event{ID: e.ID, Kind: string(e.Kind), MID: e.MID, Conversation: e.Conversation, Time: at, ReceivedAt: received, Data: "{}"}
	// Strings, numbers and times that came out of JSON encode again.
	if b, err := json.Marshal(whole); err == nil {
		out.Data = string(b)
		if bytes.Contains(b, []byte(`\u0000`)) {
			if clean, err := rewrite(b); err == nil {
				out.Data = clean
			}
		}
	}
	return out
}

// newText makes a text fit for PostgreSQL, which stores no NUL and no invalid UTF-8: they become U+FFFD, and the original
// is kept as JSON would write it.
func newText(s string) Text {
	clean := cleanString(s)
	if clean == s {
		return Text{Clean: s}
	}
	quoted, _ := json.Marshal(s) // a string always encodes
	return Text{Clean: clean, Original: string(quoted[1 : len(quoted)-1])}
}

// safeRaw returns an item as jsonb can hold it and, where that is not what Meta sent, the original.
func safeRaw(raw json.RawMessage) (safe json.RawMessage, original []byte) {
	if len(raw) == 0 || jsonbTakes(raw) {
		return raw, nil
	}
	clean, err := rewrite(raw)
	if err != nil {
		return nil, raw
	}
	return json.RawMessage(clean), raw
}

// jsonbTakes says whether jsonb can hold a JSON text exactly. It refuses NUL, surrogates that are no pair, invalid UTF-8,
// enormous numbers and deep nesting.
func jsonbTakes(raw []byte) bool {
	if !utf8.Valid(raw) {
		return false
	}
	depth, quoted := 0, false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case quoted && c == '\\':
			skip, ok := escape(raw[i:])
			if !ok {
				return false
			}
			i += skip - 1
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return false
			}
		case c == '}' || c == ']':
			depth--
		case (c == 'e' || c == 'E') && exponent(raw[i+1:]) > maxExponent:
			return false
		}
	}
	return true
}

// escape reads one escape of a string, or the two of a surrogate pair, and says how long it is and whether jsonb takes it.
func escape(b []byte) (length int, ok bool) {
	r, ok := codeUnit(b)
	switch {
	case !ok:
		return 2, len(b) >= 2
	case r == 0 || r >= 0xDC00 && r <= 0xDFFF:
		return 6, false
	case r < 0xD800 || r > 0xDBFF:
		return 6, true
	}
	low, ok := codeUnit(b[6:])
	return 12, ok && low >= 0xDC00 && low <= 0xDFFF
}

// codeUnit reads \uXXXX.
func codeUnit(b []byte) (unit uint32, ok bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	for _, c := range b[2:6] {
		unit <<= 4
		switch {
		case c >= '0' && c <= '9':
			unit |= uint32(c - '0')
		case c >= 'a' && c <= 'f':
			unit |= uint32(c-'a') + 10
		case c >= 'A' && c <= 'F':
			unit |= uint32(c-'A') + 10
		default:
			return 0, false
		}
	}
	return unit, true
}

// exponent counts the digits that follow an e; the e of true and false has none.
func exponent(b []byte) int {
	n := 0
	for i, c := range b {
		switch {
		case i == 0 && (c == '+' || c == '-'):
		case c >= '0' && c <= '9':
			n++
		default:
			return n
		}
	}
	return n
}

// rewrite is a JSON text with everything replaced that jsonb refuses.
func rewrite(raw []byte) (string, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return "", fmt.Errorf("rewrite JSON for jsonb: %w", err)
	}
	b, err := json.Marshal(storable(v, 0))
	if err != nil {
		return "", fmt.Errorf("rewrite JSON for jsonb: %w", err)
	}
	return string(b), nil
}

// storable replaces what jsonb refuses: NUL becomes U+FFFD, as the decoder did with what is not UTF-8, an enormous number
// becomes a string, and what nests too deep is left out.
func storable(v any, depth int) any {
	switch v := v.(type) {
	case string:
		return cleanString(v)
	case json.Number:
		if i := strings.IndexAny(v.String(), "eE"); i >= 0 && exponent([]byte(v.String()[i+1:])) > maxExponent {
			return v.String()
		}
		return v
	case []any:
		if depth >= maxDepth {
			return nil
		}
		for i := range v {
			v[i] = storable(v[i], depth+1)
		}
		return v
	case map[string]any:
		if depth >= maxDepth {
			return nil
		}
		out := make(map[string]any, len(v))
		for k, value := range v {
			out[cleanString(k)] = storable(value, depth+1)
		}
		return out
	default:
		return v
	}
}
