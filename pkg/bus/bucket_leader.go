package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// leaderAnswer is the server's answer to a request for a stream's message, as its API has it.
type leaderAnswer struct {
	Error   *jetstream.APIError `json:"error"`
	Message struct {
		Sequence uint64    `json:"seq"`
		Headers  []byte    `json:"hdrs"`
		Data     []byte    `json:"data"`
		Time     time.Time `json:"time"`
	} `json:"message"`
}

// The headers of a message that says that a key has no value any more.
const (
	headerOperation = "KV-Operation"
	headerMarker    = "Nats-Marker-Reason"
)

// getFromLeader reads a key of a bucket that has several copies. Any of them answers the client's own way of reading, also one
// that has just started and is behind; only the leader answers this one.
func (b *Bucket) getFromLeader(ctx context.Context, key string) (Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	request, err := json.Marshal(map[string]string{"last_by_subj": b.prefix + key})
	if err != nil {
		return Entry{}, fmt.Errorf("get %s: %w", key, err)
	}
	m, err := b.conn.nc.RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET.KV_"+b.kv.Bucket(), request)
	if err != nil {
		return Entry{}, fmt.Errorf("get %s: %w", key, away(err))
	}
	var answer leaderAnswer
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		return Entry{}, fmt.Errorf("get %s: read the server's answer: %w", key, err)
	}
	switch {
	case answer.Error != nil && answer.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return Entry{}, fmt.Errorf("get %s: %w", key, ErrKeyNotFound)
	case answer.Error != nil:
		return Entry{}, fmt.Errorf("get %s: %w", key, away(answer.Error))
	}
	if len(answer.Message.Headers) > 0 {
		headers, err := nats.DecodeHeadersMsg(answer.Message.Headers)
		if err != nil {
			return Entry{}, fmt.Errorf("get %s: read the headers: %w", key, err)
		}
		if headers.Get(headerOperation) != "" || headers.Get(headerMarker) != "" {
			return Entry{}, fmt.Errorf("get %s: %w", key, ErrKeyNotFound)
		}
	}
	return Entry{Key: key, Value: answer.Message.Data, Revision: answer.Message.Sequence, Created: answer.Message.Time}, nil
}

// copies says how many copies of a bucket there are.
func copies(ctx context.Context, kv jetstream.KeyValue) (int, error) {
	status, err := kv.Status(ctx)
	if err != nil {
		return 0, err
	}
	of, ok := status.(*jetstream.KeyValueBucketStatus)
	if !ok {
		return 0, errors.New("the client tells nothing of the bucket's stream")
	}
	return of.StreamInfo().Config.Replicas, nil
}
