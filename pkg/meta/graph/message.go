package graph

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/parley-dm/parley/pkg/dm"
)

// messageFields are those of every message; fullFields are the ones that tell of what is not text.
const (
	messageFields = "id,created_time,from,to,message"
	fullFields    = messageFields + ",attachments,shares,story"
)

// Message looks one message up: who said what text to whom, and when.
func (c *Client) Message(ctx context.Context, cred Credentials, mid string) (Message, error) {
	return c.message(ctx, cred, mid, messageFields)
}

// FullMessage looks one message up with what it has beside its text. Where an app may not ask for all of that the error is
// [ClassPermanent], and [Client.Message] may still know it.
func (c *Client) FullMessage(ctx context.Context, cred Credentials, mid string) (Message, error) {
	return c.message(ctx, cred, mid, fullFields)
}

func (c *Client) message(ctx context.Context, cred Credentials, mid, fields string) (Message, error) {
	type person struct {
		ID id `json:"id"`
	}
	var out struct {
		ID      id       `json:"id"`
		Created metaTime `json:"created_time"`
		From    person   `json:"from"`
		To      struct {
			Data []person `json:"data"`
		} `json:"to"`
		Message string `json:"message"`
		beside
	}
	if err := c.get(ctx, cred, url.PathEscape(mid), url.Values{"fields": {fields}}, &out); err != nil {
		return Message{}, fmt.Errorf("look up a message: %w", err)
	}
	m := Message{ID: string(out.ID), Created: out.Created.Time, From: string(out.From.ID), Text: out.Message}
	for _, p := range out.To.Data {
		m.To = append(m.To, string(p.ID))
	}
	m.Attachments, m.StoryID = out.attachments(), string(out.Story.ReplyTo.ID)
	return m, nil
}

// beside is what a message has beside its text. A look-up names it otherwise than a webhook.
type beside struct {
	Attachments struct {
		Data []struct {
			MIMEType string   `json:"mime_type"`
			Name     string   `json:"name"`
			Image    location `json:"image_data"`
			Video    location `json:"video_data"`
			FileURL  string   `json:"file_url"`
		} `json:"data"`
	} `json:"attachments"`
	Shares struct {
		Data []struct {
			Link string `json:"link"`
			Name string `json:"name"`
		} `json:"data"`
	} `json:"shares"`
	Story struct {
		Mention struct {
			Link string `json:"link"`
		} `json:"mention"`
		ReplyTo struct {
			ID id `json:"id"`
		} `json:"reply_to"`
	} `json:"story"`
}

type location struct {
	URL string `json:"url"`
}

// attachments are those that have a link, as a webhook would tell of them.
func (b *beside) attachments() []dm.Attachment {
	var out []dm.Attachment
	add := func(kind, url, title string) {
		if url != "" {
			out = append(out, dm.Attachment{Type: kind, URL: url, Title: title})
		}
	}
	for _, a := range b.Attachments.Data {
		switch {
		case a.Image.URL != "":
			add("image", a.Image.URL, "")
		case a.Video.URL != "":
			add("video", a.Video.URL, "")
		default:
			kind, _, _ := strings.Cut(a.MIMEType, "/")
			if kind != "image" && kind != "video" && kind != "audio" {
				kind = "file"
			}
			add(kind, a.FileURL, "")
		}
	}
	for _, s := range b.Shares.Data {
		add("share", s.Link, s.Name)
	}
	add("story_mention", b.Story.Mention.Link, "")
	return out
}
