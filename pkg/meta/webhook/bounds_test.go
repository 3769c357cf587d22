package webhook_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/envelope"
	"github.com/parley-dm/parley/pkg/meta/webhook"
)

func TestRefusedBodies(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		body string
		want error
	}{
		"empty":           {"", webhook.ErrNotObject},
		"spaces":          {"  \n", webhook.ErrNotObject},
		"text":            {"hidden", webhook.ErrNotObject},
		"list":            {`[{"object":"instagram"}]`, webhook.ErrNotObject},
		"number":          {"5", webhook.ErrNotObject},
		"null":            {"null", webhook.ErrNotObject},
		"cut":             {`{"object":"instagram","entry":[{"id":"hidden`, webhook.ErrNotObject},
		"two":             {`{"object":"instagram"}{"object":"instagram"}`, webhook.ErrNotObject},
		"trailing":        {`{"object":"instagram"} hidden`, webhook.ErrNotObject},
		"trailing comma":  {`{"object":"instagram",}`, webhook.ErrNotObject},
		"unquoted name":   {`{object:"instagram"}`, webhook.ErrNotObject},
		"broken item":     {`{"object":"instagram","entry":[{"id":"1","messaging":[{"sender":}]}]}`, webhook.ErrNotObject},
		"nesting":         {`{"object":"instagram","x":` + strings.Repeat("[", 2_000_000), webhook.ErrNotObject},
		"no object":       {`{"entry":[]}`, webhook.ErrNoObject},
		"empty object":    {`{"object":"","entry":[]}`, webhook.ErrNoObject},
		"object null":     {`{"object":null}`, webhook.ErrNoObject},
		"object a list":   {`{"object":["instagram"]}`, webhook.ErrNoObject},
		"nothing in it":   {`{}`, webhook.ErrNoObject},
		"byte order mark": {"\xef\xbb\xbf{\"object\":\"instagram\"}", webhook.ErrNotObject},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			events, err := webhook.Parse([]byte(c.body), webhook.Options{})
			require.ErrorIs(t, err, c.want)
			require.Empty(t, events)
			require.NotContains(t, err.Error(), "hidden", "an error shows nothing of the body")
		})
	}
}

// item puts one item into a body of our account.
func item(item string) []byte {
	return []byte(`{"object":"instagram","entry":[{"id":"` + account + `","time":1762000000500,"messaging":[` + item + `]}]}`)
}

func parse(t *testing.T, body []byte) []dm.Event {
	t.Helper()
	events, err := webhook.Parse(body, options())
	require.NoError(t, err)
	for _, e := range events {
		b, err := envelope.Event(e, "request").Encode()
		require.NoError(t, err, "every event travels in an envelope")
		require.Less(t, len(b), 1<<20, "and below NATS's usual limit")
	}
	return events
}

func rejoin(t *testing.T, events []dm.Event) string {
	t.Helper()
	var b strings.Builder
	for i, e := range events {
		require.Equal(t, dm.KindUnknown, e.Kind)
		var k webhook.Kept
		require.NoError(t, json.Unmarshal(e.Raw, &k))
		require.Equal(t, i+1, k.Part)
		require.Equal(t, len(events), k.Of)
		b.WriteString(k.Text)
	}
	return b.String()
}

func TestTooLargeItemIsKeptInPieces(t *testing.T) {
	t.Parallel()
	large := `{"sender":{"id":"1"},"message":{"mid":"M","text":"` + strings.Repeat("<ä😀", 60_000) + `"}}`
	small := `{"sender":{"id":"` + customer + `"},"timestamp":1762000000000,"message":{"mid":"S","text":"hi"}}`
	events := parse(t, item(small+","+large+","+small[:len(small)-2]+`,"app_id":1}}`))
	require.Equal(t, "hi", events[0].Text)
	require.Equal(t, "hi", events[len(events)-1].Text, "the items around it are as ever")
	require.Equal(t, large, rejoin(t, events[1:len(events)-1]))
}

func TestLongTextsOfAnyScriptAreMessages(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ escaped, want string }{{`\u00e4`, "ä"}, {`\u0633`, "س"}, {`\ud83d\ude00`, "😀"}, {"ä", "ä"}} {
		const characters = 20_000
		events := parse(t, item(`{"sender":{"id":"1"},"message":{"mid":"M","text":"`+strings.Repeat(c.escaped, characters)+`"}}`))
		require.Len(t, events, 1)
		require.Equal(t, dm.KindMessage, events[0].Kind)
		require.Equal(t, strings.Repeat(c.want, characters), events[0].Text)
	}
}

func TestTooDeepItemIsKeptAsText(t *testing.T) {
	t.Parallel()
	for _, depth := range []int{300, 9_000} {
		deep := `{"sender":{"id":"1"},"message":{"mid":"M","text":"hi","x":` + strings.Repeat(`[`, depth) + strings.Repeat(`]`, depth) + `}}`
		require.Equal(t, deep, rejoin(t, parse(t, item(deep))))
	}
	brackets := `{"sender":{"id":"1"},"message":{"mid":"M","text":"` + strings.Repeat(`[{\"`, 500) + `"}}`
	events := parse(t, item(brackets))
	require.Equal(t, dm.KindMessage, events[0].Kind, "brackets in a text are no depth")
}

func TestTooManyItemsAreKeptTogether(t *testing.T) {
	t.Parallel()
	body := item(strings.TrimSuffix(strings.Repeat("{},", 500_000), ","))
	require.Equal(t, string(body), rejoin(t, parse(t, body)))
}

func TestWorstEscapingFits(t *testing.T) {
	t.Parallel()
	head, tail := `{"sender":{"id":"1"},"message":{"mid":"M","text":"`, `"}}`
	room := webhook.MaxItemBytes - len(head) - len(tail)
	for _, worst := range []struct {
		text    string
		escaped int
	}{
		{"<", 6}, {"&", 6}, {"\u2028", 6}, {"a", 1}, {`\u0001`, 6}, {`\u003c`, 6}, {`\n`, 2}, {`\\`, 2}, {`\ud83d\ude00`, 12}, {`\ud800`, 6}, {"😀", 4},
	} {
		events := parse(t, item(head+strings.Repeat(worst.text, room/worst.escaped)+tail))
		require.Len(t, events, 1, worst.text)
		require.Equal(t, dm.KindMessage, events[0].Kind, worst.text)
		require.NotEmpty(t, events[0].Text)
		more := head + strings.Repeat(worst.text, room/worst.escaped+1) + tail
		require.Equal(t, more, rejoin(t, parse(t, item(more))), "one more is too many")
	}
	attachments := strings.TrimSuffix(strings.Repeat("{},", 20_000), ",")
	events := parse(t, item(`{"sender":{"id":"1"},"message":{"mid":"M","attachments":[`+attachments+`]}}`))
	require.Len(t, events[0].Attachments, 100)
}

func TestHugeNumbersSurvive(t *testing.T) {
	t.Parallel()
	digits := strings.Repeat("9", 400)
	events := parse(t, item(`{"sender":{"id":"1"},"timestamp":1e999999,"message":{"mid":"M","text":"hi","app_id":`+digits+`,"x":1e400}}`))
	require.Equal(t, dm.KindMessage, events[0].Kind)
	require.Equal(t, digits, events[0].AppID)
	require.Equal(t, sending, events[0].Time)
	events = parse(t, item(`{"sender":{"id":`+digits+`},"message":{"mid":"M","text":"hi"}}`))
	require.Equal(t, dm.KindUnknown, events[0].Kind, "no id is that long")
}

func TestInvalidUTF8IsReplaced(t *testing.T) {
	t.Parallel()
	events := parse(t, item("{\"sender\":{\"id\":\"1\"},\"message\":{\"mid\":\"M\",\"text\":\"a\xff\xfeb\"}}"))
	require.Equal(t, "a\uFFFDb", events[0].Text)
	require.Contains(t, string(events[0].Raw), "a\uFFFDb")
}

func TestEventIDs(t *testing.T) {
	t.Parallel()
	id := func(body string) string { return parse(t, item(body))[0].ID }
	msg := `{"sender":{"id":"1"},"recipient":{"id":"2"},"timestamp":1762000000000,"message":{"mid":"M","text":"hi"}}`
	require.Equal(t, dm.EventID(dm.ChannelInstagram, account, dm.KindMessage, "M"), id(msg))
	require.Equal(t, id(msg), id(strings.ReplaceAll(msg, `hi"`, `hi" , "new":1 `)), "a redelivery may look different")

	kinds := []string{
		msg,
		`{"sender":{"id":"1"},"reaction":{"mid":"M","action":"react","reaction":"love"}}`,
		`{"sender":{"id":"1"},"reaction":{"mid":"M","action":"unreact"}}`,
		`{"sender":{"id":"1"},"timestamp":1762000000001,"reaction":{"mid":"M","action":"react","reaction":"love"}}`,
		`{"sender":{"id":"1"},"read":{"mid":"M"}}`,
		`{"sender":{"id":"1"},"message_edit":{"mid":"M","num_edit":0}}`,
		`{"sender":{"id":"1"},"message_edit":{"mid":"M","text":"a","num_edit":1}}`,
		`{"sender":{"id":"1"},"message_edit":{"mid":"M","text":"b","num_edit":2}}`,
		`{"sender":{"id":"1"},"message":{"mid":"M","is_deleted":true}}`,
		`{"sender":{"id":"1"},"referral":{"ref":"a"}}`,
		`{"sender":{"id":"1"},"referral":{"ref":"b"}}`,
	}
	seen := map[string]string{}
	for _, k := range kinds {
		require.Empty(t, seen[id(k)], "one mid, several events: %s", k)
		seen[id(k)] = k
	}
	require.Equal(t, id(`{"sender":{"id":"1"},"referral":{"ref":"a"}}`), id(`{ "sender":{"id":"1"}, "referral":{"ref":"a"}}`), "white space is no difference")

	boosted := `{"object":"instagram","entry":[{"id":"1","time":1762000000,"changes":[{"field":"comments","value":{"id":"C","from":{"id":"9"},"text":"x","media":{"id":"M1"}}},{"field":"comments","value":{"id":"C","from":{"id":"9"},"text":"x","media":{"id":"M2"}}}]}]}`
	events := parse(t, []byte(boosted))
	require.Equal(t, events[0].ID, events[1].ID, "a boosted post gives one comment twice")
}

func TestMembersInAnyOrder(t *testing.T) {
	t.Parallel()
	body := `{"entry":[{"messaging":[{"message":{"text":"hi","mid":"M"},"timestamp":1762000000000,"sender":{"id":"` + customer + `"}}],"time":1,"id":"` + account + `"}],"object":"instagram"}`
	events := parse(t, []byte(body))
	require.Len(t, events, 1)
	require.Equal(t, account, events[0].Account)
	require.Equal(t, "hi", events[0].Text)
	require.Equal(t, sent, events[0].Time)
	escaped := parse(t, item(`{"sender":{"id":"1"},"m\u0065ssage":{"mid":"M","te\u0078t":"hi"}}`))
	require.Equal(t, "hi", escaped[0].Text, "escaped names")
}

func TestEncodedBodiesParse(t *testing.T) {
	t.Parallel()
	them := webhook.Item{Sender: &webhook.Party{ID: customer}, Recipient: &webhook.Party{ID: account}, Timestamp: sent.UnixMilli()}
	text, seen := them, them
	text.Message = &webhook.Message{MID: mid, Text: greeting}
	seen.Read = &webhook.Read{MID: mid}
	raw, err := webhook.Body{Object: "instagram", Entry: []webhook.Entry{
		{ID: account, Time: sent.UnixMilli(), Messaging: []webhook.Item{text, seen}},
		{ID: account, Time: sent.Unix(), Changes: []webhook.Change{{Field: "comments", Value: webhook.Comment{ID: "C", From: webhook.Commenter{ID: customer}, Text: "é"}}}},
	}}.Encode()
	require.NoError(t, err)
	require.Contains(t, string(raw), `Gr\u00fc\u00dfe \ud83d\ude00`, "escaped as Meta does")
	events := parse(t, raw)
	require.Len(t, events, 3)
	require.Equal(t, greeting, events[0].Text)
	require.Equal(t, dm.KindSeen, events[1].Kind)
	require.Equal(t, "é", events[2].Text)
	require.Equal(t, sent, events[2].Time)
}

func batch(entries, items int) []byte {
	var b strings.Builder
	b.WriteString(`{"object":"instagram","entry":[`)
	for e := range entries {
		if e > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"time":1762000000500,"id":"178414000000%05d","messaging":[`, e)
		for i := range items {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, `{"sender":{"id":"70010000000%05d"},"recipient":{"id":"178414000000%05d"},"timestamp":1762000000000,"message":{"mid":"%s%05d%05d","text":"Do you ship to Gr\u00f6nland? %d"}}`, i, e, mid, e, i, i)
		}
		b.WriteString("]}")
	}
	b.WriteString("]}")
	return []byte(b.String())
}

func TestBatch(t *testing.T) {
	t.Parallel()
	require.Len(t, parse(t, batch(50, 20)), 1000)
}

func BenchmarkParse(b *testing.B) {
	one, err := os.ReadFile("testdata/text.json")
	require.NoError(b, err)
	for name, body := range map[string][]byte{"one": one, "1000_items_in_50_entries": batch(50, 20)} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := webhook.Parse(body, options()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
