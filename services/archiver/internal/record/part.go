package record

import (
	"github.com/parley-dm/parley/pkg/dm"
)

// contentOf is what a part becomes of the columns.
func contentOf(p *dm.Part) content {
	return content{Text: newText(p.Text), Type: cleanString(p.Kind.MessageType())}
}

// rich is a part that is more than its text, without it; nil for a plain text.
func rich(p dm.Part) *dm.Part {
	if p.Plain() {
		return nil
	}
	p.Text = ""
	return &p
}

// sayings are the parts of an intent that become messages: typing and seen are none.
func sayings(parts []dm.Part) []dm.Part {
	out := parts[:0:0]
	for i := range parts {
		if !parts[i].Kind.Action() {
			out = append(out, parts[i])
		}
	}
	return out
}

// eraseParts leaves nothing of what our parts said.
func eraseParts(meta *metadata) {
	if meta.Intent != nil && (meta.Intent.Message != nil || meta.Intent.Trace != nil) {
		bare := *meta.Intent
		bare.Message, bare.Trace = nil, nil // the trace quotes what was answered
		meta.Intent = &bare
	}
	if meta.Delivery != nil && meta.Delivery.Message != nil {
		bare := *meta.Delivery
		bare.Message = nil
		meta.Delivery = &bare
	}
}
