package envelope

import (
	"encoding/json"
	"strconv"
	"time"
	"unicode/utf8"
)

// writer writes JSON, byte for byte as encoding/json does, without reflection. A test holds the two against each other.
type writer struct {
	out []byte
	err error
}

// key begins a member. The names are ours and need no escaping.
func (w *writer) key(name string) {
	if last := w.out[len(w.out)-1]; last != '{' {
		w.out = append(w.out, ',')
	}
	w.out = append(w.out, '"')
	w.out = append(w.out, name...)
	w.out = append(w.out, '"', ':')
}

func (w *writer) str(name, value string) {
	w.key(name)
	w.text(value)
}

// optional leaves out what is empty.
func (w *writer) optional(name, value string) {
	if value != "" {
		w.str(name, value)
	}
}

func (w *writer) number(name string, value int64) {
	w.key(name)
	w.out = strconv.AppendInt(w.out, value, 10)
}

func (w *writer) optionalNumber(name string, value int64) {
	if value != 0 {
		w.number(name, value)
	}
}

func (w *writer) flag(name string, value bool) {
	w.key(name)
	w.out = strconv.AppendBool(w.out, value)
}

func (w *writer) time(name string, value time.Time) {
	w.key(name)
	w.out = append(w.out, '"')
	var err error
	if w.out, err = value.AppendText(w.out); err != nil && w.err == nil {
		w.err = err
	}
	w.out = append(w.out, '"')
}

// text writes a string. Those with something to escape are left to encoding/json.
func (w *writer) text(s string) {
	if !verbatim(s) {
		w.value(s)
		return
	}
	w.out = append(w.out, '"')
	w.out = append(w.out, s...)
	w.out = append(w.out, '"')
}

// verbatim says whether encoding/json writes a string as it is: it escapes <, > and & too, and line separators.
func verbatim(s string) bool {
	for i := 0; i < len(s); i++ {
		if class := classes[s[i]]; class == classPlain {
			continue
		} else if class != classHigh {
			return false
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 || r == '\u2028' || r == '\u2029' {
			return false
		}
		i += size - 1
	}
	return true
}

// raw writes JSON that is there already.
func (w *writer) raw(name string, value json.RawMessage) {
	w.key(name)
	s := &scanner{in: value}
	if s.skip(maxDepth); s.end() && tight(value) {
		w.out = append(w.out, value...)
		return
	}
	w.value(value)
}

// tight says whether encoding/json writes valid JSON as it is: without white space, and with nothing to escape. 0xE2 is how
// line separators begin, and few else.
func tight(value []byte) bool {
	inside := false
	for i := 0; i < len(value); i++ {
		switch value[i] {
		case '"':
			inside = !inside
		case '\\':
			i++
		case ' ', '\t', '\r', '\n':
			if !inside {
				return false
			}
		case '<', '>', '&', 0xE2:
			return false
		default:
		}
	}
	return true
}

// value writes anything by encoding/json.
func (w *writer) value(v any) {
	b, err := json.Marshal(v)
	if err != nil && w.err == nil {
		w.err = err
	}
	w.out = append(w.out, b...)
}
