package bus

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nuid"
)

// Ownership shares the partitions of a topic out among the members of a group: each partition has one owner at a time.
//
// An owner holds a lease for each of its partitions, a key in Bucket that it rewrites by compare-and-set well before TTL
// is over. Which member should hold which follows from the members alive and rendezvous hashing. Time is never compared
// between machines: a lease or a member is dead for an observer that saw no change for TTL on its own clock, and an owner
// counts its own lease as over a little earlier than that.
//
// Each lease has a generation, and the owner's consumer is named after it. Taking a partition over writes the old
// consumer's acknowledgement floor into the lease, deletes that consumer, and makes the new generation's from the floor
// on. The server cuts the old owner off there and then, even one that is only stalled, and what it left comes again in
// stream order before anything new.
type Ownership struct {
	// Bucket holds the leases and the members.
	Bucket *Bucket
	// Partitions is how many there are; Filter gives the subject that matches one of them.
	Partitions int
	Filter     func(partition int) string
	// TTL is what a killed owner's partitions wait. Default 6 s.
	TTL time.Duration
	// Tend, if set, is called when a partition has become ours, before any message of it is handed out; with an error the
	// partition is given up, and taken again later. The work that it returns, if any, runs beside the handlers for as long as
	// the partition is ours. ctx is as a message's: [Draining] closes when the work has to come to its end, which nobody who
	// takes the partition over has to wait for longer than for a handler; it is cancelled when that takes too long or the partition is lost.
	Tend func(ctx context.Context, partition int) (work func(), err error)
	// Member names this process, uniquely among those alive. Default: random. A name that is kept across restarts, where
	// two processes with it can never run at once, lets a restarted process take its leases back without waiting.
	Member string
}

func (o *Ownership) setDefaults() {
	if o.TTL <= 0 {
		o.TTL = 6 * time.Second
	}
	if o.Member == "" {
		o.Member = strings.ToLower(nuid.Next())
	}
}

func (o *Ownership) validate() error {
	var errs []error
	if o.Bucket == nil {
		errs = append(errs, errors.New("ownership: bucket: expected one"))
	}
	if o.Partitions < 1 {
		errs = append(errs, fmt.Errorf("ownership: partitions: got %d, expected 1 or more", o.Partitions))
	}
	if o.Filter == nil {
		errs = append(errs, errors.New("ownership: filter: expected a function that gives a partition's subject"))
	}
	if strings.ContainsAny(o.Member, ". *>") {
		errs = append(errs, fmt.Errorf("ownership: member %q: expected a name without dots, spaces and wildcards", o.Member))
	}
	return errors.Join(errs...)
}

// assign gives each partition to a member by rendezvous hashing with a bound on the load: a partition goes to the member
// that likes it best and has not got its fair share yet. Every process computes the same from the same members. When a
// member joins or leaves, little else moves.
func assign(partitions int, members []string) []string {
	owners := make([]string, partitions)
	if len(members) == 0 {
		return owners
	}
	type claim struct {
		partition int
		member    string
		weight    uint64
	}
	claims := make([]claim, 0, partitions*len(members))
	for p := range partitions {
		for _, m := range members {
			claims = append(claims, claim{p, m, weight(p, m)})
		}
	}
	sort.Slice(claims, func(i, j int) bool {
		a, b := claims[i], claims[j]
		if a.weight != b.weight {
			return a.weight > b.weight
		}
		return a.member < b.member || a.member == b.member && a.partition < b.partition
	})
	// At most ceil(P/n) each, and only P mod n members have that many.
	floor, extra := partitions/len(members), partitions%len(members)
	load := map[string]int{}
	for _, c := range claims {
		bound := floor
		if extra > 0 {
			bound++
		}
		if owners[c.partition] != "" || load[c.member] >= bound {
			continue
		}
		owners[c.partition] = c.member
		load[c.member]++
		if load[c.member] == floor+1 {
			extra--
		}
	}
	return owners
}

// weight is how much a member likes a partition. FNV's last bytes mix badly, so its result is mixed once more.
func weight(partition int, member string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(member + "/" + strconv.Itoa(partition)))
	x := h.Sum64()
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}
