package reconcile

import (
	"slices"
	"strings"

	"github.com/parley-dm/parley/pkg/dm"
)

// likeness says how an echo compares with a part.
type likeness int

const (
	other likeness = iota // says something else
	alikeness
	exact
)

// compare compares what was to be sent with what an echo says was sent. Meta keeps a copy of media at addresses of its own and
// tells little of a template, so that often only the kind and the number are left.
func compare(p *dm.Part, e *dm.Event) likeness {
	switch p.Kind {
	case dm.PartImage, dm.PartVideo, dm.PartAudio, dm.PartFile:
		return compareMedia(p, e.Attachments)
	case dm.PartGenericTemplate:
		if len(p.Elements) == 0 {
			return other
		}
		return compareTemplate(e, p.Elements[0].Title)
	case dm.PartButtonTemplate:
		if e.Text != "" {
			return compareText(e.Text, p.Text)
		}
		return compareTemplate(e, p.Text)
	case dm.PartLikeHeart:
		if len(e.Attachments) == 1 && e.Attachments[0].Type == "like_heart" {
			return exact // there is nothing else to tell
		}
		return other
	case dm.PartMediaShare:
		return compareShare(p, e.Attachments)
	default:
		return compareText(e.Text, p.Text)
	}
}

func compareText(a, b string) likeness {
	switch {
	case a == "" || b == "":
		return other
	case a == b:
		return exact
	case dm.Alike(a, b):
		return alikeness
	default:
		return other
	}
}

func compareMedia(p *dm.Part, got []dm.Attachment) likeness {
	if len(got) == 0 || len(got) != len(p.Media) {
		return other
	}
	same := exact
	for i, a := range got {
		if a.Type != string(p.Kind) {
			return other
		}
		if p.Media[i].URL == "" || a.URL != p.Media[i].URL {
			same = alikeness
		}
	}
	return same
}

func compareTemplate(e *dm.Event, title string) likeness {
	if len(e.Attachments) != 1 || e.Attachments[0].Type != "template" {
		return other
	}
	if told := e.Attachments[0].Title; told != "" {
		return compareText(told, title)
	}
	return alikeness
}

// shares are the types of attachment that a shared post has been seen as.
var shares = []string{"share", "media_share", "media", "ig_post", "ig_reel", "reel"}

func compareShare(p *dm.Part, got []dm.Attachment) likeness {
	if len(got) == 0 {
		return other
	}
	same := alikeness
	for _, a := range got { // one post may come as share and as ig_post in one message
		if !slices.Contains(shares, strings.ToLower(a.Type)) || a.MediaID != "" && a.MediaID != p.PostID {
			return other
		}
		if a.MediaID != "" {
			same = exact
		}
	}
	return same
}

// pick is the mid of the echo, of those that may be it, the oldest first, that is the message's. A text that Meta changed a
// little is known by the rest of it; of several that have only the kind in common nobody can say which is which.
func pick(p *dm.Part, echoes []dm.Event) string {
	mid, n := "", 0
	for i := range echoes {
		switch compare(p, &echoes[i]) {
		case exact:
			return echoes[i].MID
		case alikeness:
			if n++; n == 1 {
				mid = echoes[i].MID
			}
		case other:
		}
	}
	if n > 1 && p.Kind != dm.PartText {
		return ""
	}
	return mid
}

// listed says whether Meta documents that a conversation's list shows such a message: only then does its absence there say
// that it was not sent.
func listed(k dm.PartKind) bool { return k != dm.PartLikeHeart }
