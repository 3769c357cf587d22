// Package site sets up what is measured: a PostgreSQL and a nats-server as separate processes, and Parley's services on
// them, as separate processes or as one. Everything is on loopback, in a temporary folder, and ended at the end.
package site

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-dm/parley/bench/internal/machine"
	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/postgres"
	"github.com/parley-dm/parley/pkg/postgres/pglocal"
	"github.com/parley-dm/parley/pkg/run/child"
)

// What the installation is configured with.
const (
	Account = "17841400000000001"
	Secret  = config.Secret("bench-app-secret")
	token   = "bench-token"
)

const (
	readyTimeout = time.Minute
	stopTimeout  = 30 * time.Second
)

// Site is the folder, the binaries and the database server that all measures share.
type Site struct {
	dir       string
	self      string // this program, which plays the bare handler and the profiled parley
	extra     []string
	postgres  *pglocal.Server
	databases int
	children  int
}

// Options says what to set up.
type Options struct {
	// Repository is the folder with go.work.
	Repository string
	// Self is this program's file.
	Self string
	// Programs are those that are needed.
	Programs []string
	// Settings are set for the services besides what they need, as NAME=value; GOGC and the like too.
	Settings []string
}

// The programs.
const (
	ProgramNATS      = "nats-server"
	ProgramParley    = "parley"
	ProgramSimulator = "simulator"
)

func packageOf(program string) string {
	switch program {
	case ProgramNATS:
		return "github.com/nats-io/nats-server/v2"
	case ProgramParley:
		return "./services/standalone/cmd/parley"
	default:
		return "./services/" + program + "/cmd/" + program
	}
}

// Open builds the programs and starts PostgreSQL, with PostgreSQL's own defaults: it waits for the disk.
func Open(ctx context.Context, o Options) (s *Site, err error) {
	dir, err := os.MkdirTemp("", "parley-bench-")
	if err != nil {
		return nil, fmt.Errorf("make the bench's folder: %w", err)
	}
	s = &Site{dir: dir, self: o.Self, extra: o.Settings}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close(false))
		}
	}()
	if len(o.Programs) > 0 {
		packages := make([]string, len(o.Programs))
		for i, name := range o.Programs {
			packages[i] = packageOf(name)
		}
		if err := child.Build(ctx, o.Repository, dir, packages...); err != nil {
			return s, err
		}
	}
	s.postgres, err = pglocal.Start(ctx, pglocal.Options{Dir: filepath.Join(dir, "postgres")})
	return s, err
}

// PostgresCPU is the time that PostgreSQL's processes have used so far; 0 where the system does not tell.
func (s *Site) PostgresCPU(ctx context.Context) time.Duration {
	conn, err := pgx.Connect(ctx, s.postgres.URL())
	if err != nil {
		return 0
	}
	defer func() { _ = conn.Close(ctx) }()
	var backend int
	if err := conn.QueryRow(ctx, "SELECT pg_backend_pid()").Scan(&backend); err != nil {
		return 0
	}
	postmaster, err := machine.Parent(backend)
	if err != nil {
		return 0
	}
	return machine.Spent(postmaster)
}

// TakePostgresAway kills PostgreSQL, BringPostgresBack starts it again with what it had.
func (s *Site) TakePostgresAway(ctx context.Context) error { return s.postgres.Crash(ctx) }

// BringPostgresBack is the end of TakePostgresAway.
func (s *Site) BringPostgresBack(ctx context.Context) error { return s.postgres.Restart(ctx) }

// Dir is the folder that all logs and data are in.
func (s *Site) Dir() string { return s.dir }

// Close ends PostgreSQL and removes the folder, unless it is to be kept for somebody who looks into what went wrong.
func (s *Site) Close(keep bool) error {
	var err error
	if s.postgres != nil {
		err = s.postgres.Stop()
	}
	if keep {
		return err
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}

// Database makes an empty database with the current schema and gives its URL.
func (s *Site) Database(ctx context.Context) (string, error) {
	s.databases++
	name := fmt.Sprintf("bench_%d", s.databases)
	conn, err := pgx.Connect(ctx, s.postgres.URL())
	if err != nil {
		return "", fmt.Errorf("make a database: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()); err != nil {
		return "", fmt.Errorf("make a database: %w", err)
	}
	url := s.postgres.DatabaseURL(name)
	_, _, err = postgres.Migrate(ctx, config.Database{URL: config.Secret(url)})
	return url, err
}

// NATS starts a nats-server with an empty store.
func (s *Site) NATS(ctx context.Context) (*child.Child, string, error) {
	addr, err := child.FreeAddr(ctx)
	if err != nil {
		return nil, "", err
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, "", err
	}
	c := s.child("nats-server", "", filepath.Join(s.dir, "nats-server"), nil)
	c.Args = []string{"-a", "127.0.0.1", "-p", port, "-js", "-sd", c.Log + ".data"}
	if err := c.Start(); err != nil {
		return nil, "", err
	}
	return c, "nats://" + addr, listens(ctx, addr)
}

// listens waits until somebody takes connections.
func listens(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("nothing listens on %s: %w", addr, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// child prepares a program with a log and, if it has one, an admin address.
func (s *Site) child(name, admin, path string, env []string) *child.Child {
	s.children++
	log := filepath.Join(s.dir, fmt.Sprintf("%02d-%s.log", s.children, name))
	return child.New(child.Spec{
		Name: name, Path: path, Env: append(append(child.Environ(), "SPOOL_DIR="+spool(log)), env...), Admin: admin, Log: log,
	})
}

// spool is the folder beside a log that ingress keeps webhooks in while the bus is away.
func spool(log string) string { return log + ".spool" }
