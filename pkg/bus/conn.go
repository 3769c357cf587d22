package bus

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// ConnConfig says how to reach the server.
type ConnConfig struct {
	// URL is one server or several, separated by commas. CredsFile is a NATS credentials file, if any.
	URL, CredsFile string
	// Name is shown in the server's list of connections.
	Name string
	// InProcess, when set, is the embedded server to talk to without a socket; URL is not used then.
	InProcess nats.InProcessConnProvider
	// Early: [Connect] returns at once when the server is away, and the connection is made when it comes; see [Conn.Reached]. Only
	// what waiting cannot mend is an error then: a refused password, a credentials file that is missing.
	Early  bool
	Logger *slog.Logger
}

// Conn is a connection to NATS. Publishers, subscribers and buckets share it; closing them does not close it.
type Conn struct {
	nc    *nats.Conn
	js    jetstream.JetStream
	tower *tower

	// reached is closed when the server was reached for the first time.
	reached chan struct{}
	once    sync.Once

	losses atomic.Uint64

	mu          sync.Mutex
	reconnected map[*func(outage time.Duration)]struct{}
	lostAt      time.Time // of the connection that is missing now
}

// errNotReached is what a connection says of itself until the server was reached for the first time.
var errNotReached = errors.New("NATS: not reached yet; see NATS_URL")

// Connect connects and goes on reconnecting for ever: a process outlives its server's restarts. Unless it may be early it fails
// when there is no server within 10 s, so that a wrong address is seen.
func Connect(ctx context.Context, cfg ConnConfig) (*Conn, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Conn{reconnected: map[*func(time.Duration)]struct{}{}, reached: make(chan struct{})}
	nc, err := dial(ctx, cfg, c.options(cfg))
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(5*time.Second))
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("connect to JetStream: %w", err)
	}
	c.mu.Lock() // the connection may break already
	c.nc, c.js, c.tower = nc, js, newTower(nc)
	c.mu.Unlock()
	if nc.IsConnected() {
		c.connected()
	}
	return c, nil
}

func (c *Conn) options(cfg ConnConfig) []nats.Option {
	opts := []nats.Option{
		nats.Name(cfg.Name), nats.MaxReconnects(-1), nats.ReconnectWait(100 * time.Millisecond), nats.ReconnectJitter(100*time.Millisecond, 200*time.Millisecond),
		nats.Timeout(5 * time.Second), nats.PingInterval(5 * time.Second), nats.MaxPingsOutstanding(2),
		// A write into a connection that has stalled holds everything up: not for the client's default of a minute.
		nats.FlusherTimeout(10 * time.Second),
		// Nothing is kept in a buffer while there is no connection: a publish that cannot go now is an error now.
		nats.ReconnectBufSize(-1),
		// Credentials that are refused may be good again a moment later, on a server that is being set up.
		nats.IgnoreAuthErrorAbort(),
		nats.ConnectHandler(func(*nats.Conn) { c.connected() }),
		nats.DisconnectErrHandler(func(nc *nats.Conn, err error) {
			c.disconnected()
			if !nc.IsClosed() { // by us
				cfg.Logger.Warn("bus.disconnected", "error", err)
			}
		}),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			subject := ""
			if sub != nil {
				subject = sub.Subject
			}
			cfg.Logger.Error("bus.error", "error", err, "subject", subject)
		}),
	}
	if cfg.CredsFile != "" {
		opts = append(opts, nats.UserCredentials(cfg.CredsFile))
	}
	if cfg.InProcess != nil {
		opts = append(opts, nats.InProcessServer(cfg.InProcess))
	}
	return append(opts, nats.ReconnectHandler(func(nc *nats.Conn) {
		cfg.Logger.Info("bus.reconnected", "server", nc.ConnectedServerId())
		c.tellReconnected()
	}))
}

func (c *Conn) connected() { c.once.Do(func() { close(c.reached) }) }

// onReconnect calls f after each reconnect, with the time that there was no connection, until the returned function is
// called.
func (c *Conn) onReconnect(f func(outage time.Duration)) (off func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reconnected[&f] = struct{}{}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.reconnected, &f)
	}
}

func (c *Conn) disconnected() {
	c.losses.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lostAt.IsZero() {
		c.lostAt = time.Now()
	}
	if c.tower != nil {
		c.tower.lost(nats.ErrDisconnected)
	}
}

func (c *Conn) tellReconnected() {
	c.mu.Lock()
	defer c.mu.Unlock()
	var outage time.Duration
	if !c.lostAt.IsZero() {
		outage = time.Since(c.lostAt)
	}
	c.lostAt = time.Time{}
	for f := range c.reconnected {
		go (*f)(outage)
	}
}

// dial connects, for as long as ctx lets it, to a server that may still be starting.
func dial(ctx context.Context, cfg ConnConfig, opts []nats.Option) (*nats.Conn, error) {
	deadline := time.Now().Add(10 * time.Second)
	for {
		nc, err := nats.Connect(cfg.URL, opts...)
		switch {
		case err == nil || hopeless(err):
			return nc, err
		case cfg.Early:
			return nats.Connect(cfg.URL, append(opts, nats.RetryOnFailedConnect(true))...)
		case time.Now().After(deadline):
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// hopeless says whether the same attempt cannot succeed later.
func hopeless(err error) bool {
	return errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthExpired) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission)
}

// Reached is closed when the server was reached for the first time.
func (c *Conn) Reached() <-chan struct{} { return c.reached }

// Connected says whether there is a connection now. Only [Conn.Ready] finds out whether the server answers on it.
func (c *Conn) Connected() bool { return c.nc.IsConnected() }

// Losses is how often a connection was lost: what was known by one that is gone may have changed since.
func (c *Conn) Losses() uint64 { return c.losses.Load() }

// Reconnect leaves a server that does not answer for the next one, where more than one is known. The client would find out by
// itself after ten seconds and more.
func (c *Conn) Reconnect() {
	if len(c.nc.Servers()) > 1 {
		_ = c.nc.ForceReconnect() // it fails only where there is no connection, or none is wanted any more
	}
}

// JetStream is the JetStream context of the connection.
func (c *Conn) JetStream() jetstream.JetStream { return c.js }

// Ready says whether the server answers.
func (c *Conn) Ready(ctx context.Context) error {
	if !c.nc.IsConnected() {
		return c.away()
	}
	if err := c.Flush(ctx); err != nil {
		return fmt.Errorf("NATS does not answer: %w", err)
	}
	return nil
}

// away says why there is no connection.
func (c *Conn) away() error {
	what := fmt.Errorf("NATS: %s", c.nc.Status())
	select {
	case <-c.reached:
	default:
		what = errNotReached
	}
	if err := c.nc.LastError(); err != nil { // such as refused credentials
		return fmt.Errorf("%w: %w", what, err)
	}
	return what
}

// Flush waits until the server has everything that was sent, acknowledgements included, for 5 s at most. It fails at once when
// there is no connection: what was sent on the last one has arrived or has not.
func (c *Conn) Flush(ctx context.Context) error {
	if !c.nc.IsConnected() {
		return fmt.Errorf("flush to NATS: %w", c.away())
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := c.nc.FlushWithContext(ctx); err != nil {
		return fmt.Errorf("flush to NATS: %w", err)
	}
	return nil
}

// Close ends the connection. Close publishers and subscribers first.
func (c *Conn) Close() { c.nc.Close() }
