package graph

import (
	"encoding/json"
	"strconv"

	"github.com/parley-dm/parley/services/simulator/internal/world"
)

// attach adds what a look-up tells of a message beside its text: files under attachments, posts under shares, stories under
// story, as the conversations API names them; webhooks have other names.
func attach(o object, m world.Message) {
	var content struct {
		Attachment  *shownMedium  `json:"attachment"`
		Attachments []shownMedium `json:"attachments"`
	}
	if len(m.Content) == 0 || m.Deleted || json.Unmarshal(m.Content, &content) != nil {
		return
	}
	if content.Attachment != nil {
		content.Attachments = append(content.Attachments, *content.Attachment)
	}
	var files, shares []object
	for i, a := range content.Attachments {
		url := a.Payload.URL
		f := object{"id": strconv.Itoa(i + 1), "name": a.Type, "size": 1024}
		switch {
		case url == "":
			continue
		case a.Type == "image" || a.Type == "gif" || a.Type == "sticker" || a.Type == "media":
			f["mime_type"], f["image_data"] = "image/jpeg", object{"width": 320, "height": 240, "url": url, "preview_url": url}
		case a.Type == "video":
			f["mime_type"], f["video_data"] = "video/mp4", object{"width": 320, "height": 240, "url": url, "preview_url": url}
		case a.Type == "audio":
			f["mime_type"], f["file_url"] = "audio/mp4", url
		case a.Type == "file":
			f["mime_type"], f["file_url"] = "application/pdf", url
		case a.Type == "story_mention":
			o["story"] = object{"mention": object{"link": url, "id": "18040000000000001"}}
			continue
		default:
			shares = append(shares, object{"link": url})
			continue
		}
		files = append(files, f)
	}
	if len(files) > 0 {
		o["attachments"] = object{"data": files}
	}
	if len(shares) > 0 {
		o["shares"] = object{"data": shares}
	}
}

// shownMedium is an attachment of a message, as it was written or sent.
type shownMedium struct {
	Type    string `json:"type"`
	Payload struct {
		URL string `json:"url"`
	} `json:"payload"`
}
