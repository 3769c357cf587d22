package archiver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/postgres"
	"github.com/parley-dm/parley/pkg/telemetry"
	"github.com/parley-dm/parley/services/archiver/internal/media"
)

// Media says whether the attachments of messages are kept, and where. Without a folder and a bucket only their links are.
type Media struct {
	Dir       string        `env:"MEDIA_DIR" help:"a folder in which the attachments of messages are kept, fetched before Meta's links to them expire; all archivers must see the same one. Without it and MEDIA_S3_BUCKET only the links are kept"`
	Bucket    string        `env:"MEDIA_S3_BUCKET" help:"keeps the attachments of messages in this bucket of a service that speaks S3"`
	Endpoint  string        `env:"MEDIA_S3_ENDPOINT" help:"URL of that service; Amazon's in MEDIA_S3_REGION without it"`
	Region    string        `env:"MEDIA_S3_REGION" envDefault:"us-east-1" help:"region of the bucket, as signatures name it"`
	AccessKey string        `env:"MEDIA_S3_ACCESS_KEY" help:"who asks the service: may put and delete objects in the bucket"`
	SecretKey config.Secret `env:"MEDIA_S3_SECRET_KEY" help:"signs for MEDIA_S3_ACCESS_KEY"`
	MaxBytes  int64         `env:"MEDIA_MAX_BYTES" envDefault:"33554432" help:"larger attachments are not kept (Meta takes 25 MB)"`
	Workers   int           `env:"MEDIA_WORKERS" envDefault:"2" help:"attachments that one archiver fetches at once"`
	Trusted   []string      `env:"MEDIA_TRUSTED_HOSTS" help:"hosts, as name:port separated by commas, from which attachments are fetched though they are at private addresses or speak plain http: for the simulator. All others must be public and https"`
}

// Keeps says whether attachments are kept.
func (m Media) Keeps() bool { return m.Dir != "" || m.Bucket != "" }

// Validate reports every problem of the settings.
func (m Media) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if m.Dir != "" && m.Bucket != "" {
		bad("MEDIA_DIR: set beside MEDIA_S3_BUCKET, expected one of them")
	}
	if m.Bucket != "" {
		if strings.ContainsAny(m.Bucket, "/?# ") {
			bad("MEDIA_S3_BUCKET: got %q, expected a bucket's name", m.Bucket)
		}
		if m.AccessKey == "" {
			bad("MEDIA_S3_ACCESS_KEY: required with MEDIA_S3_BUCKET, but not set")
		}
		if m.SecretKey == "" {
			bad("MEDIA_S3_SECRET_KEY: required with MEDIA_S3_BUCKET, but not set")
		}
	}
	if m.Endpoint != "" {
		errs = append(errs, config.URL("MEDIA_S3_ENDPOINT", m.Endpoint, "https", "http"))
	}
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

// open opens the store.
func (m Media) open() (media.Store, error) {
	if m.Dir != "" {
		path, err := filepath.Abs(m.Dir)
		if err != nil {
			return nil, fmt.Errorf("MEDIA_DIR: %w", err)
		}
		return media.OpenDir(path)
	}
	endpoint := m.Endpoint
	if endpoint == "" {
		endpoint = "https://s3." + m.Region + ".amazonaws.com"
	}
	return media.OpenS3(media.S3Options{Endpoint: endpoint, Bucket: m.Bucket, Region: m.Region, AccessKey: m.AccessKey, SecretKey: m.SecretKey}), nil
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
	k.keeper, err = media.New(media.Deps{Pool: pool, Open: cfg.Media.open, Fetcher: k.fetcher, Log: tel.Log, Metrics: tel.Metrics}, media.Options{Workers: cfg.Media.Workers})
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
