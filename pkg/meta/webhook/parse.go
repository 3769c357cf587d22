package webhook

import (
	"bytes"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/parley-dm/parley/pkg/dm"
)

// The bodies that are refused.
var (
	ErrNotObject = errors.New("the body is not one JSON object")
	ErrNoObject  = errors.New(`the body has no "object"`)
)

// Bounds. What exceeds one is still kept, as text in events of kind unknown (see [Kept]).
const (
	// MaxItemBytes is the largest item that is understood, as it is once encoding/json has escaped it. Meta's are below 20 KB,
	// but 20,000 characters of another script come as 120 KB of escapes. An event holds its item twice at most, as fields and
	// raw, and so stays below the megabyte that a NATS server takes by default.
	MaxItemBytes = 448 << 10
	// maxPieceBytes is the most of what is kept in pieces that one event holds: every byte may be escaped sixfold.
	maxPieceBytes = 64 << 10
	// MaxItems is the most items that are told apart in one body; Meta says 1000.
	MaxItems = 5000
	// maxDepth is how deep an item may nest: far beyond Meta's, far below what JSON parsers downstream refuse.
	maxDepth = 200
	// maxAttachments of one message are listed, the others are in the raw item; Meta allows 10.
	maxAttachments = 100
	// maxID bounds mids (about 164 characters) and other ids: they become keys.
	maxID = 512
)

// objectInstagram is the object whose items are understood.
const objectInstagram = "instagram"

// Options is what Parse cannot know from the body.
type Options struct {
	// ReceivedAt is when the body came; now if zero.
	ReceivedAt time.Time
	// Known says whether an account is one that is answered for; none is if nil.
	Known func(channel dm.Channel, account string) bool
}

// Parse turns a verified body into its events, in their order. It fails with [ErrNotObject] or [ErrNoObject] only; an
// error says where, but shows nothing of the body. The events' Raw is part of raw, which must not change afterwards.
func Parse(raw []byte, o Options) ([]dm.Event, error) {
	if o.ReceivedAt.IsZero() {
		o.ReceivedAt = time.Now()
	}
	o.ReceivedAt = o.ReceivedAt.UTC()
	if !utf8.Valid(raw) {
		// JSON is UTF-8; bytes that are not are replaced, here and so in Raw, that no reader downstream refuses them.
		raw = bytes.ToValidUTF8(raw, []byte("\uFFFD"))
	}
	c := newCursor(raw)
	defer c.release()
	p := parser{cursor: c, o: o, events: make([]dm.Event, 0, min(1+len(raw)/400, 1000))}
	if err := p.body(); err != nil {
		return nil, err
	}
	return p.events, nil
}

// parser builds the events of one body.
type parser struct {
	*cursor
	o      Options
	object string
	events []dm.Event
	// items are the events of the current entry, with what is needed until the entry's id and time are known.
	items []item
}

func (p *parser) body() error {
	var deferred [][]byte // entries that came before "object"
	if p.kind() != '{' {
		return fmt.Errorf("%w: it starts with something else", ErrNotObject)
	}
	p.each(func(name string) {
		switch {
		case name == "object":
			p.object, _ = p.str()
		case name == "entry" && p.object == "":
			deferred = append(deferred, p.value())
		case name == "entry":
			p.entries()
		default:
			p.skip()
		}
	})
	if err := p.end(); err != nil {
		return fmt.Errorf("%w: %s", ErrNotObject, where(err))
	}
	if p.object == "" {
		return ErrNoObject
	}
	for _, value := range deferred {
		p.again(value, p.entries)
	}
	if len(p.events) > MaxItems {
		p.events = nil
		p.keep(p.raw, dm.Conversation{Channel: channelOf(p.object)}, p.o.ReceivedAt)
	}
	return nil
}

// where says at which byte a body is broken, without a word of it.
func where(err error) string {
	var syntax *jsontext.SyntacticError
	if errors.As(err, &syntax) {
		return fmt.Sprintf("broken at byte %d", syntax.ByteOffset)
	}
	return "broken"
}

// again reads a part of the body that was passed over, with fn.
func (p *parser) again(value []byte, fn func()) {
	outer := p.cursor
	p.cursor = newCursor(value)
	fn()
	p.release()
	p.cursor = outer
}

func (p *parser) entries() {
	if p.kind() != '[' {
		if v := p.value(); v != nil && !bytes.Equal(v, []byte("null")) {
			p.keep(v, dm.Conversation{Channel: channelOf(p.object)}, p.o.ReceivedAt)
		}
		return
	}
	p.elements(func() {
		switch {
		case len(p.events) > MaxItems:
			p.skip() // body keeps all of it as text
		case p.object == objectInstagram && p.kind() == '{':
			p.entry()
		default:
			p.foreign()
		}
	})
}

// foreign keeps an entry of another object, or one that is no JSON object, as it is.
func (p *parser) foreign() {
	v := p.value()
	if v == nil {
		return
	}
	at := p.o.ReceivedAt
	conversation := dm.Conversation{Channel: channelOf(p.object)}
	p.again(v, func() {
		p.each(func(name string) {
			switch name {
			case "id":
				if id, ok := p.str(); ok && validID(id) {
					conversation.Account = id
				}
			case "time":
				at = p.time().or(at)
			default:
				p.skip()
			}
		})
	})
	p.keep(v, conversation, at)
}

// entry reads one entry of ours. Its id and time may come after its items, so these are finished last.
func (p *parser) entry() {
	var id, field string
	var at stamp
	var flat []byte
	badID, understood := false, false
	start, first := p.offset(), len(p.events)
	p.items = p.items[:0]
	p.each(func(name string) {
		switch name {
		case "id":
			var ok bool
			id, ok = p.str()
			badID = !ok || id != "" && !validID(id)
		case "time":
			at = p.time()
		case "messaging", "standby":
			understood = true
			p.list(func() { p.messaging(name == "standby") })
		case "changes":
			understood = true
			p.list(p.change)
		case "field":
			field, _ = p.str()
		case "value":
			flat = p.value()
		default: // hop_context and what is to come
			p.skip()
		}
	})
	if p.err != nil {
		return
	}
	if flat != nil {
		understood = true
		p.flat(field, flat)
	}
	if badID || !understood {
		p.events = p.events[:first]
		if badID {
			id = ""
		}
		p.keep(p.since(start), dm.Conversation{Channel: dm.ChannelInstagram, Account: id}, at.or(p.o.ReceivedAt))
		return
	}
	p.finish(first, id, at)
}

// list reads the items of an entry; a single one without a list around it counts as a list of one.
func (p *parser) list(read func()) {
	switch p.kind() {
	case 'n':
		p.skip()
	case '[':
		p.elements(func() {
			if len(p.events) > MaxItems {
				p.skip()
				return
			}
			read()
		})
	default:
		read()
	}
}

// channelOf is the channel that a webhook's object belongs to. One that is none of Meta's messaging objects is kept under
// Instagram's, whose webhook it came to; no account of ours is found for it.
func channelOf(object string) dm.Channel {
	switch object {
	case "page":
		return dm.ChannelMessenger
	case "whatsapp_business_account":
		return dm.ChannelWhatsApp
	default:
		return dm.ChannelInstagram
	}
}
