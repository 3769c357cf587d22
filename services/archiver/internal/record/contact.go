package record

import (
	"cmp"
	"time"

	"github.com/parley-dm/parley/pkg/dm"
)

// Contact is what Meta told of a customer.
type Contact struct {
	Key                        dm.Conversation
	Name, Username, PictureURL string
	NoConsent                  bool
	FetchedAt                  time.Time
	// EventID decides between two of the same moment.
	EventID string
}

// Later says whether a contact is to be kept rather than another of the same customer.
func (c *Contact) Later(other *Contact) bool {
	return cmp.Or(c.FetchedAt.Compare(other.FetchedAt), cmp.Compare(c.EventID, other.EventID)) > 0
}

func contact(e *dm.Event) *Contact {
	p := e.Profile
	return &Contact{
		Key: e.Conversation, Name: cleanString(p.Name), Username: cleanString(p.Username), PictureURL: cleanString(p.PictureURL), NoConsent: p.NoConsent,
		FetchedAt: instant(p.FetchedAt, e.Time), EventID: e.ID,
	}
}
