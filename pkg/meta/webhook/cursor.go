package webhook

import (
	"bytes"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
)

// cursor walks JSON once. After a syntax error its methods do nothing and give nothing, so that only the end of a walk
// needs to look at err. A value of an unexpected type is no error: it is passed over and the method says so.
type cursor struct {
	raw []byte
	err error
	buf bytes.Buffer
	dec *jsontext.Decoder
}

var cursors = sync.Pool{New: func() any { return freshCursor() }}

func freshCursor() *cursor {
	c := &cursor{}
	c.dec = jsontext.NewDecoder(&c.buf)
	return c
}

// newCursor starts at the beginning of raw, which is read in place.
func newCursor(raw []byte) *cursor {
	c, ok := cursors.Get().(*cursor)
	if !ok { // never: the pool holds nothing else
		c = freshCursor()
	}
	c.raw, c.err = raw, nil
	c.buf = *bytes.NewBuffer(raw)
	// A lone surrogate, \ud83d, is a mistake of whoever cut a text in two, not a reason to lose it: it becomes U+FFFD.
	c.dec.Reset(&c.buf, jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true))
	return c
}

func (c *cursor) release() {
	c.raw = nil
	c.buf = bytes.Buffer{}
	c.dec.Reset(&c.buf)
	cursors.Put(c)
}

// kind is the first byte of the next value ('0' for numbers, 't', 'f', 'n'), or that of the end of a list or object.
func (c *cursor) kind() jsontext.Kind {
	if c.err != nil {
		return 0
	}
	return c.dec.PeekKind()
}

// value is the next value as it is written.
func (c *cursor) value() []byte {
	if c.err != nil {
		return nil
	}
	v, err := c.dec.ReadValue()
	if err != nil {
		c.err = err
		return nil
	}
	end := c.dec.InputOffset()
	return c.raw[end-int64(len(v)) : end : end]
}

func (c *cursor) skip() { _ = c.value() }

// token reads a delimiter.
func (c *cursor) token() {
	if c.err == nil {
		_, c.err = c.dec.ReadToken()
	}
}

// each calls member for each member of an object; member reads its value. It passes over anything but an object and says false.
func (c *cursor) each(member func(name string)) bool {
	if c.kind() != '{' {
		c.skip()
		return false
	}
	c.token()
	for c.kind() == '"' {
		member(c.name())
	}
	c.token()
	return true
}

// elements calls element for each element of the list that comes next; element reads it.
func (c *cursor) elements(element func()) {
	c.token()
	for k := c.kind(); k != ']' && k != 0; k = c.kind() {
		element()
	}
	c.token()
}

// offset is where the next value begins.
func (c *cursor) offset() int {
	if c.err != nil {
		return 0
	}
	c.dec.PeekKind()
	at := int(c.dec.InputOffset())
	for at < len(c.raw) {
		switch c.raw[at] {
		case ' ', '\t', '\r', '\n', ',', ':':
			at++
		default:
			return at
		}
	}
	return at
}

// since is what was read since offset.
func (c *cursor) since(offset int) []byte {
	if c.err != nil {
		return nil
	}
	end := int(c.dec.InputOffset())
	return c.raw[offset:end:end]
}

// end demands that nothing follows.
func (c *cursor) end() error {
	if c.err != nil {
		return c.err
	}
	rest := bytes.TrimLeft(c.raw[c.dec.InputOffset():], " \t\r\n")
	if len(rest) > 0 {
		return &jsontext.SyntacticError{ByteOffset: int64(len(c.raw) - len(rest))}
	}
	return nil
}

// names are the member names that we look for, so that reading one needs no memory of its own.
var names = func() map[string]string {
	m := map[string]string{}
	for _, n := range []string{
		"object", "entry", "id", "time", "messaging", "standby", "changes", "field", "value", "hop_context",
		"sender", "recipient", "timestamp", "created_time", "is_self", "message", "postback", "reaction", "read", "message_edit", "referral", "optin",
		"pass_thread_control", "take_thread_control", "request_thread_control", "previous_owner_app_id", "new_owner_app_id", "requested_owner_app_id", "metadata",
		"mid", "text", "attachments", "reply_to", "story", "quick_reply", "payload", "is_echo", "is_deleted", "is_unsupported", "app_id",
		"type", "url", "title", "ig_post_media_id", "reel_video_id", "ref", "ad_id", "source", "product", "ads_context_data", "action", "emoji",
		"num_edit", "watermark", "comment_id", "parent_id", "from", "username", "self_ig_scoped_id", "media", "media_id", "media_product_type",
	} {
		m[n] = n
	}
	return m
}()

func (c *cursor) name() string {
	v := c.value()
	if len(v) < 2 {
		return ""
	}
	if known, ok := names[string(v[1:len(v)-1])]; ok {
		return known
	}
	return unquote(v)
}

// str reads a string, or a number as it is written: ids come as both, and a float would round them. null is the empty
// string; anything else is passed over and not ok.
func (c *cursor) str() (s string, ok bool) {
	switch c.kind() {
	case '"':
		return unquote(c.value()), true
	case '0':
		return string(c.value()), true
	case 'n':
		c.skip()
		return "", true
	default:
		c.skip()
		return "", false
	}
}

// optional reads a string that nothing depends on: of any other type, it counts as absent.
func (c *cursor) optional() string {
	s, _ := c.str()
	return s
}

// flag reads a boolean; "true" and 1 count as true.
func (c *cursor) flag() bool {
	switch string(c.value()) {
	case "true", `"true"`, "1", `"1"`:
		return true
	default:
		return false
	}
}

// unquote gives the text of a JSON string that is known to be valid.
func unquote(v []byte) string {
	if len(v) < 2 {
		return ""
	}
	if bytes.IndexByte(v, '\\') < 0 {
		return string(v[1 : len(v)-1])
	}
	text, _ := jsontext.AppendUnquote(make([]byte, 0, len(v)), v) // the error tells of lone surrogates, replaced by U+FFFD
	return string(text)
}
