package config

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"time"
)

// Common is what every service reads.
type Common struct {
	AppName         string        `env:"APP_NAME" envDefault:"parley" help:"names the installation in logs and traces"`
	Environment     string        `env:"ENVIRONMENT" envDefault:"development" help:"development or production"`
	Debug           bool          `env:"DEBUG" envDefault:"false" help:"true is LOG_LEVEL=DEBUG"`
	LogLevel        string        `env:"LOG_LEVEL" envDefault:"INFO" help:"DEBUG, INFO, WARNING or ERROR"`
	LogFormat       string        `env:"LOG_FORMAT" help:"text or json (json when ENVIRONMENT=production)"`
	AdminAddr       string        `env:"ADMIN_ADDR" envDefault:"127.0.0.1:9464" help:"where /healthz, /readyz and /metrics are served"`
	OTLPEndpoint    string        `env:"OTEL_EXPORTER_OTLP_ENDPOINT" help:"base URL of an OTLP/HTTP collector for traces; none are sent without it"`
	ShutdownTimeout time.Duration `env:"SHUTDOWN_TIMEOUT" envDefault:"25s" help:"how long a stop may take"`
}

// Validate reports every problem of the common settings.
func (c Common) Validate() error {
	var errs []error
	if c.Environment != "development" && c.Environment != "production" {
		errs = append(errs, fmt.Errorf("ENVIRONMENT: got %q, expected development or production", c.Environment))
	}
	if _, err := ParseLevel(c.LogLevel); err != nil {
		errs = append(errs, err)
	}
	if c.LogFormat != "" && c.LogFormat != "text" && c.LogFormat != "json" {
		errs = append(errs, fmt.Errorf("LOG_FORMAT: got %q, expected text or json", c.LogFormat))
	}
	errs = append(errs, Addr("ADMIN_ADDR", c.AdminAddr))
	if c.OTLPEndpoint != "" {
		errs = append(errs, URL("OTEL_EXPORTER_OTLP_ENDPOINT", c.OTLPEndpoint, "http", "https"))
	}
	if c.ShutdownTimeout <= 0 {
		errs = append(errs, fmt.Errorf("SHUTDOWN_TIMEOUT: got %s, expected more than 0", c.ShutdownTimeout))
	}
	return errors.Join(errs...)
}

// Level is the level to log at.
func (c Common) Level() slog.Level {
	if c.Debug {
		return slog.LevelDebug
	}
	level, err := ParseLevel(c.LogLevel)
	if err != nil {
		return slog.LevelInfo
	}
	return level
}

// JSONLogs says whether logs are JSON.
func (c Common) JSONLogs() bool {
	return c.LogFormat == "json" || c.LogFormat == "" && c.Environment == "production"
}

// ParseLevel reads a log level: DEBUG, INFO, WARNING (or WARN), ERROR or CRITICAL, in any case.
func ParseLevel(s string) (slog.Level, error) {
	switch strings.ToUpper(s) {
	case "DEBUG":
		return slog.LevelDebug, nil
	case "INFO", "":
		return slog.LevelInfo, nil
	case "WARNING", "WARN":
		return slog.LevelWarn, nil
	case "ERROR", "CRITICAL":
		return slog.LevelError, nil
	default:
		return 0, fmt.Errorf("LOG_LEVEL: got %q, expected DEBUG, INFO, WARNING or ERROR", s)
	}
}

// NATS is what every service on the bus reads.
type NATS struct {
	URL       Secret `env:"NATS_URL" envDefault:"nats://127.0.0.1:4222" help:"the NATS servers, separated by commas; may hold a user and password or a token"`
	CredsFile string `env:"NATS_CREDS" help:"path of a NATS credentials file"`
	Replicas  int    `env:"NATS_REPLICAS" envDefault:"1" help:"copies of each stream: 1, or 3 on a cluster"`
}

// Validate reports every problem of the bus's settings.
func (c NATS) Validate() error {
	var errs []error
	for part := range strings.SplitSeq(c.URL.Reveal(), ",") {
		errs = append(errs, URL("NATS_URL", strings.TrimSpace(part), "nats", "tls", "ws", "wss"))
	}
	if c.Replicas != 1 && c.Replicas != 3 && c.Replicas != 5 {
		errs = append(errs, fmt.Errorf("NATS_REPLICAS: got %d, expected 1, 3 or 5", c.Replicas))
	}
	return errors.Join(errs...)
}

// Database is what every service that uses PostgreSQL reads.
type Database struct {
	URL Secret `env:"DATABASE_URL,required" help:"PostgreSQL, as postgres://user:password@host:5432/name?sslmode=…"`
}

// Validate reports every problem of the database's settings.
func (c Database) Validate() error {
	return URL("DATABASE_URL", c.URL.Reveal(), "postgres", "postgresql")
}

// URL checks that a variable holds an absolute URL with one of the schemes. It does not repeat the value, which may hold
// a password.
func URL(name, value string, schemes ...string) error {
	u, err := url.Parse(value)
	if err == nil {
		for _, s := range schemes {
			if u.Scheme == s && (u.Host != "" || u.RawQuery != "") {
				return nil
			}
		}
	}
	return fmt.Errorf("%s: expected a URL that starts with %s://", name, strings.Join(schemes, ":// or "))
}

// Addr checks that a variable holds a listening address.
func Addr(name, value string) error {
	_, port, err := net.SplitHostPort(value)
	if err == nil {
		// Reads a table of names on this machine at most; no network is asked, so there is nothing to cancel.
		_, err = net.DefaultResolver.LookupPort(context.Background(), "tcp", port)
	}
	if err != nil {
		return fmt.Errorf("%s: got %q, expected host:port or :port", name, value)
	}
	return nil
}
