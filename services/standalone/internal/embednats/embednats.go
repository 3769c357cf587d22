// Package embednats runs a NATS server with JetStream inside this process, for installations of one server: nothing to
// install, nothing to listen on unless asked to.
//
// Clients in the process connect through [Server.InProcessConn]. Whoever starts it closes it last: stages that drain
// still need it.
package embednats

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	// maxPayload bounds one message: NATS advises against more, and its usual 1 MiB is less than a webhook may have.
	maxPayload = 8 << 20
	// maxMemory bounds streams in memory, of which Parley has none; by default the server reserves most of the machine's.
	maxMemory = 64 << 20
	// lowDisk is how little free disk is worth a warning.
	lowDisk = 1 << 30

	readyTimeout = 30 * time.Second
)

// Options says how to run the server.
type Options struct {
	// Dir is where JetStream keeps its files, in a folder "jetstream".
	Dir string
	// Listen is a host:port for clients outside this process; empty for none. Port 0 takes a free one.
	Listen string
	Sync   Sync
	// Reserve is what the streams may need on the disk at most. JetStream would refuse to make them on a smaller disk.
	Reserve int64
	Log     *slog.Logger
}

// Server is a running server.
type Server struct {
	nats *server.Server
	log  *logger
}

// Start starts the server and returns when it takes connections.
func Start(ctx context.Context, o Options) (*Server, error) {
	host, port, err := listenAddress(o.Listen)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder for JetStream: %w", err)
	}
	log := newLogger(o.Log)
	srv, err := server.NewServer(&server.Options{
		ServerName: "parley", DontListen: o.Listen == "", Host: host, Port: port,
		JetStream: true, StoreDir: o.Dir, JetStreamMaxStore: store(ctx, o), JetStreamMaxMemory: maxMemory, DisableJetStreamBanner: true,
		SyncInterval: o.Sync.Interval, SyncAlways: o.Sync.Always, MaxPayload: maxPayload, NoSigs: true, NoLog: true,
	})
	if err != nil {
		return nil, fmt.Errorf("start the embedded NATS server: %w", err)
	}
	srv.SetLogger(log, false, false)
	s := &Server{nats: srv, log: log}
	srv.Start()
	ready := log.failure() == nil && srv.ReadyForConnections(readyTimeout)
	if err := log.failure(); err != nil {
		s.Close()
		return nil, fmt.Errorf("start the embedded NATS server: %w", err)
	}
	if !ready || !srv.JetStreamEnabled() {
		s.Close()
		return nil, fmt.Errorf("start the embedded NATS server: not ready within %s", readyTimeout)
	}
	return s, nil
}

// InProcessConn is a connection without a socket; it makes the server a nats.InProcessConnProvider.
func (s *Server) InProcessConn() (net.Conn, error) { return s.nats.InProcessConn() }

// URL is where clients outside this process connect; empty when the server does not listen.
func (s *Server) URL() string {
	addr := s.nats.Addr()
	if addr == nil {
		return ""
	}
	return "nats://" + addr.String()
}

// Ready says whether the server runs and JetStream with it: it switches itself off when the disk is full.
func (s *Server) Ready(context.Context) error {
	if err := s.log.failure(); err != nil {
		return err
	}
	if !s.nats.Running() {
		return errors.New("the embedded NATS server does not run")
	}
	if !s.nats.JetStreamEnabled() {
		return errors.New("JetStream has switched itself off, as it does when the disk of DATA_DIR is full: make room and start again")
	}
	return nil
}

// Close stops the server and returns when everything is written.
func (s *Server) Close() {
	s.nats.Shutdown()
	s.nats.WaitForShutdown()
}

// store is JetStream's bound on the disk. It is never below what the streams may need at most: they are bounded
// themselves, and a small disk rarely meets their bounds. When a disk does fill up, JetStream refuses what it cannot keep.
func store(ctx context.Context, o Options) int64 {
	free := diskFree(o.Dir)
	if free >= 0 && free < lowDisk {
		o.Log.WarnContext(ctx, "nats.disk_low", "dir", o.Dir, "free_bytes", free)
	}
	const slack = 1 << 30 // buckets have no bound
	return max(free/4*3, o.Reserve+slack)
}

func listenAddress(listen string) (host string, port int, err error) {
	if listen == "" {
		return "", 0, nil
	}
	host, p, err := net.SplitHostPort(listen)
	if err != nil {
		return "", 0, fmt.Errorf("listen on %s: %w", listen, err)
	}
	port, err = strconv.Atoi(p)
	if err != nil {
		return "", 0, fmt.Errorf("listen on %s: %w", listen, err)
	}
	if host == "" {
		host = "0.0.0.0"
	}
	if port == 0 {
		port = server.RANDOM_PORT
	}
	return host, port, nil
}
