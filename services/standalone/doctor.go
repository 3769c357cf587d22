package standalone

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/topology"
	"github.com/parley-dm/parley/services/sender"
	"github.com/parley-dm/parley/services/standalone/internal/doctor"
)

type doctorCommand struct {
	JSON bool `help:"Print the findings as JSON." name:"json"`
}

// errProblems is that something does not work; what it is was printed.
var errProblems = errors.New("there are problems: see above")

// Run examines the installation that the environment describes.
func (c *doctorCommand) Run(ctx context.Context, inv Invocation) error {
	findings := doctor.Examine(ctx, patient(inv.Environ)) //nolint:contextcheck // reads the environment, and no network
	write := doctor.Write
	if c.JSON {
		write = doctor.WriteJSON
	}
	if err := write(inv.Stdout, findings); err != nil {
		return fmt.Errorf("print the findings: %w", err)
	}
	if doctor.Worst(findings) == doctor.Problem {
		return errProblems
	}
	return nil
}

// patient is what is to be examined. What the environment says wrongly is told once, and the rest is examined all the same.
func patient(environ []string) doctor.Patient {
	env, unread := newEnvironment(environ, serveVariables())
	cfg, err := load(env)
	p := doctor.Patient{}
	errors.As(withUnread(unread, err), &p.Config)

	if config.Addr("ADMIN_ADDR", cfg.AdminAddr) == nil {
		p.AdminAddr = cfg.AdminAddr
	}
	spool := env.with([]setting{spoolDefault(env)}).get("SPOOL_DIR")
	p.Disk = &doctor.Disk{Folders: []doctor.Folder{{Variable: "SPOOL_DIR", Path: spool}}}
	if cfg.Archiver.Media.Dir != "" {
		p.Disk.Folders = append(p.Disk.Folders, doctor.Folder{Variable: "MEDIA_DIR", Path: cfg.Archiver.Media.Dir})
	}
	p.KeepsMedia = cfg.Archiver.Media.Keeps()
	nats, err := config.Load[busSettings](env)
	switch {
	case cfg.NATSURL != "" && err == nil:
		p.Bus = &doctor.Bus{NATS: nats.NATS}
	case cfg.NATSURL != "": // told as a problem of the settings
	default:
		data := doctor.Folder{Variable: "DATA_DIR", Path: cfg.DataDir}
		for _, s := range topology.Streams() {
			data.Needs += s.MaxBytes
		}
		p.Disk.Folders = append([]doctor.Folder{data}, p.Disk.Folders...)
		if cfg.NATSListen == "" {
			p.BusUnreachable = "NATS is embedded in parley serve and does not listen, so that nobody else can look at it; what it is used for is told by the process itself"
		} else {
			nats.NATS.URL = config.Secret("nats://" + cfg.NATSListen)
			p.Bus = &doctor.Bus{NATS: nats.NATS}
		}
	}
	if db, err := config.Load[databaseSettings](env); err == nil {
		p.Database = &db.Database
	}
	if s, err := config.Load[sender.Config](env); err == nil {
		p.Graph = &doctor.Graph{Settings: s.Settings, Tokens: s.Tokens, URL: s.GraphURL, Version: s.GraphVersion, AppID: s.AppID, AppSecret: firstSecret(s.AppSecret)}
	}
	return p
}

// What is read by itself, so that a mistake elsewhere does not keep it from being examined.
type databaseSettings struct{ config.Database }

// firstSecret is the one of a list that makes proofs and an app's own token.
func firstSecret(list config.Secret) config.Secret {
	first, _, _ := strings.Cut(list.Reveal(), ",")
	return config.Secret(strings.TrimSpace(first))
}
