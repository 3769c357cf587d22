package bus

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// Holding is who has one partition of a group, as its lease says.
type Holding struct {
	Group     string
	Partition int
	// Member is empty where nobody has it.
	Member string
	// Stream is the stream, Consumer the consumer of the lease's generation.
	Stream, Consumer string
	// Floor is the stream sequence up to which everything was settled when the lease was last written.
	Floor uint64
}

// Holdings reads all leases in a bucket, for those who look on. Whether a member that holds one still lives, its lease does not say.
func Holdings(ctx context.Context, leases *Bucket) ([]Holding, error) {
	var out []Holding
	err := leases.Each(ctx, func(e Entry) error {
		group, number, ok := strings.Cut(e.Key, ".lease.")
		if !ok {
			return nil
		}
		partition, err := strconv.Atoi(number)
		if err != nil {
			return nil //nolint:nilerr // not a lease of ours
		}
		l := parseLease(e)
		out = append(out, Holding{
			Group: group, Partition: partition, Member: l.Member, Stream: l.On, Consumer: consumerName(group, partition, l.Generation), Floor: l.Floor,
		})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the leases: %w", err)
	}
	return out, nil
}

// consumerName is what the consumer of one generation of a partition is called.
func consumerName(group string, partition int, generation uint64) string {
	return fmt.Sprintf("%s_p%d_g%d", group, partition, generation)
}
