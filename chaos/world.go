package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/parley-dm/parley/pkg/postgres/pglocal"
	"github.com/parley-dm/parley/pkg/run/child"
)

const (
	appSecret    = "chaos-secret"
	readyTimeout = time.Minute
	// stopTimeout is more than SHUTDOWN_TIMEOUT: a process that needs it hangs.
	stopTimeout = 35 * time.Second
)

// world is everything that a run starts.
type world struct {
	o   options
	dir string
	out io.Writer
	// begin is when the run did, began when the load did, which the schedule counts from.
	begin, began time.Time

	natsURL  string
	postgres *pglocal.Server
	meta     *meta
	members  []*member
	closers  []func()

	places sync.Map // of what is in trouble now

	mu      sync.Mutex
	lines   []string
	notes   []string // what happened that should not have, without harm to a message
	crashes []string // what must never happen
}

// programs are the packages that are built.
var programs = []string{
	"github.com/nats-io/nats-server/v2", "./services/ingress/cmd/ingress", "./services/responder/cmd/responder",
	"./services/sender/cmd/sender", "./services/archiver/cmd/archiver", "./services/simulator/cmd/simulator",
}

// newWorld builds the programs and starts everything. The caller closes it, also after an error.
func newWorld(ctx context.Context, o options, out io.Writer) (*world, error) {
	w := &world{o: o, out: out, begin: time.Now(), dir: o.dir}
	if w.dir == "" {
		dir, err := os.MkdirTemp("", "parley-chaos-")
		if err != nil {
			return w, fmt.Errorf("make the run's folder: %w", err)
		}
		w.dir = dir
	}
	repository, err := child.Repository(".")
	if err != nil {
		return w, err
	}
	if found, _ := filepath.Glob(filepath.Join(w.dir, "*")); len(found) > 0 {
		return w, fmt.Errorf("-dir: %s is not empty: what a former run left would be judged with this one", w.dir)
	}
	for _, sub := range []string{"bin", "log", "data"} {
		if err := os.MkdirAll(filepath.Join(w.dir, sub), 0o755); err != nil { //nolint:gosec // logs of played messages are no secret
			return w, err
		}
	}
	w.say("building")
	if err := child.Build(ctx, repository, filepath.Join(w.dir, "bin"), programs...); err != nil {
		return w, err
	}
	if err := w.startDatabase(ctx); err != nil {
		return w, err
	}
	if err := w.startNATS(ctx); err != nil {
		return w, err
	}
	if err := w.startServices(ctx); err != nil {
		return w, err
	}
	return w, nil
}

// startServices starts the simulator and two of each service, and waits until all can do their work.
func (w *world) startServices(ctx context.Context) error {
	b, err := newBalancer(ctx)
	if err != nil {
		return err
	}
	w.closers = append(w.closers, b.close)
	graph, err := w.startSimulator(ctx, b.url()+"/webhooks/instagram")
	if err != nil {
		return err
	}
	common, err := w.settings(graph)
	if err != nil {
		return err
	}
	for _, service := range services {
		for n := 1; n <= w.o.replicas(service); n++ {
			name := fmt.Sprintf("%s-%d", service, n)
			env := common
			if service == "ingress" {
				addr, err := freeAddr(ctx)
				if err != nil {
					return err
				}
				b.add(addr)
				env = append(env[:len(env):len(env)], "HOST="+hostOf(addr), "PORT="+portOf(addr), "SPOOL_DIR="+filepath.Join(w.dir, "data", name+"-spool"))
			}
			if err := w.start(ctx, name, service, env); err != nil {
				return err
			}
		}
	}
	for _, m := range w.members {
		if err := m.ready(ctx); err != nil {
			return err
		}
		m.supervise(w)
	}
	return nil
}

// settings are what the services share. Everything that is not needed to find each other is at its default: it is the
// defaults that keep the promise.
func (w *world) settings(graph string) ([]string, error) {
	accounts := filepath.Join(w.dir, "data", "accounts.yml")
	text := "accounts:\n"
	for n := range w.o.accounts {
		text += fmt.Sprintf("  - {id: %q, token: %q}\n", account(n), token(n))
	}
	if err := os.WriteFile(accounts, []byte(text), 0o600); err != nil {
		return nil, err
	}
	env := append(child.Environ(), "NATS_URL="+w.natsURL, "DATABASE_URL="+w.postgres.URL(), "GRAPH_API_URL="+graph, "ACCOUNTS_FILE="+accounts,
		"FACEBOOK_APP_SECRET="+appSecret, "FACEBOOK_VERIFY_TOKEN=verify", "LOG_FORMAT=json",
		// One customer writes more here than any person does.
		"MAX_REPLIES_PER_MINUTE=0")
	if w.o.nodes > 1 {
		env = append(env, fmt.Sprintf("NATS_REPLICAS=%d", w.o.nodes))
	}
	return env, nil
}

// startSimulator starts the played Meta, which is the judge's witness and therefore comes to no harm.
func (w *world) startSimulator(ctx context.Context, webhooks string) (graph string, err error) {
	addr, err := freeAddr(ctx)
	if err != nil {
		return "", err
	}
	more := ""
	for n := 1; n < w.o.accounts; n++ {
		more += fmt.Sprintf("%s:%s,", account(n), token(n))
	}
	env := append(child.Environ(), "SIMULATOR_ADDR="+addr, "WEBHOOK_URL="+webhooks, "FACEBOOK_APP_SECRET="+appSecret, "INSTAGRAM_PAGE_ID="+account(0),
		"INSTAGRAM_PAGE_ACCESS_TOKEN="+token(0), "SIMULATOR_ACCOUNTS="+more, "WEBHOOK_RETRY_MAX=2s", "WEBHOOK_CONCURRENCY=256",
		fmt.Sprintf("FAULT_SEED=%d", w.o.seed), "LOG_FORMAT=json")
	if err := w.start(ctx, "simulator", "simulator", env); err != nil {
		return "", err
	}
	w.meta = newMeta("http://" + addr)
	return w.meta.url, nil
}

// start starts a program that has an admin address.
func (w *world) start(ctx context.Context, name, program string, env []string) error {
	admin, err := freeAddr(ctx)
	if err != nil {
		return err
	}
	m := w.add(child.Spec{Name: name, Path: program, Env: append(env[:len(env):len(env)], "ADMIN_ADDR="+admin), Admin: admin})
	return m.Start()
}

// add makes a member of the installation; Path is a program's name.
func (w *world) add(s child.Spec) *member {
	s.Path = filepath.Join(w.dir, "bin", s.Path)
	s.Log = filepath.Join(w.dir, "log", s.Name+".log")
	m := &member{Child: child.New(s)}
	w.members = append(w.members, m)
	return m
}

func (w *world) named(name string) *member {
	for _, m := range w.members {
		if m.Name == name {
			return m
		}
	}
	return nil
}

// say prints a line with the time since the load began, and keeps it: it is part of the schedule as it happened.
func (w *world) say(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	line := fmt.Sprintf("%7.1fs  %s", time.Since(w.begin).Seconds(), fmt.Sprintf(format, args...))
	w.lines = append(w.lines, line)
	_, _ = fmt.Fprintln(w.out, line)
}

// begun makes now the time that the schedule counts from.
func (w *world) begun() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.began = time.Now()
	w.begin = w.began
}

// note keeps what should not have happened; crash what must not.
func (w *world) note(format string, args ...any) {
	w.say(format, args...)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.notes = append(w.notes, fmt.Sprintf(format, args...))
}

func (w *world) crash(format string, args ...any) {
	w.say(format, args...)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.crashes = append(w.crashes, fmt.Sprintf(format, args...))
}

// close ends everything, the services first, and removes the folder unless it is wanted.
func (w *world) close(keep bool) error {
	var errs []error
	for _, m := range w.members {
		m.dismiss()
	}
	for i := len(w.members) - 1; i >= 0; i-- {
		if m := w.members[i]; m.Running() {
			_ = m.Signal(goOn)
			if _, err := m.Terminate(stopTimeout); err != nil && !isNATS(m.Name) {
				errs = append(errs, err)
			}
		}
	}
	for i := len(w.closers) - 1; i >= 0; i-- {
		w.closers[i]()
	}
	switch {
	case w.o.dir != "" || keep:
		w.say("logs and data are in %s", w.dir)
	case w.dir != "":
		errs = append(errs, os.RemoveAll(w.dir))
	}
	return errors.Join(errs...)
}
