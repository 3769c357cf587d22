package graph

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/rivo/uniseg"

	"github.com/parley-dm/parley/pkg/dm"
)

// Expand turns the parts of a reply into what is sent for it, one call for each: texts are cleaned and split, titles that are
// too long are cut, as Meta would. One part of the result that is not an action is one message, one row and one entry of the
// ledger. A text without anything to send stays one part, so that whoever sends it can say so instead of losing it.
//
// It is pure and idempotent. Where nothing has to change it returns parts itself.
func Expand(parts []dm.Part) []dm.Part {
	same := true
	for i := range parts {
		same = same && fitting(&parts[i])
	}
	if same {
		return parts
	}
	out := make([]dm.Part, 0, len(parts)+1)
	for _, p := range parts {
		if fitting(&p) {
			out = append(out, p)
			continue
		}
		p = cutTitles(p)
		switch {
		case p.Kind != dm.PartText:
			out = append(out, p)
		case p.CommentID != "": // one message, or none: Check refuses one that is too long
			p.Text = clean(p.Text)
			out = append(out, p)
		default:
			out = append(out, pieces(p)...)
		}
	}
	return out
}

// fitting says whether Expand would leave a part as it is.
func fitting(p *dm.Part) bool {
	return (p.Kind != dm.PartText || fits(p.Text, MaxTextBytes)) && titlesFit(p)
}

// pieces splits a text: the first message quotes what is answered, the last one has the quick replies.
func pieces(p dm.Part) []dm.Part {
	texts := SplitText(p.Text, MaxTextBytes)
	if len(texts) == 0 {
		texts = []string{""}
	}
	out := make([]dm.Part, 0, len(texts))
	for i, text := range texts {
		piece := p
		piece.Text = text
		if i > 0 {
			piece.ReplyToMID = ""
		}
		if i < len(texts)-1 {
			piece.QuickReplies = nil
		}
		out = append(out, piece)
	}
	return out
}

// SplitText cuts a text into pieces of at most limit bytes of UTF-8: after a paragraph or a sentence where it can, else
// at white space, else where a line may be broken, else between two graphemes. Only a single grapheme longer than the
// limit is cut inside, between two runes. White space at a cut is dropped, elsewhere it stays; no piece is blank. Invalid
// UTF-8 becomes U+FFFD and NUL is dropped. A limit below 4, the longest rune, counts as 4.
func SplitText(text string, limit int) []string {
	limit = max(limit, utf8.UTFMax)
	text = clean(text)
	var pieces []string
	for len(text) > limit {
		end, next := cut(text, limit)
		if piece := text[:end]; !blank(piece) {
			pieces = append(pieces, piece)
		}
		text = trimLeft(text[next:])
	}
	if !blank(text) {
		pieces = append(pieces, text)
	}
	return pieces
}

// fits says whether SplitText would return the text as it is.
func fits(text string, limit int) bool {
	return len(text) <= limit && utf8.ValidString(text) && strings.IndexByte(text, 0) < 0 && !blank(text)
}

func clean(text string) string {
	text = strings.ToValidUTF8(text, string(utf8.RuneError))
	if strings.IndexByte(text, 0) < 0 {
		return text
	}
	return strings.ReplaceAll(text, "\x00", "")
}

func blank(text string) bool {
	for _, r := range text {
		if !unicode.IsSpace(r) {
			return false
		}
	}
	return true
}

// place is where a text may be cut: its piece ends at end, and what follows begins at next.
type place struct{ end, next int }

// cut finds where the first piece of a text ends and the next one begins. The white space between two pieces may lie
// beyond the limit, because it is dropped.
func cut(text string, limit int) (end, next int) {
	var paragraph, sentence, space, line, grapheme place
	state, pos, inked, newlines := -1, 0, 0, 0
	for rest := text; rest != ""; {
		var cluster string
		var boundaries int
		cluster, rest, boundaries, state = uniseg.StepString(rest, state)
		pos += len(cluster)
		white := blank(cluster)
		if !white {
			inked, newlines = pos, 0
		}
		if inked > limit {
			break
		}
		newlines += strings.Count(cluster, "\n")
		here := place{end: inked, next: pos}
		grapheme = here
		if white {
			space = here
		}
		if boundaries&uniseg.MaskLine != uniseg.LineDontBreak {
			line = here
		}
		if boundaries&uniseg.MaskSentence != 0 && (white || cluster[len(cluster)-1] >= utf8.RuneSelf) {
			// Without white space after it only the full stops of scripts that use none count: "x.com/A?B" is no sentence.
			sentence = here
		}
		if newlines >= 2 {
			paragraph = here
		}
	}
	// A paragraph that ends early would leave a stub of a message: the sentences after it may join it.
	if paragraph.end >= limit/2 {
		return paragraph.end, paragraph.next
	}
	for _, p := range [...]place{sentence, space, line, grapheme} {
		if p.end > 0 {
			return p.end, p.next
		}
	}
	if grapheme.next > 0 { // nothing but white space so far
		return 0, grapheme.next
	}
	return cutRune(text, limit)
}

// cutRune cuts inside a grapheme that is longer than the limit.
func cutRune(text string, limit int) (end, next int) {
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return limit, limit
}

// trimLeft drops leading white space, but not a space that carries a combining mark.
func trimLeft(text string) string {
	for text != "" {
		if r, _ := utf8.DecodeRuneInString(text); !unicode.IsSpace(r) {
			return text
		}
		cluster, rest, _, _ := uniseg.FirstGraphemeClusterInString(text, -1)
		if !blank(cluster) {
			return text
		}
		text = rest
	}
	return text
}
