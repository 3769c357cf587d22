package envelope

import (
	"encoding/json"
	"time"
	"unicode/utf8"
)

// scanner reads JSON as this package writes it, in one pass and without reflection. Whatever else JSON allows (other
// members, null, other spellings of names, numbers with a fraction) makes it give up, and encoding/json decides: it is only
// ever faster, never different. A test holds the two against each other.
//
// Decoding five envelopes for each message, with reflection, was the largest single cost of a reply: a seventh of all CPU,
// and a third of that for growing the stacks of the goroutines that Watermill starts for each message.
type scanner struct {
	in     []byte
	at     int
	failed bool
}

// maxDepth bounds the recursion of skip; deeper values are encoding/json's.
const maxDepth = 32

func (s *scanner) fail() { s.failed = true }

// space passes over white space and gives the next byte; 0 at the end.
func (s *scanner) space() byte {
	for ; s.at < len(s.in); s.at++ {
		switch c := s.in[s.at]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}

// take passes over a byte that must come next.
func (s *scanner) take(c byte) bool {
	if s.failed || s.space() != c {
		s.failed = true
		return false
	}
	s.at++
	return true
}

// first begins a list or object and says whether there is something in it.
func (s *scanner) first(open, closing byte) bool {
	if !s.take(open) {
		return false
	}
	if s.space() == closing {
		s.at++
		return false
	}
	return true
}

// more says whether another element or member comes.
func (s *scanner) more(closing byte) bool {
	if s.failed {
		return false
	}
	switch s.space() {
	case ',':
		s.at++
		return true
	case closing:
		s.at++
		return false
	default:
		s.failed = true
		return false
	}
}

// end demands that nothing follows.
func (s *scanner) end() bool { return s.space() == 0 && s.at == len(s.in) && !s.failed }

// name reads a member's name; it is valid until the next read of the input's owner.
func (s *scanner) name() []byte {
	quoted, plain := s.quoted()
	if !plain || !s.take(':') {
		s.failed = true
		return nil
	}
	return quoted[1 : len(quoted)-1]
}

// quoted passes over a string and gives it with its quotes. plain says that what is between them is the text as it is.
func (s *scanner) quoted() (token []byte, plain bool) {
	if s.failed || s.space() != '"' {
		s.failed = true
		return nil, false
	}
	start := s.at
	plain, ascii := true, true
	for i := start + 1; i < len(s.in); i++ {
		c := s.in[i]
		switch classes[c] {
		case classPlain, classMarkup:
		case classQuote:
			s.at = i + 1
			token = s.in[start:s.at]
			return token, plain && (ascii || utf8.Valid(token))
		case classBackslash:
			plain = false
			if i = escape(s.in, i+1); i < 0 {
				s.failed = true
				return nil, false
			}
		case classHigh:
			ascii = false
		default:
			s.failed = true
			return nil, false
		}
	}
	s.failed = true
	return nil, false
}

// The classes of bytes in a string.
const (
	classControl = iota // not allowed
	classPlain
	classMarkup // written as \u00XX, but read as it is
	classQuote
	classBackslash
	classHigh // part of a character beyond ASCII
)

var classes = func() (c [256]uint8) {
	for b := range c {
		switch {
		case b < ' ':
		case b >= utf8.RuneSelf:
			c[b] = classHigh
		default:
			c[b] = classPlain
		}
	}
	c['<'], c['>'], c['&'] = classMarkup, classMarkup, classMarkup
	c['"'], c['\\'] = classQuote, classBackslash
	return c
}()

// escape checks what follows a backslash and gives the index of its last byte; -1 if it is wrong.
func escape(in []byte, at int) int {
	if at >= len(in) {
		return -1
	}
	switch in[at] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return at
	case 'u':
		if at+4 >= len(in) {
			return -1
		}
		for _, c := range in[at+1 : at+5] {
			if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F') {
				return -1
			}
		}
		return at + 4
	default:
		return -1
	}
}

// text reads a string.
func (s *scanner) text() string {
	token, plain := s.quoted()
	switch {
	case s.failed:
		return ""
	case plain:
		return string(token[1 : len(token)-1])
	}
	var out string
	if json.Unmarshal(token, &out) != nil {
		s.failed = true
	}
	return out
}

// number reads an integer of at most 18 digits.
func (s *scanner) number() int64 {
	if s.failed {
		return 0
	}
	negative := s.space() == '-'
	if negative {
		s.at++
	}
	start := s.at
	var n int64
	for ; s.at < len(s.in) && isDigit(s.in[s.at]); s.at++ {
		n = n*10 + int64(s.in[s.at]-'0')
		if s.at-start >= 18 {
			s.failed = true
			return 0
		}
	}
	digits := s.at - start
	if digits == 0 || digits > 1 && s.in[start] == '0' || s.at < len(s.in) && (s.in[s.at] == '.' || s.in[s.at]|0x20 == 'e') {
		s.failed = true
		return 0
	}
	if negative {
		return -n
	}
	return n
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// flag reads true or false.
func (s *scanner) flag() bool {
	if s.failed {
		return false
	}
	s.space()
	if s.word("true") {
		return true
	}
	if !s.word("false") {
		s.failed = true
	}
	return false
}

func (s *scanner) word(w string) bool {
	if len(s.in)-s.at < len(w) || string(s.in[s.at:s.at+len(w)]) != w {
		return false
	}
	s.at += len(w)
	return true
}

// time reads a time as RFC 3339.
func (s *scanner) time() (t time.Time) {
	token, _ := s.quoted()
	if !s.failed && t.UnmarshalJSON(token) != nil {
		s.failed = true
	}
	return t
}

// raw reads any value as it is written.
func (s *scanner) raw() json.RawMessage {
	s.space()
	start := s.at
	s.skip(maxDepth)
	if s.failed {
		return nil
	}
	return append(json.RawMessage(nil), s.in[start:s.at]...)
}

// skip passes over any value, and checks it.
func (s *scanner) skip(depth int) {
	if s.failed || depth == 0 {
		s.failed = true
		return
	}
	switch c := s.space(); {
	case c == '{':
		for more := s.first('{', '}'); more; more = s.more('}') {
			if s.quoted(); !s.take(':') {
				return
			}
			s.skip(depth - 1)
		}
	case c == '[':
		for more := s.first('[', ']'); more; more = s.more(']') {
			s.skip(depth - 1)
		}
	case c == '"':
		s.quoted()
	case c == '-' || isDigit(c):
		s.decimal()
	case s.word("true"), s.word("false"), s.word("null"):
	default:
		s.failed = true
	}
}

// decimal passes over any number.
func (s *scanner) decimal() {
	digits := func() int {
		start := s.at
		for s.at < len(s.in) && isDigit(s.in[s.at]) {
			s.at++
		}
		return s.at - start
	}
	next := func() byte {
		if s.at < len(s.in) {
			return s.in[s.at]
		}
		return 0
	}
	if next() == '-' {
		s.at++
	}
	start := s.at
	n := digits()
	s.failed = s.failed || n == 0 || n > 1 && s.in[start] == '0'
	if next() == '.' {
		s.at++
		s.failed = s.failed || digits() == 0
	}
	if next()|0x20 == 'e' {
		s.at++
		if c := next(); c == '+' || c == '-' {
			s.at++
		}
		s.failed = s.failed || digits() == 0
	}
}
