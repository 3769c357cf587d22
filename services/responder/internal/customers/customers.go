// Package customers knows what customers are called: a copy in memory of what the sender found out, for templates that say
// {{customer.first_name}}.
//
// Nobody waits for it and it asks nobody: whom it does not know has no name. It looks nobody up; that is the sender's.
package customers

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/rules/template"
	"github.com/parley-dm/parley/pkg/telemetry"
	"github.com/parley-dm/parley/pkg/topology"
)

// The bounds of the copy: so many customers, some 200 bytes each, and so much of a name. Where there are more, some have no name.
const (
	maxKnown = 200_000
	maxName  = 200
)

// watchPause is the time between two tries to follow the bucket.
const watchPause = time.Second

// Bucket is where profiles are kept.
type Bucket interface {
	Watch(ctx context.Context, keys string, f func(*bus.Entry)) error
}

// Options says how much is kept.
type Options struct {
	// Max is how many customers are known at once; 200,000 if 0.
	Max int
	Log *slog.Logger
}

// Customers is safe for concurrent use.
type Customers struct {
	bucket Bucket
	o      Options

	mu    sync.RWMutex
	known map[string]person
}

// person is what a template may say of one.
type person struct {
	name, username string
	revision       uint64
}

// New makes an empty copy, which [Customers.Run] fills.
func New(bucket Bucket, o Options) *Customers {
	if o.Max <= 0 {
		o.Max = maxKnown
	}
	return &Customers{bucket: bucket, o: o, known: map[string]person{}}
}

// Customer is what is known of whom a conversation is with, at once.
func (c *Customers) Customer(of dm.Conversation) template.Customer {
	c.mu.RLock()
	defer c.mu.RUnlock()
	p := c.known[topology.ConversationKey(of)]
	return template.Customer{Name: p.name, Username: p.username}
}

// Size is how many customers are known.
func (c *Customers) Size() int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return len(c.known)
}

// Run follows the bucket until ctx ends. It never fails: names are worth no reply.
func (c *Customers) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := c.bucket.Watch(ctx, ">", c.saw); err != nil && ctx.Err() == nil {
			c.o.Log.WarnContext(ctx, "customers.watch", telemetry.KeyError, err)
			select {
			case <-ctx.Done():
			case <-time.After(watchPause):
			}
		}
	}
	return nil
}

func (c *Customers) saw(e *bus.Entry) {
	if e == nil {
		return // all that there was has come: nobody waits for that
	}
	var p dm.Profile
	nameless := e.Deleted || json.Unmarshal(e.Value, &p) != nil || p.Name == "" && p.Username == ""
	c.mu.Lock()
	defer c.mu.Unlock()
	before, there := c.known[e.Key]
	switch {
	case there && before.revision > e.Revision: // a watch that begins anew repeats
	case nameless:
		delete(c.known, e.Key)
	default:
		if !there && len(c.known) >= c.o.Max {
			c.forgetOne()
		}
		c.known[e.Key] = person{name: short(p.Name), username: short(p.Username), revision: e.Revision}
	}
}

// forgetOne makes room by leaving out whomever the map has first.
func (c *Customers) forgetOne() {
	for key := range c.known {
		delete(c.known, key)
		return
	}
}

// short is a copy of its own, so that the message that it came in is not kept with it.
func short(name string) string {
	return strings.Clone(strings.ToValidUTF8(name[:min(len(name), maxName)], ""))
}
