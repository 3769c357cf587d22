// Package pglocal runs a private PostgreSQL server from the binaries that the machine has: for the demo, for tests and
// for benchmarks. It is not a way to run a production database.
//
// The server listens on a unix socket in a folder that only its own user may enter, and on a loopback port when asked
// for one, there with a password. It runs as an unprivileged user when started by root, ends when the process that
// started it ends, however that ends, and leaves nothing behind when its folder is temporary.
package pglocal

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	superuser = "parley"
	// socketPort names the socket's file where there is no TCP port, in a folder of its own.
	socketPort = 5432
	// stopTimeout is how long a stop waits before it uses force.
	stopTimeout = 20 * time.Second
	pollPeriod  = 20 * time.Millisecond
)

// AnyPort asks for a free loopback port.
const AnyPort = -1

// Options says what to start. The zero value is a temporary server on a unix socket.
type Options struct {
	// Dir is where the data is kept, and found again at the next start. Empty: a temporary folder, removed by Stop.
	Dir string
	// Port is a loopback TCP port to listen on beside the socket, AnyPort a free one, 0 none.
	Port int
	// Database is created if it is missing; "parley" if empty.
	Database string
	// Unsafe writes without waiting for the disk. Only for data that may be lost: tests and temporary demos.
	Unsafe bool
	// Settings are further settings of postgresql.conf.
	Settings map[string]string
}

// Server is a running server.
type Server struct {
	opts     Options
	bin      binaries
	user     *account
	socket   string
	data     string
	log      string
	port     int
	password string
	temp     []string
	process  *process
	stop     sync.Once
	stopErr  error
}

// Start starts a server and waits until it takes connections.
func Start(ctx context.Context, o Options) (*Server, error) {
	if o.Database == "" {
		o.Database = superuser
	}
	bin, err := findBinaries()
	if err != nil {
		return nil, err
	}
	user, err := unprivileged()
	if err != nil {
		return nil, err
	}
	s := &Server{opts: o, port: o.Port}
	if err := s.start(ctx, bin, user); err != nil {
		return nil, errors.Join(fmt.Errorf("start a private PostgreSQL: %w", err), s.Stop())
	}
	return s, nil
}

// URL is where to connect: the unix socket, which needs no password.
func (s *Server) URL() string { return s.DatabaseURL(s.opts.Database) }

// DatabaseURL is URL for another database of the server.
func (s *Server) DatabaseURL(database string) string {
	q := url.Values{"host": {s.socket}, "port": {s.portSetting()}, "user": {superuser}}
	return "postgres:///" + url.PathEscape(database) + "?" + q.Encode()
}

// TCPURL is where to connect over the loopback port; empty without one. It holds a password made at this start.
func (s *Server) TCPURL() string {
	if s.port == 0 {
		return ""
	}
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(superuser, s.password), Path: "/" + s.opts.Database,
		Host: "127.0.0.1:" + strconv.Itoa(s.port), RawQuery: "sslmode=disable",
	}
	return u.String()
}

// Done is closed when the server has ended, by Stop or by itself.
func (s *Server) Done() <-chan struct{} { return s.process.done }

// Stop ends the server: connections are closed, everything is written. A temporary folder is removed. It may be called
// again.
func (s *Server) Stop() error {
	s.stop.Do(func() {
		var errs []error
		if s.process != nil {
			errs = append(errs, s.process.stop())
		}
		for _, dir := range s.temp {
			errs = append(errs, os.RemoveAll(dir))
		}
		s.stopErr = errors.Join(errs...)
	})
	return s.stopErr
}

func (s *Server) start(ctx context.Context, bin binaries, user *account) error {
	dir, err := s.folders(user)
	if err != nil {
		return err
	}
	s.data = filepath.Join(dir, "data")
	if bin, err = bin.forData(s.data); err != nil {
		return err
	}
	if err := initialise(ctx, bin, user, s.data, len(s.temp) > 1 || s.opts.Unsafe); err != nil {
		return err
	}
	if s.port == AnyPort {
		if s.port, err = freePort(ctx); err != nil {
			return err
		}
	}
	if err := s.configure(); err != nil {
		return err
	}
	s.bin, s.user, s.log = bin, user, filepath.Join(dir, "postgres.log")
	if err := os.Remove(s.log); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err // of a former start
	}
	return s.launch(ctx)
}

// launch runs the server on data that is configured.
func (s *Server) launch(ctx context.Context) (err error) {
	if s.process, err = launch(s.bin, s.user, launchSpec{data: s.data, logFile: s.log, remove: s.temp}); err != nil {
		return err
	}
	if err := s.ready(ctx); err != nil {
		return fmt.Errorf("%w%s", err, logTail(s.log))
	}
	return nil
}

// folders makes the socket's folder, always temporary because a socket's path may have about 100 bytes only, and finds
// or makes the data's.
func (s *Server) folders(user *account) (string, error) {
	parent := os.TempDir()
	if len(parent) > 60 {
		parent = "/tmp"
	}
	socket, err := os.MkdirTemp(parent, "parley-pg-")
	if err != nil {
		return "", fmt.Errorf("make a folder for the socket: %w", err)
	}
	s.socket, s.temp = socket, append(s.temp, socket)
	if err := user.own(socket); err != nil {
		return "", err
	}
	dir := s.opts.Dir
	if dir == "" {
		if dir, err = os.MkdirTemp("", "parley-pgdata-"); err != nil {
			return "", fmt.Errorf("make a folder for the data: %w", err)
		}
		s.temp = append(s.temp, dir)
	} else if dir, err = filepath.Abs(dir); err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("make the folder for the data: %w", err)
	}
	if err := user.own(dir); err != nil {
		return "", err
	}
	return dir, user.reach(dir)
}

// configure writes the settings of this start, and who may connect how, over those of the last.
func (s *Server) configure() error {
	settings := map[string]string{
		"listen_addresses": "", "port": s.portSetting(), "unix_socket_directories": s.socket,
		"unix_socket_permissions": "0700", "log_min_messages": "warning", "log_destination": "stderr",
		"password_encryption": "scram-sha-256", "timezone": "UTC", "log_timezone": "UTC",
	}
	hba := rule("local", "", "trust")
	if s.port > 0 {
		settings["listen_addresses"] = "127.0.0.1"
		hba += rule("host", "127.0.0.1/32", "scram-sha-256")
		s.password = rand.Text()
	}
	if s.opts.Unsafe {
		settings["fsync"], settings["synchronous_commit"], settings["full_page_writes"] = "off", "off", "off"
	}
	for k, v := range s.opts.Settings {
		settings[k] = v
	}
	var conf strings.Builder
	for k, v := range settings {
		fmt.Fprintf(&conf, "%s = '%s'\n", k, strings.ReplaceAll(v, "'", "''"))
	}
	return errors.Join(
		os.WriteFile(filepath.Join(s.data, "postgresql.auto.conf"), []byte(conf.String()), 0o600),
		os.WriteFile(filepath.Join(s.data, "pg_hba.conf"), []byte(hba), 0o600),
	)
}

// rule is a line of pg_hba.conf for every database and every user.
func rule(kind, address, method string) string {
	const every = "all"
	return strings.Join([]string{kind, every, every, address, method}, " ") + "\n"
}

// portSetting is the server's port, which also names the socket's file.
func (s *Server) portSetting() string {
	if s.port > 0 {
		return strconv.Itoa(s.port)
	}
	return strconv.Itoa(socketPort)
}

// ready waits until the server takes connections, and sets the password and the database of this start.
func (s *Server) ready(ctx context.Context) error {
	tick := time.NewTicker(pollPeriod)
	defer tick.Stop()
	for {
		conn, err := pgx.Connect(ctx, s.DatabaseURL("postgres"))
		if err == nil {
			return errors.Join(s.prepare(ctx, conn), conn.Close(ctx))
		}
		select {
		case <-tick.C:
		case <-s.process.done:
			return errors.New("it ended at once")
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		}
	}
}

func (s *Server) prepare(ctx context.Context, conn *pgx.Conn) error {
	if s.password != "" {
		if _, err := conn.Exec(ctx, fmt.Sprintf("ALTER ROLE %s PASSWORD '%s'", superuser, s.password)); err != nil {
			return fmt.Errorf("set the password: %w", err)
		}
	}
	var exists bool
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", s.opts.Database).Scan(&exists); err != nil {
		return fmt.Errorf("look for the database: %w", err)
	}
	if exists {
		return nil
	}
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{s.opts.Database}.Sanitize()); err != nil {
		return fmt.Errorf("create the database: %w", err)
	}
	return nil
}

// initialise makes the data folder, unless a former start did. It is made beside its place and renamed when whole, so
// that an interrupted start leaves nothing that looks like data.
func initialise(ctx context.Context, bin binaries, user *account, data string, noSync bool) error {
	if _, err := os.Stat(filepath.Join(data, "PG_VERSION")); err == nil {
		return nil
	}
	making := data + ".new"
	if err := os.RemoveAll(making); err != nil {
		return err
	}
	args := []string{
		"--pgdata", making, "--username", superuser, "--encoding", "UTF8", "--locale", "C",
		"--auth", "trust", "--no-instructions", // configure says who may connect, before the first start
	}
	if noSync {
		args = append(args, "--no-sync")
	}
	cmd := exec.CommandContext(ctx, bin.initdb, args...)
	cmd.Dir, cmd.Env, cmd.SysProcAttr = filepath.Dir(data), environment(), user.attributes()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return os.Rename(making, data)
}

// environment is what the server's programs get: nothing of ours, where PG* variables would change what they do.
func environment() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"} //nolint:forbidigo // handed on, not a setting
}

func logTail(file string) string {
	b, err := os.ReadFile(file)
	if err != nil || len(b) == 0 {
		return ""
	}
	return "; its log ends with: " + strings.TrimSpace(string(b[max(0, len(b)-2000):]))
}
