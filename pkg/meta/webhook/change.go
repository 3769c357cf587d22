package webhook

import (
	"bytes"

	"github.com/parley-dm/parley/pkg/dm"
)

// change reads one item of changes: {"field":…,"value":…}, in either order.
func (p *parser) change() {
	start := p.offset()
	var field string
	var value []byte
	object := p.each(func(name string) {
		switch name {
		case "field":
			field, _ = p.str()
		case "value":
			value = p.value()
		default:
			p.skip()
		}
	})
	p.changed(field, value, p.since(start), !object)
}

// flat reads field and value that lie on the entry itself. Raw is written as a change has it.
func (p *parser) flat(field string, value []byte) {
	raw := bytes.Join([][]byte{[]byte(`{"field":`), quote(field), []byte(`,"value":`), value, []byte(`}`)}, nil)
	p.changed(field, value, raw, false)
}

func (p *parser) changed(field string, value, raw []byte, broken bool) {
	e, i := p.add(item{raw: raw, broken: broken || len(value) == 0 || value[0] != '{'})
	if i.broken || p.err != nil {
		return
	}
	switch field {
	case "comments":
		i.shape = shapeComment
	case "live_comments":
		i.shape = shapeLiveComment
	case "mentions":
		i.shape = shapeMention
	case "standby":
		i.standby = true
	}
	p.again(value, func() {
		p.each(func(name string) {
			switch i.shape {
			case shapeComment, shapeLiveComment:
				p.comment(e, i, name)
			case shapeMention:
				p.mention(e, i, name)
			default: // messages, message_echoes, messaging_seen, …: the value is an item of messaging
				p.member(e, i, name)
			}
		})
	})
}

func (p *parser) comment(e *dm.Event, i *item, name string) {
	switch name {
	case "id", "comment_id":
		if id := p.mid(i); id != "" {
			e.CommentID = id
		}
	case "parent_id":
		e.ParentID = p.optional()
	case "from":
		p.each(func(name string) {
			switch name {
			case "id":
				i.sender, _ = p.str()
			case "username":
				e.Username = p.optional()
			case "self_ig_scoped_id":
				e.Own = p.optional() != ""
			default:
				p.skip()
			}
		})
		if !validID(i.sender) {
			i.sender = ""
		}
	case "text":
		e.Text = p.text(i)
	case "media":
		p.each(func(name string) {
			switch name {
			case "id":
				e.MediaID = p.optional()
			case "ad_id":
				e.AdID = p.optional()
			default:
				p.skip()
			}
		})
	case "timestamp", "time", "created_time":
		i.at = p.time()
	default:
		p.skip()
	}
}

func (p *parser) mention(e *dm.Event, i *item, name string) {
	switch name {
	case "media_id":
		e.MediaID = p.mid(i)
	case "comment_id":
		e.CommentID = p.mid(i)
	case "timestamp", "time", "created_time":
		i.at = p.time()
	default:
		p.skip()
	}
}
