package doctor

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dm/parley/pkg/accounts"
	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/meta/graph"
	"github.com/parley-dm/parley/pkg/topology"
)

// The bounds of how full a stream is, and of how many messages may wait for a stage.
const (
	fillWarning    = 0.7
	fillProblem    = 0.9
	waitingWarning = 10_000
)

const natsCheck = "nats"

// bus connects to NATS and compares what is there with the topology.
func (p Patient) bus(ctx context.Context, r *report) {
	if p.Bus == nil {
		if p.BusUnreachable != "" {
			r.warn(natsCheck, "set NATS_LISTEN for it, and NATS_URL here, to have the streams looked at", "%s", p.BusUnreachable)
		}
		return
	}
	server := redacted(p.Bus.NATS.URL.Reveal())
	connecting, cancel := context.WithTimeout(ctx, within/3)
	defer cancel()
	conn, err := bus.Connect(connecting, bus.ConnConfig{URL: p.Bus.NATS.URL.Reveal(), CredsFile: p.Bus.NATS.CredsFile, Name: "parley doctor"})
	if err != nil {
		r.problem(natsCheck, "see that a NATS server runs there and lets this user in; webhooks wait until it does", "%s: %v", server, err)
		return
	}
	defer conn.Close()
	before := time.Now()
	info, err := conn.JetStream().AccountInfo(ctx)
	if err != nil {
		r.problem(natsCheck, "start it with JetStream (-js) and give this user the right to use it", "%s answers, but JetStream does not: %v", server, err)
		return
	}
	r.ok(natsCheck, "%s answers in %s; JetStream holds %s in %d streams", server, time.Since(before).Round(100*time.Microsecond), size(int64(info.Store)), info.Streams) //nolint:gosec // no disk is that large
	x := &busExamination{r: r, js: conn.JetStream(), replicas: p.Bus.NATS.Replicas}
	for n, s := range topology.Streams() {
		x.stream(ctx, s, n == 0)
	}
	for _, b := range topology.Buckets() {
		x.bucket(ctx, b)
	}
	x.paused(ctx)
}

// redacted takes users and passwords out of a list of servers.
func redacted(servers string) string {
	var out []string
	for s := range strings.SplitSeq(servers, ",") {
		u, err := url.Parse(strings.TrimSpace(s))
		if err != nil {
			out = append(out, "a server whose address cannot be read")
			continue
		}
		u.User = nil
		out = append(out, u.String())
	}
	return strings.Join(out, ",")
}

type busExamination struct {
	r        *report
	js       jetstream.JetStream
	replicas int
}

const startOne = "start any service: each makes what is missing"

func (x *busExamination) stream(ctx context.Context, want topology.Stream, first bool) {
	check := "stream " + want.Name
	before := time.Now()
	stream, err := x.js.Stream(ctx, want.Name)
	after := time.Now()
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		x.r.problem(check, startOne, "it is not there")
		return
	}
	if err != nil {
		x.r.problem(check, "see the NATS server's log: on a cluster, most of the servers have to run", "%v", err)
		return
	}
	info := stream.CachedInfo()
	if first {
		x.r.clock("nats clock", info.TimeStamp, before, after, 0)
	}
	if differs := differences(want, info.Config, x.replicas); len(differs) > 0 {
		x.r.warn(check, startOne+", and brings the rest up to date", "it differs from the topology: %s", strings.Join(differs, "; "))
	}
	x.quorum(check, info)
	fill := 0.0
	if info.Config.MaxBytes > 0 {
		fill = float64(info.State.Bytes) / float64(info.Config.MaxBytes)
	}
	said := fmt.Sprintf("%d messages, %s, %.1f%% of its bound", info.State.Msgs, size(int64(info.State.Bytes)), 100*fill) //nolint:gosec // no disk is that large
	const do = "start the stage that is behind, or raise the stream's max_bytes: at its bound it refuses new messages"
	switch {
	case fill >= fillProblem:
		x.r.problem(check, do, "%s", said)
	case fill >= fillWarning:
		x.r.warn(check, do, "%s", said)
	case want.Name == topology.Dead.Name && info.State.Msgs > 0:
		x.r.warn("dead letters", "parley dead list; mend the cause, then parley dead replay --yes", "%d messages were given up", info.State.Msgs)
	default:
		x.r.ok(check, "%s", said)
	}
	x.readers(ctx, want, stream)
}

// differences says what of a stream is not as it should be. Bounds may have been raised by an operator.
func differences(want topology.Stream, have jetstream.StreamConfig, replicas int) []string {
	var out []string
	differ := func(name string, have, want any) {
		out = append(out, fmt.Sprintf("%s is %v, expected %v", name, have, want))
	}
	if !slices.Equal(have.Subjects, []string{want.Subjects}) {
		differ("subjects", have.Subjects, want.Subjects)
	}
	if have.MaxBytes < want.MaxBytes {
		differ("max_bytes", have.MaxBytes, want.MaxBytes)
	}
	if have.MaxAge < want.MaxAge {
		differ("max_age", have.MaxAge, want.MaxAge)
	}
	if have.Discard != jetstream.DiscardNew {
		differ("discard", have.Discard, jetstream.DiscardNew)
	}
	if have.Duplicates < topology.Window {
		differ("duplicate_window", have.Duplicates, topology.Window)
	}
	if have.Storage != jetstream.FileStorage {
		differ("storage", have.Storage, jetstream.FileStorage)
	}
	if replicas > 0 && have.Replicas != replicas {
		differ("replicas", have.Replicas, replicas)
	}
	return out
}

// quorum says how the copies of a stream are, on a cluster.
func (x *busExamination) quorum(check string, info *jetstream.StreamInfo) {
	if info.Cluster == nil || info.Config.Replicas < 2 {
		return
	}
	for _, copied := range info.Cluster.Replicas {
		if copied.Offline || !copied.Current {
			x.r.warn(check, "start that NATS server, or let it catch up: one more that is lost stops everything", "its copy on %s is behind by %d operations, offline: %t", copied.Name, copied.Lag, copied.Offline)
		}
	}
}

// stages are those that read each stream.
var stages = map[string][]string{
	topology.Events.Name:     {"responder", "archiver"},
	topology.Intents.Name:    {"sender", "archiver"},
	topology.Deliveries.Name: {"archiver"},
}

// reader is what the consumers of one stage come to.
type reader struct {
	consumers, idle int
	waiting         uint64
}

// readers looks at the consumers of a stream: each stage has one for each partition, or one that its replicas share.
func (x *busExamination) readers(ctx context.Context, s topology.Stream, stream jetstream.Stream) {
	if len(stages[s.Name]) == 0 {
		return
	}
	found := map[string]*reader{}
	list := stream.ListConsumers(ctx)
	for c := range list.Info() {
		if c.Config.InactiveThreshold >= bus.KeptUnread && c.NumWaiting == 0 {
			continue // something that was switched off: the server forgets it
		}
		stage, _, _ := strings.Cut(c.Name, "-")
		if found[stage] == nil {
			found[stage] = &reader{}
		}
		found[stage].add(c)
	}
	if err := list.Err(); err != nil {
		x.r.problem("consumers of "+s.Name, "see the NATS server's log", "%v", err)
		return
	}
	for _, stage := range stages[s.Name] {
		x.reader(stage+" of "+s.Name, stage, found[stage])
	}
}

func (v *reader) add(c *jetstream.ConsumerInfo) {
	v.consumers++
	v.waiting += c.NumPending + uint64(max(c.NumAckPending, 0))
	// Nobody asks it for messages and nobody has any of it.
	if c.NumWaiting == 0 && c.NumAckPending == 0 {
		v.idle++
	}
}

func (x *busExamination) reader(check, stage string, v *reader) {
	switch {
	case v == nil:
		x.r.problem(check, "start "+stage, "it never read this stream, or lost its place: nothing of it is handled")
	case v.idle == v.consumers:
		x.r.problem(check, "start "+stage, "nobody reads; %d messages wait", v.waiting)
	case v.idle > 0:
		x.r.warn(check, "see the log of "+stage+": another replica takes them over within LEASE_TTL as a rule", "%d of %d partitions have no reader; %d messages wait", v.idle, v.consumers, v.waiting)
	case v.waiting > waitingWarning:
		x.r.warn(check, "add replicas of "+stage+", or see what holds it up: its log, /readyz, paused accounts", "%d messages wait", v.waiting)
	default:
		x.r.ok(check, "%d messages wait, for %d consumer(s)", v.waiting, v.consumers)
	}
}

func (x *busExamination) bucket(ctx context.Context, want topology.Bucket) {
	check := "bucket " + want.Name
	kv, err := x.js.KeyValue(ctx, want.Name)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		x.r.problem(check, startOne, "it is not there")
		return
	}
	var status jetstream.KeyValueStatus
	if err == nil {
		status, err = kv.Status(ctx)
	}
	switch {
	case err != nil:
		x.r.problem(check, "see the NATS server's log", "%v", err)
	case status.TTL() != want.TTL:
		x.r.warn(check, startOne+", and brings the rest up to date", "values are kept for %s, expected %s", status.TTL(), want.TTL)
	default:
		x.r.ok(check, "%d values, %s", status.Values(), size(int64(status.Bytes()))) //nolint:gosec // no disk is that large
	}
}

// paused tells of each account, or app, that may not send now, as the senders wrote it.
func (x *busExamination) paused(ctx context.Context) {
	kv, err := x.js.KeyValue(ctx, topology.Accounts.Name)
	if err != nil {
		return // told of the bucket
	}
	keys, err := kv.Keys(ctx)
	if err != nil && !errors.Is(err, jetstream.ErrNoKeysFound) {
		x.r.problem(pausedCheck, "see the NATS server's log", "%v", err)
		return
	}
	none := true
	for _, key := range keys {
		entry, err := kv.Get(ctx, key)
		var s accounts.State
		if err != nil || json.Unmarshal(entry.Value(), &s) != nil || s.Pause == nil {
			continue
		}
		none = false
		level := Problem
		if s.Pause.Class == graph.ClassRateLimited.String() {
			level = Warning // it passes by itself
		}
		x.r.add(pausedCheck, level, s.Pause.WhatToDo, "%s has been paused since %s (%s): %s; %d replies wait", cmp.Or(s.Account, "app "+s.App),
			s.Pause.Since.Format(time.RFC3339), s.Pause.Class, s.Pause.Reason, s.Parked)
	}
	if none {
		x.r.ok(pausedCheck, "none")
	}
}
