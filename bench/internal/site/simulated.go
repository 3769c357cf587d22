package site

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-dm/parley/pkg/run/child"
)

const (
	// graphDelay is how long the simulator's Send API takes.
	graphDelay = "80ms"
	// texts are how many there are that customers write in turn, each with a reply of its own.
	texts = "10"
)

// Simulated starts all services as one process with the simulator as its Meta, which sends echoes and judges every message, and
// makes the rules that Customers needs.
func (s *Site) Simulated(ctx context.Context) (*Installation, error) {
	i := &Installation{}
	if err := s.simulated(ctx, i); err != nil {
		return nil, errors.Join(err, i.Stop())
	}
	return i, nil
}

func (s *Site) simulated(ctx context.Context, i *Installation) (err error) {
	if i.Webhooks, err = child.FreeAddr(ctx); err != nil {
		return err
	}
	addr, err := child.FreeAddr(ctx)
	if err != nil {
		return err
	}
	admin, err := child.FreeAddr(ctx)
	if err != nil {
		return err
	}
	i.simulator = "http://" + addr
	// All customers write to one account, faster than Meta allows it: see settings.
	err = s.start(ctx, i, s.child(ProgramSimulator, admin, filepath.Join(s.dir, ProgramSimulator), []string{
		"SIMULATOR_ADDR=" + addr, "ADMIN_ADDR=" + admin, "WEBHOOK_URL=http://" + i.Webhooks + "/webhooks/instagram", "FACEBOOK_APP_SECRET=" + Secret.Reveal(),
		"INSTAGRAM_PAGE_ID=" + Account, "INSTAGRAM_PAGE_ACCESS_TOKEN=" + token, "GRAPH_DELAY=" + graphDelay, "GRAPH_RATE=0",
	}))
	if err != nil {
		return err
	}
	// The rules first: a responder that starts without them hears of them at once, but after the first customer, who would be
	// answered by the fallback.
	if i.Database, err = s.Database(ctx); err != nil {
		return err
	}
	if err := s.rules(ctx, i.Database); err != nil {
		return fmt.Errorf("make rules: %w", err)
	}
	return s.single(ctx, i, i.simulator, false)
}

// rules makes the rules that Customers needs.
func (s *Site) rules(ctx context.Context, database string) error {
	statements, err := s.load(ctx, "--print-rules")
	if err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, database)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, string(statements))
	return err
}

// Judged is the simulator's verdict over a load.
type Judged struct {
	Good                                             bool
	Sent, Answered, Missing, Doubled, Swapped, Wrong int
	P50, P99                                         wait
	// Faults are what is wrong, the first hundred.
	Faults []Fault
}

// Fault is a message without its reply, or a reply that should not be.
type Fault struct {
	Kind, Customer string
	// Number counts, from 1, the customer's messages for missing, the replies otherwise.
	Number      int
	At          time.Time
	Expect, Got string
}

// String is a line about it.
func (f Fault) String() string {
	return fmt.Sprintf("%s: number %d of customer %s, %s, expected %q, got %q", f.Kind, f.Number, f.Customer, f.At.Format(time.RFC3339Nano), f.Expect, f.Got)
}

// wait is the time from a message to its reply, which the simulator tells as "81.5ms".
type wait time.Duration

// UnmarshalText reads it.
func (w *wait) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	*w = wait(d)
	return err
}

// Customers has so many write at a rate, in messages a second over all of them, to a Simulated installation, and gives the
// verdict when the last reply is there.
func (s *Site) Customers(ctx context.Context, i *Installation, customers int, rate float64, lasts time.Duration) (Judged, error) {
	out, err := s.load(ctx, "--simulator", i.simulator, "--json", "--customers", strconv.Itoa(customers),
		"--rate", strconv.FormatFloat(rate, 'g', -1, 64), "--for", lasts.String())
	var j Judged
	if decoding := json.Unmarshal(out, &j); decoding != nil {
		return j, fmt.Errorf("read the verdict: %w", errors.Join(decoding, err))
	}
	return j, nil // a bad verdict has an exit status, too
}

// load runs `simulator load` and gives its output.
func (s *Site) load(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(s.dir, ProgramSimulator), append([]string{"load", "--keywords", texts}, args...)...) //nolint:gosec // our own program
	cmd.Env = child.Environ()
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("simulator load: %w: %s", err, said.Bytes()[max(0, said.Len()-1000):])
	}
	return out, err
}
