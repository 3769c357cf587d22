package standalone

import (
	"errors"

	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/pipeline"
	"github.com/parley-dm/parley/services/archiver"
	"github.com/parley-dm/parley/services/console"
	"github.com/parley-dm/parley/services/ingress"
	"github.com/parley-dm/parley/services/responder"
	"github.com/parley-dm/parley/services/sender"
	"github.com/parley-dm/parley/services/standalone/internal/embednats"
)

// Config is the settings of parley and of every service in it. Variables that several read are the same in all of them.
type Config struct {
	own
	Ingress   ingress.Config
	Responder responder.Config
	Sender    sender.Config
	Archiver  archiver.Config
	Console   console.Config

	// Ready is told once everything runs; it may be nil.
	Ready func(Running)
}

// Running is what a process that runs can be reached by.
type Running struct {
	// Webhooks is the address that ingress listens on.
	Webhooks string
	// Console is the address that the console listens on.
	Console string
	// NATS is the embedded server's URL, when it listens.
	NATS string
}

// LoadServe reads the settings of `parley serve` from environ. The error names every problem of every service.
func LoadServe(environ []string) (Config, error) {
	env, unread := newEnvironment(environ, serveVariables())
	c, err := load(env)
	return c, withUnread(unread, err)
}

// load reads the settings of parley and its services from an environment.
func load(env environment) (Config, error) {
	env = env.with([]setting{spoolDefault(env)})
	var problems []error
	c := Config{
		own:       read[own](env, &problems),
		Ingress:   read[ingress.Config](env, &problems),
		Responder: read[responder.Config](env, &problems),
		Sender:    read[sender.Config](env, &problems),
		Archiver:  read[archiver.Config](env, &problems),
		Console:   read[console.Config](env, &problems),
	}
	if len(problems) > 0 {
		return c, &config.Error{Problems: problems}
	}
	return c, nil
}

// serveVariables are all variables of `parley serve`.
func serveVariables() []config.Variable {
	all := union(config.Variables[own](), config.Variables[config.Database](), config.Variables[ingress.Config](),
		config.Variables[responder.Config](), config.Variables[sender.Config](), config.Variables[archiver.Config](), config.Variables[console.Config]())
	return assume(all, setting{"SPOOL_DIR", "DATA_DIR/spool"})
}

// lend gives every service the process's telemetry and connection, and less time to stop than the process has, which
// must still close what they share.
func (c *Config) lend(h *pipeline.Host) {
	c.Ingress.Host, c.Responder.Host, c.Sender.Host, c.Archiver.Host, c.Console.Host = h, h, h, h, h
	for _, common := range []*config.Common{&c.Ingress.Common, &c.Responder.Common, &c.Sender.Common, &c.Archiver.Common, &c.Console.Common} {
		common.ShutdownTimeout = stagesTimeout(c.ShutdownTimeout)
	}
}

// sync is how the embedded server flushes; validated when it was loaded.
func (c *Config) sync() (embednats.Sync, error) {
	s, err := embednats.ParseSync(c.NATSSyncInterval)
	if err != nil {
		return s, errors.Join(errors.New("NATS_SYNC_INTERVAL"), err)
	}
	return s, nil
}
