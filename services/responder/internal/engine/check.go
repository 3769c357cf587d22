package engine

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/meta/graph"
)

// The bounds of a decision that comes from elsewhere.
const (
	maxParts, maxLabels = 10, 10
	maxText             = 10_000 // bytes of one text, which becomes ten messages
	maxLabel            = 64     // characters
)

// ErrRubbish is a decision that cannot be carried out.
var ErrRubbish = errors.New("the decision cannot be carried out")

// Check says why a decision cannot be carried out as an answer to an event. It quotes nothing of what was to be said.
func Check(d *Decision, e *dm.Event) error {
	fail := func(format string, a ...any) error {
		return fmt.Errorf("%w: %s", ErrRubbish, fmt.Sprintf(format, a...))
	}
	switch {
	case len(d.Parts) > maxParts:
		return fail("parts: got %d, expected at most %d", len(d.Parts), maxParts)
	case len(d.Labels) > maxLabels:
		return fail("labels: got %d, expected at most %d", len(d.Labels), maxLabels)
	case d.Silent && len(d.Parts) > 0:
		return fail("parts: got %d beside silence, expected none", len(d.Parts))
	case !d.Silent && len(d.Parts) == 0 && !d.Like && !d.HandOff && len(d.Labels) == 0:
		return fail("parts: got none, expected one at least")
	}
	for i, l := range d.Labels {
		if n := utf8.RuneCountInString(l); strings.TrimSpace(l) == "" || n > maxLabel || !utf8.ValidString(l) {
			return fail("labels[%d]: got %d characters, expected 1 to %d", i, n, maxLabel)
		}
	}
	for i := range d.Parts {
		if err := checkPart(&d.Parts[i], e); err != nil {
			return fail("parts[%d]: %v", i, err)
		}
	}
	return nil
}

func checkPart(p *dm.Part, e *dm.Event) error {
	switch {
	case p.CommentID != "" || p.HumanAgent:
		return errors.New("comment_id, human_agent: expected none")
	case p.MID != "" && p.MID != e.MID:
		return errors.New("mid: expected that of the message that is answered")
	case p.ReplyToMID != "" && p.ReplyToMID != e.MID:
		return errors.New("reply_to_mid: expected that of the message that is answered")
	case len(p.Text) > maxText:
		return fmt.Errorf("text: got %d bytes, expected at most %d", len(p.Text), maxText)
	case !utf8.ValidString(p.Text):
		return errors.New("text: expected UTF-8")
	}
	for _, piece := range graph.Expand([]dm.Part{*p}) {
		if err := graph.Check(piece); err != nil {
			var limit *graph.LimitError
			if errors.As(err, &limit) {
				return fmt.Errorf("%s: expected %s", limit.Field, limit.Limit)
			}
			return fmt.Errorf("kind: %w", graph.ErrUnsupportedPart)
		}
	}
	return nil
}
