package record

import (
	"strings"

	"github.com/parley-dm/parley/pkg/dm"
)

// Medium is an attachment that can be fetched: which one it is of its message, from 0, and what Meta calls it.
type Medium struct {
	Position int
	Type     string
}

// maxType bounds what is noted of what Meta calls it.
const maxType = 64

// Media are the attachments of a message that are worth keeping: not links to pages, not those that we sent ourselves, not of
// accounts that are not ours, and none of a message that was unsent or that nothing but its row names.
func (m *Message) Media() []Medium {
	if m.Said == nil || m.Said.UnknownAccount || m.Intent != nil || m.Delivery != nil || m.MID == "" || !m.DeletedAt.IsZero() {
		return nil
	}
	var out []Medium
	for i := range m.Said.Attachments {
		if a := &m.Said.Attachments[i]; fetchable(a) {
			kind := cleanString(a.Type)
			out = append(out, Medium{Position: i, Type: strings.ToValidUTF8(kind[:min(len(kind), maxType)], "")})
		}
	}
	return out
}

func fetchable(a *dm.Attachment) bool {
	switch a.Type {
	case "fallback", "template":
		return false
	default:
		return strings.HasPrefix(a.URL, "https://") || strings.HasPrefix(a.URL, "http://")
	}
}

// MediaFolder is where the media of the message belong in a store: account and month.
func (m *Message) MediaFolder() string {
	account := m.Conversation.Account
	if account == "" || len(account) > 64 || strings.Trim(account, "0123456789") != "" {
		account = "other"
	}
	return account + "/" + m.timestamp().Format("2006-01") + "/"
}
