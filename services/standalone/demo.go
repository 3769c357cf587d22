package standalone

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/postgres"
	"github.com/parley-dm/parley/pkg/postgres/pglocal"
	"github.com/parley-dm/parley/services/console"
	"github.com/parley-dm/parley/services/simulator"
	"github.com/parley-dm/parley/services/standalone/internal/datadir"
	"github.com/parley-dm/parley/services/standalone/internal/narrate"
	"github.com/parley-dm/parley/services/standalone/internal/ports"
	"github.com/parley-dm/parley/services/standalone/internal/shop"
)

const (
	demoNATS      = "127.0.0.1:4222"
	demoSimulator = "127.0.0.1:8082"
	// demoDatabase stands for the private server's URL until it runs.
	demoDatabase = "postgres://parley@localhost/parley"
)

// demoDefaults are the settings that the demo has and serve has not. The simulator's own defaults are the same.
func demoDefaults(env environment) []setting {
	out := []setting{
		{"LOG_LEVEL", "WARNING"},
		{"HOST", "127.0.0.1"}, // its app secret is known to everybody
		{"FACEBOOK_APP_SECRET", "demo-secret"},
		{"FACEBOOK_VERIFY_TOKEN", "demo-verify"},
		{"INSTAGRAM_PAGE_ID", "17841400000000001"},
		{"INSTAGRAM_PAGE_ACCESS_TOKEN", "demo-token"},
	}
	played := dialable(env.or("SIMULATOR_ADDR", demoSimulator))
	out = append(out, setting{"GRAPH_API_URL", "http://" + played}, setting{"SIMULATOR_URL", "http://" + played})
	if _, _, err := net.SplitHostPort(played); err == nil { // else SIMULATOR_ADDR is what is wrong, not what follows from it
		out = append(out, setting{"MEDIA_TRUSTED_HOSTS", played}, setting{"CONSOLE_MEDIA_HOSTS", "http://" + played})
	}
	port := env.or("PORT", "8000")
	if _, err := strconv.ParseUint(port, 10, 16); err == nil { // else PORT is what is wrong, not what follows from it
		out = append(out, setting{"WEBHOOK_URL", "http://" + dialable(net.JoinHostPort(env.get("HOST"), port)) + "/webhooks/instagram"})
	}
	return out
}

// dialable turns an address to listen on into one to connect to.
func dialable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr // Validate says what is wrong with it
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// demoVariables are all variables of `parley demo`.
func demoVariables() []config.Variable {
	all := union(serveVariables(), config.Variables[simulator.Config]())
	return assume(all, append(demoDefaults(nil),
		setting{"DATABASE_URL", "a private PostgreSQL"}, setting{"DATA_DIR", "a temporary folder"}, setting{"NATS_LISTEN", demoNATS + " where free"})...)
}

// DemoConfig is the settings of the demo.
type DemoConfig struct {
	Config
	Simulator simulator.Config

	env environment
	// ownDatabase: DATABASE_URL was not given. ownDir: DATA_DIR was not. ownNATS: neither NATS_URL nor NATS_LISTEN was.
	ownDatabase, ownDir, ownNATS bool
}

// LoadDemo reads the settings of `parley demo`: nothing is required.
func LoadDemo(environ []string) (DemoConfig, error) {
	env, unread := newEnvironment(environ, demoVariables())
	c := DemoConfig{
		env: env.with(demoDefaults(env)), ownDatabase: env.get("DATABASE_URL") == "", ownDir: env.get("DATA_DIR") == "",
		ownNATS: env.get("NATS_URL") == "" && env.get("NATS_LISTEN") == "",
	}
	return c, withUnread(unread, c.load(setting{"DATABASE_URL", demoDatabase}))
}

// load reads the settings with what has become known.
func (c *DemoConfig) load(more ...setting) error {
	env := c.env.with(more)
	cfg, err := load(env)
	ready := c.Ready
	c.Config = cfg
	c.Ready = ready
	var problems []error
	var several *config.Error
	if errors.As(err, &several) {
		problems = several.Problems
	}
	c.Simulator = read[simulator.Config](env, &problems)
	if len(problems) > 0 {
		return &config.Error{Problems: problems}
	}
	return nil
}

// Demo runs everything, with a private PostgreSQL and the simulator, until ctx ends, and tells out what happens. It leaves
// nothing behind but DATA_DIR, where one is given.
func Demo(ctx context.Context, cfg DemoConfig, out io.Writer) (err error) {
	d := &demo{cfg: cfg, out: out}
	if err := d.ports(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	if err := d.prepare(ctx); err != nil {
		return err
	}
	p, err := open(ctx, d.cfg.Config, d.dir)
	if err != nil {
		return err
	}
	d.closers = append(d.closers, p.Close)
	return d.run(ctx, p)
}

type demo struct {
	cfg     DemoConfig
	out     io.Writer
	dir     *datadir.Dir
	pg      *pglocal.Server
	moved   bool // NATS listens elsewhere, because its port is taken
	closers []func() error
}

// ports finds out whether all that the demo listens on is free, before anything slow.
func (d *demo) ports(ctx context.Context) error {
	if d.cfg.ownNATS {
		d.cfg.NATSListen = demoNATS
		if !ports.Free(ctx, demoNATS) {
			d.cfg.NATSListen, d.moved = "127.0.0.1:0", true
		}
	}
	return checkPorts(ctx, d.cfg.Config, ports.Port{What: "the simulator", Variable: "SIMULATOR_ADDR", Addr: d.cfg.Simulator.Addr})
}

// prepare makes the folder, the database and the rules.
func (d *demo) prepare(ctx context.Context) (err error) {
	if d.cfg.ownDir {
		d.dir, err = datadir.Temporary()
	} else {
		d.dir, err = datadir.Open(d.cfg.DataDir)
	}
	if err != nil {
		return err
	}
	d.closers = append(d.closers, d.dir.Close)
	found := []setting{{"DATA_DIR", d.dir.Path()}}
	if d.cfg.ownDatabase {
		if err := d.startPostgres(ctx); err != nil {
			return err
		}
		found = append(found, setting{"DATABASE_URL", d.pg.URL()})
	}
	listen := d.cfg.NATSListen
	if err := d.cfg.load(found...); err != nil {
		return err
	}
	d.cfg.NATSListen = listen
	db := d.cfg.Archiver.Database
	if _, _, err := postgres.Migrate(ctx, db); err != nil {
		return err
	}
	_, err = shop.Furnish(ctx, db)
	return err
}

func (d *demo) startPostgres(ctx context.Context) (err error) {
	say(d.out, "Starting a private PostgreSQL, NATS and all services …")
	o := pglocal.Options{Port: pglocal.AnyPort, Unsafe: d.dir.IsTemporary()}
	if !d.dir.IsTemporary() {
		o.Dir = d.dir.Join("postgres")
	}
	d.pg, err = pglocal.Start(ctx, o)
	if errors.Is(err, pglocal.ErrNotInstalled) {
		return fmt.Errorf("the demo needs PostgreSQL's programs.\n%w in DATABASE_URL", err)
	}
	if err != nil {
		return err
	}
	d.closers = append(d.closers, d.pg.Stop)
	return nil
}

// run runs the services, the simulator and the narrator.
func (d *demo) run(ctx context.Context, p *process) error {
	nc, err := p.client()
	if err != nil {
		return err
	}
	defer nc.Close()
	narrator, err := narrate.New(nc, d.out)
	if err != nil {
		return err
	}
	d.cfg.Simulator.Telemetry = p.tel.For("simulator")
	d.cfg.Simulator.ShutdownTimeout = stagesTimeout(d.cfg.ShutdownTimeout)
	ready := p.cfg.Ready
	p.cfg.Ready = func(r Running) {
		d.welcome(r, d.invitation(ctx, r))
		if ready != nil {
			ready(r)
		}
	}
	stages := []stage{{"announce", p.announce}, {"narrator", narrator.Run}}
	if d.pg != nil {
		stages = append(stages, stage{"postgresql", d.watchPostgres})
	}
	services := p.services()
	stages = append(stages, services[0]) // the archiver takes what all others say last
	stages = append(stages, stage{"simulator", func(ctx context.Context) error { return simulator.Run(ctx, d.cfg.Simulator) }})
	stages = append(stages, services[1:]...)
	goodbye := context.AfterFunc(ctx, func() { say(d.out, "Stopping …") })
	defer goodbye()
	return runStages(ctx, stages, stagesTimeout(d.cfg.ShutdownTimeout))
}

// watchPostgres ends when the private server does.
func (d *demo) watchPostgres(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-d.pg.Done():
		return errors.New("the private PostgreSQL ended by itself")
	}
}

// close ends what was prepared, the last first.
func (d *demo) close() error {
	var errs []error
	for i := len(d.closers) - 1; i >= 0; i-- {
		errs = append(errs, d.closers[i]())
	}
	return errors.Join(errs...)
}

// demoOwner is who the demo's link signs in.
const demoOwner = "demo@example.com"

// invitation is a one-time link to the console.
func (d *demo) invitation(ctx context.Context, r Running) string {
	public, err := d.cfg.Console.Public()
	if err == nil && d.cfg.Console.URL == "" {
		public, err = url.Parse("http://" + dialable(r.Console))
	}
	if err == nil {
		var link string
		link, err = console.AddUser(ctx, d.cfg.Archiver.Database, public, console.NewUser{Email: demoOwner, Name: "Demo", Role: "owner", By: "parley demo"})
		if err == nil {
			return link + "   (signs in once)"
		}
	}
	return fmt.Sprintf("http://%s/   (no link to sign in: %v)", dialable(r.Console), err)
}

// welcome says where everything is.
func (d *demo) welcome(r Running, console string) {
	webhooks := "http://" + dialable(r.Webhooks) + "/webhooks/instagram"
	say(d.out, "\nParley answers. Write to it as a customer:\n\n  Phone     http://%s/", dialable(d.cfg.Simulator.Addr))
	say(d.out, "  Console   %s", console)
	if d.cfg.env.get("FACEBOOK_APP_SECRET") == "demo-secret" {
		webhooks += "   (signed with the app secret demo-secret)"
	}
	say(d.out, "  Webhook   %s", webhooks)
	if d.pg != nil {
		say(d.out, "  Database  psql '%s'", d.pg.TCPURL())
	} else {
		say(d.out, "  Database  the one in DATABASE_URL")
	}
	if r.NATS != "" {
		note := ""
		if d.moved {
			note = "   (4222 is taken by another program)"
		}
		say(d.out, "  NATS      %s%s", r.NATS, note)
	}
	say(d.out, "  Metrics   http://%s/metrics", dialable(d.cfg.AdminAddr))
	kept := "Ctrl-C ends it and leaves nothing behind."
	if !d.dir.IsTemporary() {
		kept = "Ctrl-C ends it; everything is kept in " + short(d.dir.Path()) + "."
	}
	say(d.out, "\nAsk “price?”, or anything. The rules are the table response_rules: a change works at once. %s\n", kept)
}

// short is a path as one would type it.
func short(path string) string {
	wd, err := os.Getwd()
	if err != nil {
		return path
	}
	if rel, err := filepath.Rel(wd, path); err == nil && !strings.HasPrefix(rel, "..") {
		return "./" + rel
	}
	return path
}
