// Package overview tells how the bus stands: how full each stream is, how much waits for each stage, and who owns which
// partition. It only looks: the console's page and an operator's metrics are made of it.
package overview

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/topology"
)

// Overview is how everything stood at one time.
type Overview struct {
	At      time.Time `json:"at"`
	Streams []Stream  `json:"streams"`
	// Groups are the stages' subscriptions, by stream and name.
	Groups []Group `json:"groups"`
}

// Stream is how full a stream is.
type Stream struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Messages    uint64 `json:"messages"`
	Bytes       uint64 `json:"bytes"`
	// Bound is how many bytes it may hold, 0 for no bound; Fill the share of it that is full.
	Bound int64   `json:"bound"`
	Fill  float64 `json:"fill"`
	// First and Last are when its oldest and newest message were stored; zero where it is empty.
	First time.Time `json:"first,omitzero"`
	Last  time.Time `json:"last,omitzero"`
	// Missing: the server does not have it, because no service has ever started.
	Missing bool `json:"missing,omitempty"`
}

// Group is one subscription of a stage, such as responder-decide.
type Group struct {
	Name   string `json:"name"`
	Stream string `json:"stream"`
	// Waiting is how many messages it has not been given yet, InFlight how many it was given and has not settled.
	Waiting  uint64 `json:"waiting"`
	InFlight uint64 `json:"in_flight"`
	// Partitions is empty where the replicas of the stage share one consumer.
	Partitions []Partition `json:"partitions,omitempty"`
}

// Stage is the service's part of the group's name.
func (g Group) Stage() string {
	stage, _, _ := strings.Cut(g.Name, "-")
	return stage
}

// Partition is one partition of a group and who owns it.
type Partition struct {
	Number   int    `json:"number"`
	Member   string `json:"member"`
	Waiting  uint64 `json:"waiting"`
	InFlight uint64 `json:"in_flight"`
	// Read: somebody asks for its messages now, or has some of them.
	Read bool `json:"read"`
}

// Read looks at everything once.
func Read(ctx context.Context, conn *bus.Conn) (Overview, error) {
	o := Overview{At: time.Now()}
	holdings, err := holdings(ctx, conn)
	if err != nil {
		return o, err
	}
	for _, s := range topology.Streams() {
		stream, groups, err := read(ctx, conn.JetStream(), s, holdings)
		if err != nil {
			return o, fmt.Errorf("look at stream %s: %w", s.Name, err)
		}
		o.Streams, o.Groups = append(o.Streams, stream), append(o.Groups, groups...)
	}
	return o, nil
}

// holdings are the leases by the name of their consumer.
func holdings(ctx context.Context, conn *bus.Conn) (map[string]bus.Holding, error) {
	leases, err := bus.OpenBucket(ctx, conn, topology.Leases.Name)
	if err != nil {
		return nil, err
	}
	all, err := bus.Holdings(ctx, leases)
	out := make(map[string]bus.Holding, len(all))
	for _, h := range all {
		out[h.Consumer] = h
	}
	return out, err
}

func read(ctx context.Context, js jetstream.JetStream, s topology.Stream, holdings map[string]bus.Holding) (Stream, []Group, error) {
	out := Stream{Name: s.Name, Description: s.Description}
	stream, err := bus.OpenStream(ctx, js, s.Name)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		out.Missing = true
		return out, nil, nil
	case err != nil:
		return out, nil, err
	}
	info := stream.CachedInfo()
	out.Messages, out.Bytes, out.Bound = info.State.Msgs, info.State.Bytes, max(info.Config.MaxBytes, 0)
	if info.State.Msgs > 0 {
		out.First, out.Last = info.State.FirstTime, info.State.LastTime
	}
	if out.Bound > 0 {
		out.Fill = float64(out.Bytes) / float64(out.Bound)
	}
	groups := map[string]*Group{}
	list := stream.ListConsumers(ctx)
	for c := range list.Info() {
		add(groups, s.Name, c, holdings)
	}
	if err := list.Err(); err != nil {
		return out, nil, fmt.Errorf("list consumers: %w", err)
	}
	all := make([]Group, 0, len(groups))
	for _, g := range groups {
		slices.SortFunc(g.Partitions, func(a, b Partition) int { return cmp.Compare(a.Number, b.Number) })
		all = append(all, *g)
	}
	slices.SortFunc(all, func(a, b Group) int { return strings.Compare(a.Name, b.Name) })
	return out, all, nil
}

// add counts one consumer. One that passes, of somebody who only reads, is no group; one of a generation that is over neither.
func add(groups map[string]*Group, stream string, c *jetstream.ConsumerInfo, holdings map[string]bus.Holding) {
	if c.Config.Durable == "" {
		return
	}
	h, owned := holdings[c.Name]
	if !owned && c.Config.InactiveThreshold > 0 && c.Config.InactiveThreshold < bus.KeptUnread {
		return
	}
	// The bus puts what it is about behind the group's name.
	name, _, _ := strings.Cut(c.Name, "_")
	g := groups[name]
	if g == nil {
		g = &Group{Name: name, Stream: stream}
		groups[name] = g
	}
	inFlight := uint64(max(c.NumAckPending, 0))
	g.Waiting += c.NumPending
	g.InFlight += inFlight
	if owned {
		g.Partitions = append(g.Partitions, Partition{
			Number: h.Partition, Member: h.Member, Waiting: c.NumPending, InFlight: inFlight, Read: c.NumWaiting > 0 || inFlight > 0,
		})
	}
}
