package erase

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/topology"
)

// openMarks opens the bucket that tells what was erased, so that the look for missed webhooks, which finds it at Meta, does not
// bring it back. It is nil where there is none: the services there are older than it and do not ask.
func openMarks(ctx context.Context, conn *bus.Conn) (*bus.Bucket, error) {
	marks, err := bus.OpenBucket(ctx, conn, topology.Erased.Name)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		return nil, nil //nolint:nilnil // there being none is no error here
	}
	return marks, err
}

// mark tells that everything of a customer until now, or a message, is erased. It comes before the erasing, or who looks in
// between would know of neither.
func (t *target) mark(ctx context.Context, marks *bus.Bucket, id string) error {
	if t.DryRun || marks == nil || id == "" {
		return nil
	}
	if _, err := marks.Put(ctx, hex.EncodeToString(topology.ErasedHash(t.Account, id)), nil); err != nil {
		return fmt.Errorf("mark what is erased: %w", err)
	}
	return nil
}
