package graph

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/parley-dm/parley/pkg/dm"
)

// MessageRef is a message of a conversation's list, without its details.
type MessageRef struct {
	ID      string
	Created time.Time
}

// Message is what the Graph API tells of one message. Details exist for the 20 newest of a conversation only; asking for
// an older one is a [ClassNotFound] error.
type Message struct {
	ID      string
	Created time.Time
	From    string
	To      []string
	Text    string
	// Attachments and StoryID are told by [Client.FullMessage] only, the types as webhooks have them.
	Attachments []dm.Attachment
	StoryID     string
}

// Conversations lists the ids of the conversations that the account has with a customer: one, or none.
func (c *Client) Conversations(ctx context.Context, cred Credentials, customer string) ([]string, error) {
	var out struct {
		Data []struct {
			ID id `json:"id"`
		} `json:"data"`
	}
	query := url.Values{"platform": {"instagram"}, "user_id": {customer}}
	if err := c.get(ctx, cred, "me/conversations", query, &out); err != nil {
		return nil, fmt.Errorf("list conversations: %w", err)
	}
	ids := make([]string, 0, len(out.Data))
	for _, d := range out.Data {
		ids = append(ids, string(d.ID))
	}
	return ids, nil
}

// ConversationRef is a conversation of an account's list.
type ConversationRef struct {
	ID      string
	Updated time.Time
}

// Recent lists an account's conversations that were changed since a time, the latest first; whole is false where there are more
// of them than so many pages hold. Each page is a call, and turn is waited for before each.
func (c *Client) Recent(ctx context.Context, cred Credentials, since time.Time, pages int, turn func(call func() error) error) (refs []ConversationRef, whole bool, err error) {
	query := url.Values{"platform": {"instagram"}, "fields": {"id,updated_time"}, "limit": {"50"}}
	for range pages {
		var out struct {
			Data []struct {
				ID      id       `json:"id"`
				Updated metaTime `json:"updated_time"`
			} `json:"data"`
			Paging struct {
				Next    string `json:"next"`
				Cursors struct {
					After id `json:"after"`
				} `json:"cursors"`
			} `json:"paging"`
		}
		if err := turn(func() error { return c.get(ctx, cred, "me/conversations", query, &out) }); err != nil {
			return nil, false, fmt.Errorf("list the newest conversations: %w", err)
		}
		for _, d := range out.Data {
			if d.Updated.Before(since) {
				return refs, true, nil
			}
			refs = append(refs, ConversationRef{ID: string(d.ID), Updated: d.Updated.Time})
		}
		if out.Paging.Next == "" || out.Paging.Cursors.After == "" || len(out.Data) == 0 {
			return refs, true, nil
		}
		query.Set("after", string(out.Paging.Cursors.After))
	}
	return refs, false, nil
}

// Messages lists a conversation's messages, the newest first, as far as the API gives them at once.
func (c *Client) Messages(ctx context.Context, cred Credentials, conversation string) ([]MessageRef, error) {
	var out struct {
		Messages struct {
			Data []struct {
				ID      id       `json:"id"`
				Created metaTime `json:"created_time"`
			} `json:"data"`
		} `json:"messages"`
	}
	if err := c.get(ctx, cred, url.PathEscape(conversation), url.Values{"fields": {"messages"}}, &out); err != nil {
		return nil, fmt.Errorf("list messages: %w", err)
	}
	refs := make([]MessageRef, 0, len(out.Messages.Data))
	for _, d := range out.Messages.Data {
		refs = append(refs, MessageRef{ID: string(d.ID), Created: d.Created.Time})
	}
	return refs, nil
}

// Profile looks a customer up. What Meta does not tell, or the customer does not have, is empty; one who has not agreed to be
// looked up is a [ClassNoProfile] error.
func (c *Client) Profile(ctx context.Context, cred Credentials, customer string) (dm.Profile, error) {
	var out struct {
		Name     string `json:"name"`
		Username string `json:"username"`
		Picture  string `json:"profile_pic"`
	}
	if err := c.get(ctx, cred, url.PathEscape(customer), url.Values{"fields": {"name,username,profile_pic"}}, &out); err != nil {
		return dm.Profile{}, fmt.Errorf("look up a profile: %w", err)
	}
	return dm.Profile{Name: out.Name, Username: out.Username, PictureURL: out.Picture}, nil
}

// get makes one look-up. Its errors are of the same type as those of sending; an unknown outcome of a look-up is only one
// that has to be asked again.
func (c *Client) get(ctx context.Context, cred Credentials, path string, query url.Values, out any) error {
	_, err := c.look(ctx, cred, path, query, out)
	return err
}

// look is get with the answer's header, also that of a refusal.
func (c *Client) look(ctx context.Context, cred Credentials, path string, query url.Values, out any) (http.Header, error) {
	t, err := c.target(cred, path, query)
	if err != nil {
		return nil, err
	}
	got, err := c.call(ctx, t, http.MethodGet, nil)
	if err != nil {
		return nil, err
	}
	var failure struct {
		Error *errorBody `json:"error"`
	}
	if got.status < 200 || got.status > 299 {
		_ = json.Unmarshal(got.body, &failure) // without a body that can be read the status decides
		return got.header, newError(got, failure.Error)
	}
	if err := json.Unmarshal(got.body, &failure); err == nil && failure.Error != nil {
		return got.header, newError(got, failure.Error)
	}
	if err := json.Unmarshal(got.body, out); err != nil {
		e := newError(got, nil)
		e.Message = "the answer is not what the API documents"
		return got.header, e
	}
	return got.header, nil
}

// metaTime is a time as look-ups give it: "2026-07-12T19:11:07+0000".
type metaTime struct{ time.Time }

// UnmarshalJSON takes Meta's form and RFC 3339.
func (t *metaTime) UnmarshalJSON(b []byte) error {
	s := strings.Trim(string(b), `"`)
	if s == "" || s == "null" {
		return nil
	}
	at, err := time.Parse("2006-01-02T15:04:05-0700", s)
	if err != nil {
		at, err = time.Parse(time.RFC3339, s)
	}
	if err != nil {
		return fmt.Errorf("created_time: %w", err)
	}
	t.Time = at.UTC()
	return nil
}
