package page

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gabriel-vasile/mimetype"
	"github.com/go-chi/chi/v5"

	"github.com/parley-dm/parley/pkg/telemetry"
	"github.com/parley-dm/parley/services/console/internal/store"
	"github.com/parley-dm/parley/services/console/internal/web"
)

// mediaTime is how long a browser may take to load one: the console's time for pages is too short for a video on a phone.
const mediaTime = 10 * time.Minute

// Media is where archivers keep the attachments of messages.
type Media interface {
	// Name is that of the store, as in [store.Kept].
	Name() (string, error)
	// Serve answers with a file, or the part of it that is asked for; it fails with fs.ErrNotExist, or otherwise, before
	// anything was written.
	Serve(w http.ResponseWriter, r *http.Request, key string) error
}

// errNotKept is for people; the log says more.
var errNotKept = &web.Error{Status: http.StatusNotFound, Title: "Not there", Text: "The file is not where files are kept now. It may be in another folder or bucket, which was in use before."}

// inboxMedium answers with the file of an attachment. Customers choose what is in it: it is shown only as what every browser
// draws, plays or saves, and no script in it would be anybody.
func (p *Pages) inboxMedium(w http.ResponseWriter, r *http.Request) error {
	t, err := p.talk(r)
	if err != nil {
		return err
	}
	position, err := strconv.Atoi(chi.URLParam(r, "position"))
	if err != nil || p.Media == nil {
		return web.ErrNotFound
	}
	kept, err := p.Store.KeptMedium(r.Context(), t.ID, chi.URLParam(r, "message"), position)
	if err != nil {
		return err
	}
	if here, err := p.Media.Name(); err != nil || here != kept.Store {
		p.Log.WarnContext(r.Context(), "media.elsewhere", "kept_in", kept.Store, "here", here, telemetry.KeyError, err)
		return errNotKept
	}
	h := w.Header()
	tag := strconv.Quote(kept.SHA256)
	if r.Header.Get("If-None-Match") == tag {
		h.Set("Etag", tag)
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(mediaTime)); err != nil {
		return fmt.Errorf("prolong the answer's time: %w", err)
	}
	policy := h.Get("Content-Security-Policy")
	h.Set("Content-Security-Policy", "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'; sandbox")
	h.Set("Content-Type", kept.ContentType)
	h.Set("Content-Disposition", disposition(&kept))
	h.Set("Cache-Control", "private, no-cache") // an unsent message's is gone from here, and must be for who has seen it
	h.Set("Etag", tag)
	err = p.Media.Serve(w, r, kept.Key)
	if err == nil {
		return nil
	}
	h.Set("Content-Security-Policy", policy)
	h.Set("Cache-Control", "no-store")
	h.Del("Content-Disposition")
	h.Del("Etag")
	if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read a kept medium: %w", err)
	}
	p.Log.WarnContext(r.Context(), "media.missing", "key", kept.Key, "store", kept.Store)
	return errNotKept
}

// drawn are the kinds of pictures that every browser draws, and that have no scripts in them.
var drawn = []string{"image/jpeg", "image/png", "image/gif", "image/webp", "image/avif"}

// played are the kinds of recordings that every browser plays.
var played = []string{"video/mp4", "video/webm", "audio/mpeg", "audio/mp4", "audio/x-m4a", "audio/aac", "audio/ogg", "audio/wav", "audio/webm", "application/ogg"}

// disposition says that a file is shown, or saved, under a name that tells nothing.
func disposition(k *store.Kept) string {
	if slices.Contains(drawn, k.ContentType) || slices.Contains(played, k.ContentType) {
		return "inline"
	}
	name := "attachment-" + k.SHA256[:min(8, len(k.SHA256))]
	if kind := mimetype.Lookup(k.ContentType); kind != nil {
		name += kind.Extension()
	}
	return mime.FormatMediaType("attachment", map[string]string{"filename": name})
}

// keptMedia are what is kept of messages, by their mids and positions.
type keptMedia map[string]map[int]store.Kept

// keptOf reads what is kept here of some messages. Where the store cannot be asked there is nothing but Meta's links, and the log
// says why.
func (p *Pages) keptOf(ctx context.Context, account string, messages []store.ThreadMessage) (keptMedia, error) {
	var mids []string
	for i := range messages {
		if m := &messages[i]; len(m.Meta.Attachments) > 0 && m.MID != "" && m.DeletedAt == nil {
			mids = append(mids, m.MID)
		}
	}
	if p.Media == nil || len(mids) == 0 {
		return nil, nil
	}
	all, err := p.Store.KeptMedia(ctx, account, mids)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	here, err := p.Media.Name()
	if err != nil {
		p.Log.WarnContext(ctx, "media.no_store", telemetry.KeyError, err)
		return nil, nil
	}
	out := keptMedia{}
	for _, k := range all {
		if k.Store != here {
			continue
		}
		if out[k.MID] == nil {
			out[k.MID] = map[int]store.Kept{}
		}
		out[k.MID][k.Position] = k
	}
	return out, nil
}

// keep shows a medium from where it is kept.
func (m *medium) keep(address, kind string, k *store.Kept) {
	m.Kept, m.Size = address, spellBytes(k.Bytes)
	isPlayed := slices.Contains(played, k.ContentType)
	m.Image = slices.Contains(drawn, k.ContentType)
	m.Audio = isPlayed && (kind == "audio" || !strings.HasPrefix(k.ContentType, "video/"))
	m.Video = isPlayed && !m.Audio
}

// spellBytes is a size for people.
func spellBytes(n int64) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d bytes", n)
	case n < 1_000_000:
		return fmt.Sprintf("%d kB", n/1000)
	default:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
}
