package graph

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/rivo/uniseg"

	"github.com/parley-dm/parley/pkg/dm"
)

// titlesFit says whether no title of a part has to be cut.
func titlesFit(p *dm.Part) bool {
	for i := range p.QuickReplies {
		if !short(p.QuickReplies[i].Title, maxTitle) {
			return false
		}
	}
	for i := range p.Elements {
		e := &p.Elements[i]
		if !short(e.Title, maxElementText) || !short(e.Subtitle, maxElementText) || !buttonsFit(e.Buttons) {
			return false
		}
	}
	return buttonsFit(p.Buttons)
}

func buttonsFit(all []dm.Button) bool {
	for i := range all {
		if !short(all[i].Title, maxTitle) {
			return false
		}
	}
	return true
}

func short(s string, most int) bool { return len(s) <= most || utf8.RuneCountInString(s) <= most }

// cutTitles cuts the titles of a part, and touches nothing that its caller holds.
func cutTitles(p dm.Part) dm.Part {
	if titlesFit(&p) {
		return p
	}
	p.QuickReplies = slices.Clone(p.QuickReplies)
	for i := range p.QuickReplies {
		p.QuickReplies[i].Title = cutTitle(p.QuickReplies[i].Title, maxTitle)
	}
	p.Elements = slices.Clone(p.Elements)
	for i := range p.Elements {
		e := &p.Elements[i]
		e.Title, e.Subtitle, e.Buttons = cutTitle(e.Title, maxElementText), cutTitle(e.Subtitle, maxElementText), cutButtons(e.Buttons)
	}
	p.Buttons = cutButtons(p.Buttons)
	return p
}

func cutButtons(all []dm.Button) []dm.Button {
	all = slices.Clone(all)
	for i := range all {
		all[i].Title = cutTitle(all[i].Title, maxTitle)
	}
	return all
}

// cutTitle is as many whole graphemes of a title as Meta shows characters of it.
func cutTitle(s string, most int) string {
	if short(s, most) {
		return s
	}
	n, end, state := 0, 0, -1
	for rest := s; rest != ""; {
		var cluster string
		cluster, rest, _, state = uniseg.FirstGraphemeClusterInString(rest, state)
		if n += utf8.RuneCountInString(cluster); n > most {
			break
		}
		end += len(cluster)
	}
	if end == 0 { // one grapheme of more than that
		for range most {
			_, size := utf8.DecodeRuneInString(s[end:])
			end += size
		}
	}
	return strings.TrimRight(s[:end], " ")
}
