package site

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"github.com/parley-dm/parley/bench/internal/machine"
	"github.com/parley-dm/parley/pkg/run/child"
)

// Installation is a Parley that runs.
type Installation struct {
	// Webhooks is the address that ingress listens on, Database the URL of its rows, NATS that of its bus, where it listens.
	Webhooks, Database, NATS string
	// One is the process of all services, when there is one; Pprof where it tells its profiles, if it does.
	One   *child.Child
	Pprof string
	// Data and Spool are the folders of the one process: of its bus, and of what ingress keeps while that is away.
	Data, Spool string

	simulator string // its URL, if there is one
	children  []*child.Child
}

// CPU is the time that its processes have used so far.
func (i *Installation) CPU() time.Duration {
	pids := make([]int, len(i.children))
	for n, c := range i.children {
		pids[n] = c.PID()
	}
	return machine.Spent(pids...)
}

// Stop ends its processes, the last one first.
func (i *Installation) Stop() error {
	var errs []error
	for n := len(i.children) - 1; n >= 0; n-- {
		if i.children[n].Running() {
			_, err := i.children[n].Terminate(stopTimeout)
			errs = append(errs, err)
		}
	}
	i.children = nil
	return errors.Join(errs...)
}

// Admin is the admin address of a service of the installation; empty when it has none of that name.
func (i *Installation) Admin(service string) string {
	for _, c := range i.children {
		if c.Name == service {
			return c.Spec.Admin
		}
	}
	return ""
}

// Separate starts a nats-server and the named services, each as a process of its own, on it.
func (s *Site) Separate(ctx context.Context, graphURL string, services ...string) (*Installation, error) {
	i := &Installation{}
	if err := s.separate(ctx, i, graphURL, services); err != nil {
		return nil, errors.Join(err, i.Stop())
	}
	return i, nil
}

func (s *Site) separate(ctx context.Context, i *Installation, graphURL string, services []string) (err error) {
	nats, url, err := s.NATS(ctx)
	if nats != nil {
		i.children = append(i.children, nats)
	}
	if err != nil {
		return err
	}
	i.NATS = url
	if i.Database, err = s.Database(ctx); err != nil {
		return err
	}
	for _, service := range services {
		if err := s.Add(ctx, i, service, graphURL); err != nil {
			return err
		}
	}
	return nil
}

// Add starts one more service of an installation of separate processes and waits until it can do its work.
func (s *Site) Add(ctx context.Context, i *Installation, service, graphURL string) error {
	admin, env, err := s.settings(ctx, i, graphURL)
	if err != nil {
		return err
	}
	return s.start(ctx, i, s.child(service, admin, filepath.Join(s.dir, service), append(env, "NATS_URL="+i.NATS)))
}

// Single starts all services as one process, `parley serve`, with the NATS server in it. With profiled it is this program
// that plays parley, from the same code, and tells its profiles.
func (s *Site) Single(ctx context.Context, graphURL string, profiled bool) (*Installation, error) {
	database, err := s.Database(ctx)
	if err != nil {
		return nil, err
	}
	i := &Installation{Database: database}
	if err := s.single(ctx, i, graphURL, profiled); err != nil {
		return nil, errors.Join(err, i.Stop())
	}
	return i, nil
}

// single starts the one process of an installation that has its database.
func (s *Site) single(ctx context.Context, i *Installation, graphURL string, profiled bool) error {
	admin, env, err := s.settings(ctx, i, graphURL)
	if err != nil {
		return err
	}
	c := s.child("parley", admin, filepath.Join(s.dir, "parley"), env)
	i.Data, i.Spool = c.Log+".data", spool(c.Log)
	c.Env = append(c.Env, "DATA_DIR="+i.Data)
	c.Args = []string{"serve"}
	if profiled {
		if i.Pprof, err = child.FreeAddr(ctx); err != nil {
			return err
		}
		c.Path, c.Args = s.self, []string{"parley", i.Pprof}
	}
	i.One = c
	return s.start(ctx, i, c)
}

// Bare starts the handler that ingress is compared with.
func (s *Site) Bare(ctx context.Context) (*Installation, error) {
	addr, err := child.FreeAddr(ctx)
	if err != nil {
		return nil, err
	}
	i := &Installation{Webhooks: addr}
	if err := s.start(ctx, i, s.child("bare", addr, s.self, nil), "bare", addr, Secret.Reveal()); err != nil {
		return nil, errors.Join(err, i.Stop())
	}
	return i, nil
}

func (s *Site) start(ctx context.Context, i *Installation, c *child.Child, args ...string) error {
	if len(args) > 0 {
		c.Args = args
	}
	if err := c.Start(); err != nil {
		return err
	}
	i.children = append(i.children, c)
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	return c.Ready(ctx)
}

// settings are the variables that the services share. Replies of one account are not slowed down to Meta's rate, and many
// customers write through one.
func (s *Site) settings(ctx context.Context, i *Installation, graphURL string) (admin string, env []string, err error) {
	if admin, err = child.FreeAddr(ctx); err != nil {
		return "", nil, err
	}
	if i.Webhooks == "" {
		if i.Webhooks, err = child.FreeAddr(ctx); err != nil {
			return "", nil, err
		}
	}
	host, port, err := net.SplitHostPort(i.Webhooks)
	if err != nil {
		return "", nil, err
	}
	return admin, append([]string{
		"HOST=" + host, "PORT=" + port, "ADMIN_ADDR=" + admin, "CONSOLE_ADDR=127.0.0.1:0", "DATABASE_URL=" + i.Database, "LOG_FORMAT=json",
		"FACEBOOK_APP_SECRET=" + Secret.Reveal(), "FACEBOOK_VERIFY_TOKEN=bench", "INSTAGRAM_PAGE_ID=" + Account, "INSTAGRAM_PAGE_ACCESS_TOKEN=" + token,
		"GRAPH_API_URL=" + graphURL, "SEND_RATE_PER_ACCOUNT=0",
	}, s.extra...), nil
}

// Get asks a service's admin endpoint, or anything else on loopback.
func Get(ctx context.Context, url string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, errors.Join(fmt.Errorf("%s answers %s", url, resp.Status), resp.Body.Close())
	}
	return resp, nil
}
