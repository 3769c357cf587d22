package live

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/parley-dm/parley/pkg/dm"
)

const (
	// heartbeat keeps proxies from closing a quiet connection, and finds browsers that have gone.
	heartbeat = 20 * time.Second
	// longest ends a connection after a while; the browser makes another.
	longest = 30 * time.Minute
	// writeTimeout bounds one write to a browser that does not read.
	writeTimeout = 10 * time.Second
)

// ConversationID is the id of a conversation's row: both the archiver and the console make it of what names it.
func ConversationID(c dm.Conversation) string {
	return uuid.UUID(dm.RowID("conversation", string(c.Channel), c.Account, c.Customer)).String()
}

// Serve writes changes to a browser until it goes, the hub ends, or alive says at a heartbeat that its user is signed out.
func (h *Hub) Serve(w http.ResponseWriter, r *http.Request, sees func(account string) bool, alive func(ctx context.Context) bool) error {
	listener := h.Listen(sees)
	defer listener.Close()
	out := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	send := func(format string, args ...any) bool {
		if err := out.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
			return false
		}
		if _, err := fmt.Fprintf(w, format, args...); err != nil {
			return false
		}
		return out.Flush() == nil
	}
	if !send("retry: 2000\n\n") {
		return nil
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	end := time.NewTimer(longest)
	defer end.Stop()
	for {
		var ok bool
		select {
		case <-r.Context().Done():
			return nil
		case <-listener.Done():
			return nil
		case <-end.C:
			return nil
		case <-beat.C:
			if !alive(r.Context()) {
				send("event: bye\ndata: {}\n\n")
				return nil
			}
			ok = send(": here\n\n")
		case c := <-listener.Changes():
			ok = sendChange(send, c)
		}
		if !ok {
			return nil
		}
	}
}

func sendChange(send func(string, ...any) bool, c Change) bool {
	if c.Missed {
		return send("event: missed\ndata: {}\n\n")
	}
	data, err := json.Marshal(c)
	return err == nil && send("event: change\ndata: %s\n\n", data)
}
