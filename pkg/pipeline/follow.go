package pipeline

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/topology"
)

// Happened says that something was published about a conversation, not what.
type Happened struct {
	// ID and Type are the envelope's.
	ID, Type string
	dm.Conversation
}

// Follow tells of every event, intent and delivery as it is published, at most once, until ctx ends. What is published
// while the bus is away is missed; missed is called when it is back. For a screen, which can look again; what must not be
// missed is handled with the Handle methods. Both functions are called from the bus's own goroutines and must not block.
func (p *Pipeline) Follow(ctx context.Context, happened func(Happened), missed func()) error {
	heard := func(payload []byte) {
		var e struct {
			ID, Type, Conversation string
		}
		if json.Unmarshal(payload, &e) != nil {
			return // somebody else's
		}
		if c, err := dm.ParseConversation(e.Conversation); err == nil {
			happened(Happened{ID: e.ID, Type: e.Type, Conversation: c})
		}
	}
	var stops []func()
	defer func() {
		for _, stop := range stops {
			stop()
		}
	}()
	for _, s := range []topology.Stream{topology.Events, topology.Intents, topology.Deliveries} {
		stop, err := p.conn.Tap(ctx, s.Subjects, heard, missed)
		if err != nil {
			return fmt.Errorf("follow %s: %w", s.Name, err)
		}
		stops = append(stops, stop)
	}
	<-ctx.Done()
	return nil
}
