package phone

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/parley-dm/parley/services/simulator/internal/shape"
	"github.com/parley-dm/parley/services/simulator/internal/world"
)

const (
	// writeTimeout is how long a page may take to take an update.
	writeTimeout = 10 * time.Second
	// beat is how often totals are told, and that the stream lives.
	beat = time.Second
)

// state is everything that a page needs to begin.
type state struct {
	Accounts []world.Account `json:"accounts"`
	Threads  []world.Thread  `json:"threads"`
	Totals   numbers         `json:"totals"`
	Kinds    []shape.Shape   `json:"kinds"`
}

// numbers is what the head of the page shows.
type numbers struct {
	world.Totals
	Condition
}

func (p *Page) numbers() numbers { return numbers{p.deps.World.Totals(), p.opts.Condition()} }

// events streams what happens: first the whole state, then each change. A page that falls behind is cut off; its browser
// connects again and begins with the state.
func (p *Page) events(w http.ResponseWriter, r *http.Request) {
	listener := p.deps.World.Feed().Listen()
	defer listener.Close()
	if err := p.begin(); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	s := &stream{w: w, rc: http.NewResponseController(w)}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // nginx
	// The server's own deadlines are for requests that end.
	_ = s.rc.SetReadDeadline(time.Time{})
	totals := p.numbers()
	if s.send("state", state{Accounts: p.deps.World.Accounts(), Threads: p.deps.World.Shown(), Totals: totals, Kinds: shape.All()}) != nil {
		return
	}
	ticker := time.NewTicker(beat)
	defer ticker.Stop()
	for {
		var err error
		select {
		case <-r.Context().Done():
			return
		case <-p.stop:
			return
		case u, ok := <-listener.C:
			if !ok {
				return
			}
			err = s.send("update", u)
		case <-ticker.C:
			if now := p.numbers(); now != totals {
				totals = now
				err = s.send("totals", totals)
			} else {
				err = s.write(": alive\n\n")
			}
		}
		if err != nil {
			return
		}
	}
}

// begin opens a first phone when there is none: an empty page would not teach anything.
func (p *Page) begin() error {
	select {
	case <-p.stop:
		return errStopped
	default:
	}
	if len(p.deps.World.Shown()) > 0 {
		return nil
	}
	account, err := p.deps.World.Account("")
	if err != nil {
		return err
	}
	for range firstPhones {
		id, name := p.deps.World.NewCustomer()
		if _, err := p.deps.World.Open(world.Key{Account: account.ID, Customer: id}, name); err != nil {
			return err
		}
	}
	return nil
}

// firstPhones is how many phones a new page shows.
const firstPhones = 2

type stream struct {
	w  http.ResponseWriter
	rc *http.ResponseController
}

// send writes an event. JSON has no line breaks, so that one data line is enough.
func (s *stream) send(name string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode %s: %w", name, err)
	}
	return s.write("event: " + name + "\ndata: " + string(b) + "\n\n")
}

func (s *stream) write(text string) error {
	_ = s.rc.SetWriteDeadline(time.Now().Add(writeTimeout))
	if _, err := s.w.Write([]byte(text)); err != nil {
		return err
	}
	return s.rc.Flush()
}
