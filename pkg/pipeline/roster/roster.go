// Package roster is the list of the services that run: each writes a report of itself every few seconds, and whoever wants to know
// how the installation is reads them all.
//
// It decides nothing: readiness is each process's own, at ADMIN_ADDR. A report that is not renewed disappears by itself.
package roster

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"time"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/telemetry"
	"github.com/parley-dm/parley/pkg/topology"
)

// every is how often a report is written: two may be lost before a service is taken for gone. soon is how often as long as
// the service is not ready.
const (
	every = topology.RosterTTL / 3
	soon  = time.Second
)

// writeTimeout bounds one write.
const writeTimeout = 5 * time.Second

// Report is one service's report of itself.
type Report struct {
	Service string `json:"service"`
	// Instance tells the replicas of a service apart; Host is the machine or container.
	Instance string `json:"instance"`
	Host     string `json:"host"`
	Version  string `json:"version"`
	// Started is when the process did; At when the report was written, by the process's clock.
	Started time.Time `json:"started"`
	At      time.Time `json:"at"`
	// Ready: it can do its work; Checks are what it needs, and what is worth knowing besides.
	Ready  bool               `json:"ready"`
	Checks []telemetry.Result `json:"checks"`
	// Troubles are its latest errors, the newest first.
	Troubles []telemetry.Trouble `json:"troubles,omitempty"`
}

// Key is the report's in the bucket.
func (r Report) Key() string { return topology.Token(r.Service) + "." + topology.Token(r.Instance) }

// Announcer writes one service's reports.
type Announcer struct {
	bucket *bus.Bucket
	tel    *telemetry.Telemetry
	report Report
}

// NewAnnouncer makes one for a service; instance is unique among its replicas.
func NewAnnouncer(bucket *bus.Bucket, tel *telemetry.Telemetry, instance string) *Announcer {
	host, _ := os.Hostname() // without a name it is as good
	return &Announcer{bucket: bucket, tel: tel, report: Report{
		Service: tel.Service(), Instance: instance, Host: host, Version: version(), Started: time.Now().UTC(),
	}}
}

// version is what the program was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value[:min(12, len(s.Value))]
		}
	}
	return info.Main.Version
}

// Run reports until ctx ends, and then takes the report away.
func (a *Announcer) Run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			ready, err := a.write(ctx)
			if err != nil && ctx.Err() == nil {
				a.tel.Log.DebugContext(ctx, "roster.not_written", telemetry.KeyError, err) // whoever reads the roster sees that it is old
			}
			if timer.Reset(every); !ready {
				timer.Reset(soon)
			}
		case <-ctx.Done():
			a.leave(ctx)
			return
		}
	}
}

func (a *Announcer) write(ctx context.Context) (ready bool, err error) {
	r := a.report
	r.Checks, r.Ready = a.tel.Health.Run(ctx)
	r.Troubles, r.At = a.tel.Troubles(), time.Now().UTC()
	value, err := json.Marshal(r)
	if err != nil {
		return r.Ready, fmt.Errorf("encode a report: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	_, err = a.bucket.Put(ctx, r.Key(), value)
	return r.Ready, err
}

func (a *Announcer) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = a.bucket.Delete(ctx, a.report.Key()) // it disappears by itself
}

// List reads all reports, by service and instance.
func List(ctx context.Context, conn *bus.Conn) ([]Report, error) {
	bucket, err := bus.OpenBucket(ctx, conn, topology.Roster.Name)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var out []Report
	var bad error
	err = bucket.Watch(ctx, ">", func(e *bus.Entry) {
		if e == nil {
			cancel() // that was all there is
			return
		}
		if e.Deleted {
			return
		}
		var r Report
		if err := json.Unmarshal(e.Value, &r); err != nil {
			bad = errors.Join(bad, fmt.Errorf("report %s: %w", e.Key, err))
			return
		}
		out = append(out, r)
	})
	if err = errors.Join(err, bad); err != nil {
		return nil, fmt.Errorf("list the services: %w", err)
	}
	slices.SortFunc(out, func(a, b Report) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Instance, b.Instance))
	})
	return out, nil
}
