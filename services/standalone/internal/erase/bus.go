package erase

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/pipeline/replay"
	"github.com/parley-dm/parley/pkg/topology"
)

// forgetMarker is how long a bucket keeps the mark that a key was removed, which has the customer's id in its name: long
// enough for every process that watches the bucket to see it.
const forgetMarker = time.Minute

// eraseBus removes what the streams and the buckets have. Of one message they are read twice: what answers it is known only
// when it was seen.
func (t *target) eraseBus(ctx context.Context, conn *bus.Conn, counts Counts) error {
	marks, err := openMarks(ctx, conn)
	if err == nil {
		err = t.mark(ctx, marks, t.Customer+t.MID)
	}
	if err != nil {
		return err
	}
	if t.MID != "" {
		for _, s := range []topology.Stream{topology.Events, topology.Deliveries} {
			if err := t.each(ctx, conn, s, func(e *content, _ uint64) error { t.learn(e); return nil }); err != nil {
				return err
			}
		}
	}
	for _, s := range topology.Streams() {
		stream, err := conn.JetStream().Stream(ctx, s.Name)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			continue
		}
		if err != nil {
			return fmt.Errorf("open stream %s: %w", s.Name, err)
		}
		err = t.each(ctx, conn, s, func(e *content, sequence uint64) error {
			if !t.wants(e) {
				return nil
			}
			if t.Customer != "" && e.Data.MID != "" {
				t.mids[e.Data.MID] = true // its changes may wait in the table
			}
			counts.add("stream", s.Name, 1)
			if t.MID != "" { // its answer was a message too
				if err := t.mark(ctx, marks, e.Data.MID); err != nil {
					return err
				}
			}
			return t.remove(ctx, stream, sequence)
		})
		if err != nil {
			return err
		}
	}
	if t.Customer == "" {
		return nil
	}
	return t.eraseKeys(ctx, conn, []dm.Conversation{{Channel: dm.ChannelInstagram, Account: t.Account, Customer: t.Customer},
		{Channel: dm.ChannelMessenger, Account: t.Account, Customer: t.Customer}, {Channel: dm.ChannelWhatsApp, Account: t.Account, Customer: t.Customer}}, counts)
}

// content is what must be known of a message on the bus.
type content struct {
	ID           string `json:"id"`
	Account      string `json:"account"`
	Conversation string `json:"conversation"`
	Data         struct {
		MID      string `json:"mid"`
		EventID  string `json:"event_id"`
		IntentID string `json:"intent_id"`
		Decision struct {
			EventID string `json:"event_id"`
		} `json:"decision"`
	} `json:"data"`
}

// each reads what a stream has of the account.
func (t *target) each(ctx context.Context, conn *bus.Conn, s topology.Stream, f func(e *content, sequence uint64) error) error {
	scan := replay.Scan{Stream: s.Name, Subjects: []string{subjectOf(s, t.Account)}}
	err := replay.Each(ctx, conn.JetStream(), scan, func(msg jetstream.Msg, meta *jetstream.MsgMetadata) (bool, error) {
		var e content
		if json.Unmarshal(msg.Data(), &e) != nil { // a dead letter that is no envelope, or a payload that was left out
			e = content{}
		}
		if name := msg.Headers().Get(replay.HeaderConversation); name != "" {
			e.Conversation = name
		}
		if account := msg.Headers().Get(replay.HeaderAccount); account != "" {
			e.Account = account
		}
		if id := msg.Headers().Get(bus.DeadID); id != "" && e.ID == "" {
			e.ID = id
		}
		return true, f(&e, meta.Sequence.Stream)
	})
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil
	}
	return err
}

// subjectOf is where a stream has the messages of an account.
func subjectOf(s topology.Stream, account string) string {
	tokens := strings.Split(s.Shape, ".")
	for i, token := range tokens {
		switch {
		case token == "<account>":
			tokens[i] = topology.Token(account)
		case strings.HasPrefix(token, "<"):
			tokens[i] = "*"
		}
	}
	return strings.Join(tokens, ".")
}

// learn finds the events that are about the message and the intents that it was a part of.
func (t *target) learn(e *content) {
	if e.Account != t.Account || !t.mids[e.Data.MID] || e.Data.MID == "" {
		return
	}
	if e.Data.IntentID != "" {
		t.ids[e.Data.IntentID] = true
		return
	}
	t.ids[e.ID] = true
}

// wants says whether a message on the bus is to be erased.
func (t *target) wants(e *content) bool {
	if t.Customer != "" {
		_, rest, _ := strings.Cut(e.Conversation, ":")
		return rest == t.Account+":"+t.Customer || e.Data.MID != "" && e.Account == t.Account && t.mids[e.Data.MID]
	}
	if e.Account != t.Account {
		return false
	}
	d := &e.Data
	return d.MID != "" && t.mids[d.MID] || t.ids[e.ID] || t.ids[d.EventID] || t.ids[d.IntentID] || t.ids[d.Decision.EventID]
}

// remove overwrites a message in the stream's file, where the server has not done so already.
func (t *target) remove(ctx context.Context, stream jetstream.Stream, sequence uint64) error {
	if t.DryRun {
		return nil
	}
	if err := stream.SecureDeleteMsg(ctx, sequence); err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) {
		return fmt.Errorf("erase message %d of stream %s: %w", sequence, stream.CachedInfo().Config.Name, err)
	}
	return nil
}

// eraseKeys removes what the buckets that are kept by conversation have of some.
func (r *Request) eraseKeys(ctx context.Context, conn *bus.Conn, conversations []dm.Conversation, counts Counts) error {
	for _, b := range topology.Buckets() {
		if b.Keys != topology.Conversations.Keys {
			continue
		}
		kv, err := conn.JetStream().KeyValue(ctx, b.Name)
		if errors.Is(err, jetstream.ErrBucketNotFound) {
			continue
		}
		if err != nil {
			return fmt.Errorf("open bucket %s: %w", b.Name, err)
		}
		for _, c := range conversations {
			there, err := r.eraseKey(ctx, kv, b, topology.ConversationKey(c))
			if err != nil {
				return fmt.Errorf("erase a key of bucket %s: %w", b.Name, err)
			}
			if !there {
				continue
			}
			counts.add("bucket", b.Name, 1)
		}
	}
	return nil
}

// eraseKey removes a key, and tells those who watch the bucket that it is gone. A bucket lets nobody overwrite single values.
func (r *Request) eraseKey(ctx context.Context, kv jetstream.KeyValue, b topology.Bucket, key string) (there bool, err error) {
	_, err = kv.Get(ctx, key)
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound):
		return false, nil
	case err != nil || r.DryRun:
		return err == nil, err
	}
	var options []jetstream.KVDeleteOpt
	if b.Each {
		options = append(options, jetstream.PurgeTTL(forgetMarker))
	}
	return true, kv.Purge(ctx, key, options...)
}
