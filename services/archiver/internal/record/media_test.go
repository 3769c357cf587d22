package record_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/services/archiver/internal/record"
)

func TestWhichAttachmentsAreWorthKeeping(t *testing.T) {
	t.Parallel()
	e := event(dm.KindMessage, func(e *dm.Event) {
		e.KnownAccount = true
		e.Attachments = []dm.Attachment{
			{Type: "like_heart"}, {Type: "image", URL: "https://a/1"}, {Type: "fallback", URL: "https://a/page"}, {Type: strings.Repeat("é", 40), URL: "https://a/2"}, {Type: "file", URL: "javascript:1"},
		}
	})
	m := record.FromEvent(e).Messages[0]
	require.Equal(t, []record.Medium{{Position: 1, Type: "image"}, {Position: 3, Type: strings.Repeat("é", 32)}}, m.Media())
	require.Regexp(t, `^\d+/\d{4}-\d\d/$`, m.MediaFolder())

	ours := m
	ours.Delivery = &record.Delivery{}
	foreign := m
	foreign.Said = &record.Said{Attachments: m.Said.Attachments, UnknownAccount: true}
	unsent := m
	unsent.DeletedAt = at
	nameless := m
	nameless.MID = ""
	for what, m := range map[string]record.Message{"ours": ours, "not our account": foreign, "unsent": unsent, "nameless": nameless, "unknown": {MID: "M"}} {
		require.Empty(t, m.Media(), what)
	}
	m.Conversation.Account = "../../etc"
	require.True(t, strings.HasPrefix(m.MediaFolder(), "other/"), "an id is no path")
}
