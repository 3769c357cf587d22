package graph_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/meta/graph"
)

func images(n int) []dm.Media {
	var out []dm.Media
	for range n {
		out = append(out, dm.Media{URL: "https://example.com/a.jpg"})
	}
	return out
}

func titles(n int) []dm.QuickReply {
	var out []dm.QuickReply
	for range n {
		out = append(out, dm.QuickReply{Title: "Blue", Payload: "BLUE"})
	}
	return out
}

var buttons = []dm.Button{{Title: "Open", URL: "https://example.com/?a=1&b=2"}, {Title: "Later", Payload: "LATER"}}

// sendable is every kind of part, named as its golden body in testdata is.
func sendable() map[string]dm.Part {
	url := func(name string) []dm.Media { return []dm.Media{{URL: "https://example.com/" + name}} }
	return map[string]dm.Part{
		"text":                {Kind: dm.PartText, Text: "<hi> & bye 😀"},
		"reply":               {Kind: dm.PartText, Text: "that one", ReplyToMID: "m_1"},
		"quick_replies":       {Kind: dm.PartText, Text: "Which one?", QuickReplies: []dm.QuickReply{{Title: "Blue", Payload: "BLUE"}, {Ask: "user_email"}, {Ask: "user_phone_number", Payload: "P"}}},
		"human_agent":         {Kind: dm.PartText, Text: "sorry for the wait", HumanAgent: true},
		"private_reply":       {Kind: dm.PartText, Text: "hello", CommentID: "17900000000000001"},
		"private_template":    {Kind: dm.PartButtonTemplate, Text: "hello", Buttons: buttons, CommentID: "17900000000000001"},
		"image":               {Kind: dm.PartImage, Media: url("a.jpg")},
		"image_by_id":         {Kind: dm.PartImage, Media: []dm.Media{{AttachmentID: "77"}}},
		"images":              {Kind: dm.PartImage, Media: []dm.Media{{URL: "https://example.com/a.jpg"}, {AttachmentID: "77"}}, ReplyToMID: "m_1"},
		"video":               {Kind: dm.PartVideo, Media: url("a.mp4")},
		"audio":               {Kind: dm.PartAudio, Media: url("a.m4a")},
		"file":                {Kind: dm.PartFile, Media: url("a.pdf"), HumanAgent: true},
		"generic_template":    {Kind: dm.PartGenericTemplate, Elements: []dm.Element{{Title: "Blue", Subtitle: "29 €", ImageURL: "https://example.com/a.jpg", URL: "https://example.com/blue", Buttons: buttons}, {Title: "Red", Subtitle: "31 €"}}},
		"button_template":     {Kind: dm.PartButtonTemplate, Text: "What now?", Buttons: buttons},
		"like_heart":          {Kind: dm.PartLikeHeart},
		"media_share":         {Kind: dm.PartMediaShare, PostID: "18000000000000001"},
		"reaction":            {Kind: dm.PartReaction, MID: "m_1", Reaction: "love"},
		"unreaction":          {Kind: dm.PartUnreaction, MID: "m_1"},
		"typing_on":           {Kind: dm.PartTypingOn},
		"typing_off":          {Kind: dm.PartTypingOff},
		"mark_seen":           {Kind: dm.PartMarkSeen},
		"reaction_of_a_human": {Kind: dm.PartReaction, MID: "m_1", Reaction: "love", HumanAgent: true},
	}
}

// recorder answers every call as Meta does and keeps what it was sent.
type recorder struct {
	host, path, auth string
	body             []byte
}

func (r *recorder) RoundTrip(q *http.Request) (*http.Response, error) {
	r.host, r.path, r.auth = q.URL.Host, q.URL.Path, q.Header.Get("Authorization")
	r.body, _ = io.ReadAll(q.Body)
	answer := `{"recipient_id":"7001","message_id":"mid"}`
	if bytes.Contains(r.body, []byte("sender_action")) {
		answer = `{"recipient_id":"7001"}`
	}
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(answer)), Header: http.Header{}, ContentLength: int64(len(answer))}, nil
}

// TestBodies holds what is sent for each kind of part against testdata, for both logins: they differ in the host only.
func TestBodies(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/send/*.json")
	require.NoError(t, err)
	require.Len(t, files, len(sendable()), "a body without a part, or the other way round")
	for name, part := range sendable() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			golden, err := os.ReadFile(filepath.Join("testdata", "send", name+".json"))
			require.NoError(t, err)
			require.NoError(t, graph.Check(part))
			require.Equal(t, []dm.Part{part}, graph.Expand([]dm.Part{part}), "it fits as it is")
			for _, host := range []string{"graph.facebook.com", "graph.instagram.com"} {
				r := &recorder{}
				c := newClient(t, graph.Options{Transport: r})
				result, err := c.Send(t.Context(), graph.Credentials{BaseURL: "https://" + host, Token: "token"}, "7001", part)
				require.NoError(t, err)
				require.Equal(t, !part.Kind.Repeatable(), result.MessageID != "")
				require.Equal(t, []string{host, "/v26.0/me/messages", "Bearer token"}, []string{r.host, r.path, r.auth})
				require.JSONEq(t, string(golden), string(r.body))
			}
		})
	}
}

// TestLimits: what Meta would refuse is found before it is sent, and the error says what, how much and who says so.
func TestLimits(t *testing.T) {
	t.Parallel()
	element := func(edit func(e *dm.Element)) []dm.Element {
		e := dm.Element{Title: "T", Subtitle: "S"}
		edit(&e)
		return []dm.Element{e}
	}
	generic := func(edit func(e *dm.Element)) dm.Part {
		return dm.Part{Kind: dm.PartGenericTemplate, Elements: element(edit)}
	}
	long := strings.Repeat("ä", 1001)
	for name, c := range map[string]struct {
		part               dm.Part
		field, got, source string
	}{
		"no text":                    {dm.Part{Kind: dm.PartText}, "text", "empty", "Send a Message"},
		"blank text":                 {dm.Part{Kind: dm.PartText, Text: " \n"}, "text", "empty", "Send a Message"},
		"long text":                  {dm.Part{Kind: dm.PartText, Text: long[:1002]}, "text", "1002 bytes", "Send a Message"},
		"long private reply":         {dm.Part{Kind: dm.PartText, Text: long[:1002], CommentID: "c"}, "text", "1002 bytes", "Private Replies"},
		"14 quick replies":           {dm.Part{Kind: dm.PartText, Text: "x", QuickReplies: titles(14)}, "quick_replies", "14 elements", "Quick Replies"},
		"no quick replies":           {dm.Part{Kind: dm.PartText, Text: "x", QuickReplies: []dm.QuickReply{}}, "quick_replies", "0 elements", "Quick Replies"},
		"quick reply without title":  {dm.Part{Kind: dm.PartText, Text: "x", QuickReplies: []dm.QuickReply{{Payload: "P"}}}, "quick_replies[0].title", "empty", "Quick Replies"},
		"quick reply, long payload":  {dm.Part{Kind: dm.PartText, Text: "x", QuickReplies: []dm.QuickReply{{Title: "T", Payload: long}}}, "quick_replies[0].payload", "1001 characters", "Quick Replies"},
		"quick reply, odd question":  {dm.Part{Kind: dm.PartText, Text: "x", QuickReplies: []dm.QuickReply{{Ask: "user_iban"}}}, "quick_replies[0].ask", `"user_iban"`, "Quick Replies"},
		"quick replies of an image":  {dm.Part{Kind: dm.PartImage, Media: images(1), QuickReplies: titles(1)}, "quick_replies", "something", "Send a Message"},
		"11 images":                  {dm.Part{Kind: dm.PartImage, Media: images(11)}, "media", "11 elements", "Send a Message"},
		"no image":                   {dm.Part{Kind: dm.PartImage}, "media", "0 elements", "Send a Message"},
		"two videos":                 {dm.Part{Kind: dm.PartVideo, Media: images(2)}, "media", "2 elements", "Send a Message"},
		"image of nothing":           {dm.Part{Kind: dm.PartImage, Media: []dm.Media{{}}}, "media[0].url", "nothing", "Send a Message"},
		"image of both":              {dm.Part{Kind: dm.PartImage, Media: []dm.Media{{URL: "https://example.com", AttachmentID: "7"}}}, "media[0].url", "attachment_id", "Send a Message"},
		"a file of this machine":     {dm.Part{Kind: dm.PartFile, Media: []dm.Media{{URL: "file:///etc/passwd"}}}, "media[0].url", `"file"`, "Send a Message"},
		"no host":                    {dm.Part{Kind: dm.PartAudio, Media: []dm.Media{{URL: "https:///a"}}}, "media[0].url", "host", "Send a Message"},
		"image with a text":          {dm.Part{Kind: dm.PartImage, Text: "look", Media: images(1)}, "text", "something", "Send a Message"},
		"no elements":                {dm.Part{Kind: dm.PartGenericTemplate}, "elements", "0 elements", "Generic Template"},
		"11 elements":                {dm.Part{Kind: dm.PartGenericTemplate, Elements: make([]dm.Element, 11)}, "elements", "11 elements", "Generic Template"},
		"element of a title only":    {generic(func(e *dm.Element) { e.Subtitle = "" }), "elements[0].title", "nothing beside it", "Generic Template"},
		"element, long title":        {generic(func(e *dm.Element) { e.Title = long }), "elements[0].title", "1001 characters", "Generic Template"},
		"element, 4 buttons":         {generic(func(e *dm.Element) { e.Buttons = slices.Repeat(buttons, 2) }), "elements[0].buttons", "4 elements", "Generic Template"},
		"element, odd picture":       {generic(func(e *dm.Element) { e.ImageURL = "a.jpg" }), "elements[0].image_url", `""`, "Generic Template"},
		"element, odd address":       {generic(func(e *dm.Element) { e.URL = "javascript:x" }), "elements[0].url", `"javascript"`, "Generic Template"},
		"button without a purpose":   {dm.Part{Kind: dm.PartButtonTemplate, Text: "x", Buttons: []dm.Button{{Title: "T"}}}, "buttons[0].payload", "empty", "Button Template"},
		"button of two purposes":     {dm.Part{Kind: dm.PartButtonTemplate, Text: "x", Buttons: []dm.Button{{Title: "T", URL: "https://example.com", Payload: "P"}}}, "buttons[0].url", "payload", "Button Template"},
		"buttons without a text":     {dm.Part{Kind: dm.PartButtonTemplate, Buttons: buttons}, "text", "empty", "Button Template"},
		"buttons under a long text":  {dm.Part{Kind: dm.PartButtonTemplate, Text: long, Buttons: buttons}, "text", "1001 characters", "Button Template"},
		"template without buttons":   {dm.Part{Kind: dm.PartButtonTemplate, Text: "x"}, "buttons", "0 elements", "Button Template"},
		"share of nothing":           {dm.Part{Kind: dm.PartMediaShare}, "post_id", "nothing", "Send a Message"},
		"reaction to nothing":        {dm.Part{Kind: dm.PartReaction, Reaction: "love"}, "mid", "nothing", "React"},
		"reaction without one":       {dm.Part{Kind: dm.PartReaction, MID: "m"}, "reaction", "nothing", "React"},
		"unreaction of nothing":      {dm.Part{Kind: dm.PartUnreaction}, "mid", "nothing", "React"},
		"quoting private reply":      {dm.Part{Kind: dm.PartText, Text: "x", CommentID: "c", ReplyToMID: "m"}, "reply_to_mid", "something", "Send a Message"},
		"typing in a comment":        {dm.Part{Kind: dm.PartTypingOn, CommentID: "c"}, "comment_id", "something", "Send a Message"},
		"text with stray attachment": {dm.Part{Kind: dm.PartText, Text: "x", Media: images(1)}, "media", "something", "Send a Message"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := newClient(t, graph.Options{Transport: neverCalled{}}).Send(t.Context(), graph.Credentials{BaseURL: "http://graph.test", Token: "token"}, "7001", c.part)
			var limit *graph.LimitError
			require.ErrorAs(t, err, &limit)
			require.Equal(t, c.field, limit.Field)
			require.Contains(t, limit.Got, c.got)
			require.Contains(t, limit.Source, c.source)
			require.NotEmpty(t, limit.Limit)
			require.Contains(t, err.Error(), limit.Limit)
			require.Equal(t, graph.ClassPermanent, graph.ClassOf(err))
		})
	}
}

type neverCalled struct{}

func (neverCalled) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("called all the same")
}

// Titles are cut as Meta cuts them: to 20 characters and 80, never inside what is seen as one, and only in what is sent.
func TestTitlesAreCut(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 100)
	family := "👨‍👩‍👧‍👦" // 7 characters that are one
	parts := []dm.Part{
		{Kind: dm.PartText, Text: "choose", QuickReplies: []dm.QuickReply{{Title: long, Payload: "P"}, {Title: strings.Repeat(family, 3), Payload: "P"}, {Title: "nineteen letters is it", Payload: "P"}}},
		{Kind: dm.PartGenericTemplate, Elements: []dm.Element{{Title: long, Subtitle: long, Buttons: []dm.Button{{Title: long, Payload: "P"}}}}},
		{Kind: dm.PartButtonTemplate, Text: "x", Buttons: []dm.Button{{Title: "e" + strings.Repeat("\u0301", 40), Payload: "P"}}},
	}
	before, err := json.Marshal(parts)
	require.NoError(t, err)

	out := graph.Expand(parts)

	require.Equal(t, []string{long[:20], family + family, "nineteen letters is"}, []string{out[0].QuickReplies[0].Title, out[0].QuickReplies[1].Title, out[0].QuickReplies[2].Title})
	require.Equal(t, []string{long[:80], long[:80], long[:20]}, []string{out[1].Elements[0].Title, out[1].Elements[0].Subtitle, out[1].Elements[0].Buttons[0].Title})
	require.Equal(t, "e"+strings.Repeat("\u0301", 19), out[2].Buttons[0].Title)
	for _, p := range out {
		require.NoError(t, graph.Check(p))
	}
	require.Equal(t, out, graph.Expand(out), "idempotent")
	after, err := json.Marshal(parts)
	require.NoError(t, err)
	require.Equal(t, string(before), string(after), "what the caller holds is as it was")
}

// A text that is split quotes once, and asks once, at its end. The private reply to a comment is not split: there is only one.
func TestSplittingKeepsWhatBelongsToOneMessage(t *testing.T) {
	t.Parallel()
	long := strings.TrimSpace(strings.Repeat("A sentence of some words. ", 60))
	out := graph.Expand([]dm.Part{{Kind: dm.PartText, Text: long, ReplyToMID: "m", QuickReplies: titles(1)}})
	require.Len(t, out, 2)
	require.Equal(t, []string{"m", ""}, []string{out[0].ReplyToMID, out[1].ReplyToMID})
	require.Empty(t, out[0].QuickReplies)
	require.Len(t, out[1].QuickReplies, 1)

	out = graph.Expand([]dm.Part{{Kind: dm.PartText, Text: long + "\x00", CommentID: "c"}})
	require.Len(t, out, 1)
	require.Equal(t, long, out[0].Text)
	require.Error(t, graph.Check(out[0]))
}
