package archiver

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parley-dm/parley/pkg/mediastore"
	"github.com/parley-dm/parley/pkg/postgres"
	"github.com/parley-dm/parley/pkg/telemetry"
	"github.com/parley-dm/parley/services/archiver/internal/media"
)

// Media says whether the attachments of messages are kept, and where. Without a folder and a bucket only their links are.
type Media struct {
	mediastore.Settings
	MaxBytes int64    `env:"MEDIA_MAX_BYTES" envDefault:"33554432" help:"larger attachments are not kept (Meta takes 25 MB)"`
	Workers  int      `env:"MEDIA_WORKERS" envDefault:"2" help:"attachments that one archiver fetches at once"`
	Trusted  []string `env:"MEDIA_TRUSTED_HOSTS" help:"hosts, as name:port separated by commas, from which attachments are fetched though they are at private addresses or speak plain http: for the simulator. All others must be public and https"`
}

// Validate reports every problem of the settings.
func (m Media) Validate() error {
	errs := []error{m.Settings.Validate()}
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if m.MaxBytes < 1<<10 || m.MaxBytes > 1<<30 {
		bad("MEDIA_MAX_BYTES: got %d, expected 1024 to %d", m.MaxBytes, 1<<30)
	}
	if m.Workers < 1 || m.Workers > 64 {
		bad("MEDIA_WORKERS: got %d, expected 1 to 64", m.Workers)
	}
	for _, host := range m.Trusted {
		if name, port, err := net.SplitHostPort(host); err != nil || name == "" || port == "" {
			bad("MEDIA_TRUSTED_HOSTS: got %q, expected name:port", host)
		}
	}
	return errors.Join(errs...)
}

// keeping is what keeps media, beside the archive.
type keeping struct {
	keeper  *media.Keeper
	pool    *pgxpool.Pool
	fetcher *media.Fetcher
}

// mediaConns is enough for many workers: each asks for moments.
const mediaConns = 2

// keepMedia makes what keeps media; nil where they are not kept.
func keepMedia(ctx context.Context, cfg Config, tel *telemetry.Telemetry) (*keeping, error) {
	if !cfg.Media.Keeps() {
		return nil, nil //nolint:nilnil // there is nothing, and that is no error
	}
	pool, err := postgres.Open(ctx, cfg.Database, postgres.Options{Name: Name + " media", MaxConns: mediaConns})
	if err != nil {
		return nil, err
	}
	k := &keeping{pool: pool, fetcher: media.NewFetcher(media.FetcherOptions{MaxBytes: cfg.Media.MaxBytes, Trusted: cfg.Media.Trusted})}
	k.keeper, err = media.New(media.Deps{Pool: pool, Open: cfg.Media.Store, Fetcher: k.fetcher, Log: tel.Log, Metrics: tel.Metrics}, media.Options{Workers: cfg.Media.Workers})
	if err != nil {
		k.close()
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	return k, nil
}

func (k *keeping) close() {
	if k == nil {
		return
	}
	k.fetcher.Close()
	k.pool.Close()
}

// wake is told when there is something to fetch; nil where nothing is kept.
func (k *keeping) wake() func() {
	if k == nil {
		return nil
	}
	return k.keeper.Wake
}
