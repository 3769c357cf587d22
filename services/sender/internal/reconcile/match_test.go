package reconcile_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/meta/graph"
	"github.com/parley-dm/parley/services/sender/internal/reconcile"
)

// with is an echo of something that is not only a text.
func with(mid, text string, attachments ...dm.Attachment) dm.Event {
	e := echo(mid, text, time.Second)
	e.Attachments = attachments
	return e
}

// TestEchoesOfOtherParts: Meta's copy of a picture has an address of its own, so that often the kind and the number are all
// there is to go by. Where two may be meant, neither is.
func TestEchoesOfOtherParts(t *testing.T) {
	t.Parallel()
	image := func(url string) dm.Attachment { return dm.Attachment{Type: "image", URL: url} }
	picture := dm.Part{Kind: dm.PartImage, Media: []dm.Media{{URL: "https://example.com/a.jpg"}}}
	byID := dm.Part{Kind: dm.PartImage, Media: []dm.Media{{AttachmentID: "7"}}}
	two := dm.Part{Kind: dm.PartImage, Media: []dm.Media{{AttachmentID: "7"}, {AttachmentID: "8"}}}
	cards := dm.Part{Kind: dm.PartGenericTemplate, Elements: []dm.Element{{Title: "Blue", Subtitle: "29 €"}}}
	choice := dm.Part{Kind: dm.PartButtonTemplate, Text: "What now?", Buttons: []dm.Button{{Title: "A", Payload: "A"}}}
	quick := dm.Part{Kind: dm.PartText, Text: "Which one?", QuickReplies: []dm.QuickReply{{Title: "Blue", Payload: "B"}}}
	heart, post := dm.Part{Kind: dm.PartLikeHeart}, dm.Part{Kind: dm.PartMediaShare, PostID: "18"}
	template := dm.Attachment{Type: "template"}
	for name, c := range map[string]struct {
		part   dm.Part
		echoes []dm.Event
		sent   []dm.Delivery
		want   string
	}{
		"a picture at Meta's address":        {part: picture, echoes: []dm.Event{with("a", "", image("https://cdn.example/1"))}, want: "a"},
		"of two the one at our address":      {part: picture, echoes: []dm.Event{with("a", "", image("https://cdn.example/1")), with("b", "", image("https://example.com/a.jpg"))}, want: "b"},
		"of two nobody can say which":        {part: picture, echoes: []dm.Event{with("a", "", image("https://cdn.example/1")), with("b", "", image("https://cdn.example/2"))}},
		"of two one is accounted for":        {part: picture, echoes: []dm.Event{with("a", "", image("https://cdn.example/1")), with("b", "", image("https://cdn.example/2"))}, sent: delivered("a"), want: "b"},
		"the only one is another's":          {part: byID, echoes: []dm.Event{with("a", "", image("x"))}, sent: delivered("a")},
		"by attachment id":                   {part: byID, echoes: []dm.Event{with("a", "", image("x"))}, want: "a"},
		"another kind":                       {part: picture, echoes: []dm.Event{with("a", "", dm.Attachment{Type: "video"}), echo("b", "hello", 1)}},
		"another number":                     {part: two, echoes: []dm.Event{with("a", "", image("x"))}},
		"two pictures":                       {part: two, echoes: []dm.Event{with("a", "", image("x"), image("y"))}, want: "a"},
		"cards":                              {part: cards, echoes: []dm.Event{with("a", "", template)}, want: "a"},
		"cards of another title":             {part: cards, echoes: []dm.Event{with("a", "", dm.Attachment{Type: "template", Title: "Red"})}},
		"buttons by their text":              {part: choice, echoes: []dm.Event{with("a", "What then?", template), with("b", "What now?", template)}, want: "b"},
		"buttons without a text":             {part: choice, echoes: []dm.Event{with("a", "", template)}, want: "a"},
		"two templates":                      {part: choice, echoes: []dm.Event{with("a", "", template), with("b", "", template)}},
		"quick replies by their text":        {part: quick, echoes: []dm.Event{echo("a", "Which one? ", 1)}, want: "a"},
		"a heart":                            {part: heart, echoes: []dm.Event{with("b", "", image("x")), with("a", "", dm.Attachment{Type: "like_heart"})}, want: "a"},
		"a post, told twice in one message":  {part: post, echoes: []dm.Event{with("a", "", dm.Attachment{Type: "share"}, dm.Attachment{Type: "ig_post", MediaID: "18"})}, want: "a"},
		"another post":                       {part: post, echoes: []dm.Event{with("a", "", dm.Attachment{Type: "ig_post", MediaID: "19"})}},
		"a text is not any picture":          {part: dm.Part{Kind: dm.PartText}, echoes: []dm.Event{with("a", "", image("x"))}},
		"an empty template matches no other": {part: dm.Part{Kind: dm.PartGenericTemplate}, echoes: []dm.Event{with("a", "", template)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := &past{echoes: c.echoes, sent: c.sent}
			a, err := reconcile.New(p, p).Look(t.Context(), reconcile.Question{Conversation: conversation, Part: c.part, Since: claimed})
			require.NoError(t, err)
			require.Equal(t, []any{c.want, c.want != ""}, []any{a.MID, a.Fate == reconcile.Sent})
		})
	}
}

// The list of the conversation proves that a picture is not there. That it is there it cannot prove: it names no picture.
func TestTheConversationAndOtherParts(t *testing.T) {
	t.Parallel()
	before := theirs("before", -2*time.Minute)
	picture, heart := dm.Part{Kind: dm.PartImage, Media: []dm.Media{{AttachmentID: "7"}}}, dm.Part{Kind: dm.PartLikeHeart}
	for name, c := range map[string]struct {
		part   dm.Part
		thread []graph.Message
		want   reconcile.Fate
	}{
		"not there":                    {picture, []graph.Message{theirs("t", time.Second), before}, reconcile.Absent},
		"something of ours is":         {picture, []graph.Message{ours("a", "", time.Second), before}, reconcile.Undecided},
		"hearts may not be listed":     {heart, []graph.Message{theirs("t", time.Second), before}, reconcile.Undecided},
		"buttons are by their text":    {dm.Part{Kind: dm.PartButtonTemplate, Text: "What now?"}, []graph.Message{ours("a", "What now?", time.Second), before}, reconcile.Sent},
		"a private reply is by a text": {dm.Part{Kind: dm.PartText, Text: "hello", CommentID: "c"}, []graph.Message{ours("a", "hello", time.Second), before}, reconcile.Sent},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := &past{threads: [][]graph.Message{c.thread}}
			a, err := reconcile.New(p, p).Look(t.Context(), reconcile.Question{Conversation: conversation, Part: c.part, Since: claimed, Ask: true})
			require.NoError(t, err)
			require.Equal(t, c.want, a.Fate, a.How)
		})
	}
}
