package ingress

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/parley-dm/parley/pkg/accounts"
	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/pipeline"
)

// Config is what ingress needs to know.
type Config struct {
	config.Common
	config.NATS
	accounts.Settings
	ListenHost     string        `env:"HOST" envDefault:"0.0.0.0" help:"address that webhooks are served on"`
	Port           int           `env:"PORT" envDefault:"8000" help:"port that webhooks are served on; 0 for any free one"`
	AppSecrets     config.Secret `env:"FACEBOOK_APP_SECRET,required" help:"signs webhooks; several, separated by commas, while secrets rotate or for Instagram-login apps"`
	VerifyToken    config.Secret `env:"FACEBOOK_VERIFY_TOKEN,required" help:"what Meta's webhook handshake must know"`
	MaxBodyBytes   int64         `env:"MAX_BODY_BYTES" envDefault:"8388608" help:"larger webhooks are refused with 413"`
	RatePerIP      int           `env:"RATE_LIMIT_PER_IP" envDefault:"0" help:"requests a second from one address, refused with 429 beyond it; 0 for no limit"`
	SpoolDir       string        `env:"SPOOL_DIR" envDefault:"./spool" help:"where accepted webhooks wait while the bus is away; each ingress needs one of its own, on a disk that outlives it"`
	SpoolMaxBytes  int64         `env:"SPOOL_MAX_BYTES" envDefault:"1073741824" help:"how much may wait there; beyond it webhooks are answered 503"`
	TrustedProxies []string      `env:"TRUSTED_PROXIES" help:"addresses or networks (CIDR) of proxies whose X-Forwarded-For tells the client's address, separated by commas"`
	// Host is lent by a process that runs several services.
	Host *pipeline.Host `env:"-"`
	// Listening is told the address once it is bound; it may be nil.
	Listening func(addr string) `env:"-"`
}

// Validate reports every problem.
func (c Config) Validate() error {
	errs := []error{c.Common.Validate(), c.NATS.Validate(), c.Settings.Validate()}
	if c.ListenHost != "localhost" {
		if _, err := netip.ParseAddr(c.ListenHost); err != nil {
			errs = append(errs, fmt.Errorf("HOST: got %q, expected an IP address such as 0.0.0.0 or localhost", c.ListenHost))
		}
	}
	if c.Port < 0 || c.Port > 65535 {
		errs = append(errs, fmt.Errorf("PORT: got %d, expected 0 to 65535", c.Port))
	}
	if len(c.secrets()) == 0 {
		errs = append(errs, errors.New("FACEBOOK_APP_SECRET: expected a secret, or several separated by commas"))
	}
	if c.VerifyToken == "" {
		errs = append(errs, errors.New("FACEBOOK_VERIFY_TOKEN: required"))
	}
	if c.MaxBodyBytes < 1024 || c.MaxBodyBytes > 1<<30 {
		errs = append(errs, fmt.Errorf("MAX_BODY_BYTES: got %d, expected 1024 to 1073741824", c.MaxBodyBytes))
	}
	// Room for a few of the largest.
	if least := 4 * c.MaxBodyBytes; c.SpoolMaxBytes < least {
		errs = append(errs, fmt.Errorf("SPOOL_MAX_BYTES: got %d, expected %d (four times MAX_BODY_BYTES) or more", c.SpoolMaxBytes, least))
	}
	if c.RatePerIP < 0 {
		errs = append(errs, fmt.Errorf("RATE_LIMIT_PER_IP: got %d, expected 0 or more", c.RatePerIP))
	}
	if _, err := c.proxies(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// secrets are the app secrets of FACEBOOK_APP_SECRET.
func (c Config) secrets() []config.Secret {
	var out []config.Secret
	for part := range strings.SplitSeq(c.AppSecrets.Reveal(), ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, config.Secret(part))
		}
	}
	return out
}

func (c Config) proxies() ([]netip.Prefix, error) {
	var out []netip.Prefix
	var errs []error
	for _, p := range c.TrustedProxies {
		p = strings.TrimSpace(p)
		prefix, err := netip.ParsePrefix(p)
		if addr, single := netip.ParseAddr(p); single == nil {
			prefix, err = addr.Prefix(addr.BitLen())
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("TRUSTED_PROXIES: got %q, expected an address or a network such as 10.0.0.0/8", p))
			continue
		}
		out = append(out, prefix.Masked())
	}
	return out, errors.Join(errs...)
}
