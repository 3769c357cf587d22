package api

import (
	"encoding/base64"
	"encoding/json"
	"regexp"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parley-dm/parley/services/console/internal/store"
)

// Page is what every list takes.
type Page struct {
	Cursor string `query:"cursor" doc:"next of the page before; nothing begins with the newest" maxLength:"300"`
	Limit  int    `query:"limit" doc:"how many at most" minimum:"1" maximum:"200" default:"50"`
}

var uuidForm = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// after reads a cursor. It is opaque to callers, and holds where the page before ended: no page is skipped or repeated by what
// comes meanwhile.
func (p *Page) after() (*store.ConversationsAfter, error) {
	if p.Cursor == "" {
		return nil, nil //nolint:nilnil // from the beginning
	}
	var after store.ConversationsAfter
	raw, err := base64.RawURLEncoding.DecodeString(p.Cursor)
	if err == nil {
		err = json.Unmarshal(raw, &after)
	}
	if err != nil || after.At.IsZero() || !uuidForm.MatchString(after.ID) {
		return nil, huma.Error400BadRequest("cursor: expected next of the page before")
	}
	return &after, nil
}

func cursor(after store.ConversationsAfter) (string, error) {
	raw, err := json.Marshal(after)
	return base64.RawURLEncoding.EncodeToString(raw), err
}

// cut takes what is beyond a page away; one more than the limit was asked for, to know whether there is more.
func cut[T any](all []T, limit int, at func(*T) store.ConversationsAfter) (page []T, next string, err error) {
	if len(all) <= limit {
		return all, "", nil
	}
	page = all[:limit]
	next, err = cursor(at(&page[limit-1]))
	return page, next, err
}
