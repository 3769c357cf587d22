package mediastore

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/parley-dm/parley/pkg/config"
)

// Settings say where attachments are kept: in the folder, in the bucket, or nowhere.
type Settings struct {
	Dir       string        `env:"MEDIA_DIR" help:"a folder in which the attachments of messages are kept, fetched before Meta's links to them expire; all archivers must see the same one, and the console to show them. Without it and MEDIA_S3_BUCKET only the links are kept"`
	Bucket    string        `env:"MEDIA_S3_BUCKET" help:"keeps the attachments of messages in this bucket of a service that speaks S3"`
	Endpoint  string        `env:"MEDIA_S3_ENDPOINT" help:"URL of that service; Amazon's in MEDIA_S3_REGION without it"`
	Region    string        `env:"MEDIA_S3_REGION" envDefault:"us-east-1" help:"region of the bucket, as signatures name it"`
	AccessKey string        `env:"MEDIA_S3_ACCESS_KEY" help:"who asks the service: an archiver puts and deletes objects in the bucket, the console gets them"`
	SecretKey config.Secret `env:"MEDIA_S3_SECRET_KEY" help:"signs for MEDIA_S3_ACCESS_KEY"`
}

// Keeps says whether attachments are kept.
func (s Settings) Keeps() bool { return s.Dir != "" || s.Bucket != "" }

// Validate reports every problem of the settings.
func (s Settings) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if s.Dir != "" && s.Bucket != "" {
		bad("MEDIA_DIR: set beside MEDIA_S3_BUCKET, expected one of them")
	}
	if s.Bucket != "" {
		if strings.ContainsAny(s.Bucket, "/?# ") {
			bad("MEDIA_S3_BUCKET: got %q, expected a bucket's name", s.Bucket)
		}
		if s.AccessKey == "" {
			bad("MEDIA_S3_ACCESS_KEY: required with MEDIA_S3_BUCKET, but not set")
		}
		if s.SecretKey == "" {
			bad("MEDIA_S3_SECRET_KEY: required with MEDIA_S3_BUCKET, but not set")
		}
	}
	if s.Endpoint != "" {
		errs = append(errs, config.URL("MEDIA_S3_ENDPOINT", s.Endpoint, "https", "http"))
	}
	return errors.Join(errs...)
}

// Store opens what [Settings.Keeps] says that there is, to put and remove.
func (s Settings) Store() (Store, error) {
	if s.Dir == "" {
		return s.s3(), nil
	}
	path, err := filepath.Abs(s.Dir)
	if err != nil {
		return nil, fmt.Errorf("MEDIA_DIR: %w", err)
	}
	return OpenDir(path)
}

// Library is it to read; nil where nothing is kept.
func (s Settings) Library() *Library {
	switch {
	case s.Dir != "":
		return &Library{folder: s.Dir}
	case s.Bucket != "":
		return &Library{bucket: s.s3()}
	default:
		return nil
	}
}

func (s Settings) s3() *S3 {
	endpoint := s.Endpoint
	if endpoint == "" {
		endpoint = "https://s3." + s.Region + ".amazonaws.com"
	}
	return OpenS3(S3Options{Endpoint: endpoint, Bucket: s.Bucket, Region: s.Region, AccessKey: s.AccessKey, SecretKey: s.SecretKey})
}
