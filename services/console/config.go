package console

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/parley-dm/parley/pkg/accounts"
	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/mediastore"
	"github.com/parley-dm/parley/pkg/pipeline"
	"github.com/parley-dm/parley/services/console/internal/oidc"
)

// Config is the console's settings.
type Config struct {
	config.Common
	config.NATS
	config.Database
	Addr           string        `env:"CONSOLE_ADDR" envDefault:"127.0.0.1:8081" help:"where the console is served"`
	URL            string        `env:"CONSOLE_URL" help:"the console's own URL as browsers see it, for links and identity providers; http://CONSOLE_ADDR without it. Plain http is for this machine only"`
	SessionIdle    time.Duration `env:"CONSOLE_SESSION_IDLE" envDefault:"24h" help:"signs out who has not used the console for so long"`
	SessionMax     time.Duration `env:"CONSOLE_SESSION_MAX" envDefault:"336h" help:"signs everybody out after so long"`
	MediaHosts     []string      `env:"CONSOLE_MEDIA_HOSTS" envDefault:"https://*.fbsbx.com,https://*.cdninstagram.com,https://*.fbcdn.net" help:"where pictures and recordings of customers may be loaded from by a browser, separated by commas"`
	TrustedProxies []string      `env:"CONSOLE_TRUSTED_PROXIES" help:"addresses or networks of proxies, separated by commas, whose X-Forwarded-For tells who asks"`
	// WebhooksPrivate is for programs beside this one.
	WebhooksPrivate bool   `env:"CONSOLE_WEBHOOKS_PRIVATE" envDefault:"false" help:"true lets outgoing webhooks be at addresses of private networks, and at plain http"`
	SimulatorURL    string `env:"SIMULATOR_URL" help:"where a simulator plays customers: the inbox then has a button that has one write"`
	// TokenKey is the senders'.
	TokenKey config.Secret `env:"TOKEN_KEY" help:"32 random bytes as base64 (openssl rand -base64 32): encrypts the tokens of Instagram logins, which are refreshed with it and die after 60 days without it"`
	OIDC
	// Media are the archivers'.
	Media mediastore.Settings

	// Host is lent by a process that runs several services.
	Host *pipeline.Host `env:"-"`
	// Listening, if not nil, is called with the address when pages are served.
	Listening func(addr string) `env:"-"`
	// SweepEvery is how often what is over is deleted; an hour if zero.
	SweepEvery time.Duration `env:"-"`
}

// OIDC is the identity provider that people may sign in with, if any.
type OIDC struct {
	Issuer       string        `env:"CONSOLE_OIDC_ISSUER" help:"URL of an OpenID Connect provider to sign in to the console with; CONSOLE_URL/sign-in/oidc/callback is what it redirects to"`
	ClientID     string        `env:"CONSOLE_OIDC_CLIENT_ID" help:"the console's id at that provider"`
	ClientSecret config.Secret `env:"CONSOLE_OIDC_CLIENT_SECRET" help:"the console's secret there; none for a public client"`
	Domains      []string      `env:"CONSOLE_OIDC_DOMAINS" help:"domains, separated by commas, of e-mail addresses that may sign in, as viewers, without having been added; without it, only people who were added"`
	RoleClaim    string        `env:"CONSOLE_OIDC_ROLE_CLAIM" help:"the claim, a text or a list, in which the provider says owner, agent or viewer; it is then the provider who decides"`
}

// Validate reports every problem of the identity provider's settings.
func (c OIDC) Validate() error {
	if c.Issuer == "" {
		if c.ClientID != "" || c.ClientSecret != "" || len(c.Domains) > 0 || c.RoleClaim != "" {
			return errors.New("CONSOLE_OIDC_ISSUER: not set, but other CONSOLE_OIDC_ settings are")
		}
		return nil
	}
	var errs []error
	u, err := url.Parse(c.Issuer)
	if err != nil || u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
		errs = append(errs, errors.New("CONSOLE_OIDC_ISSUER: expected a URL that starts with https://"))
	}
	if c.ClientID == "" {
		errs = append(errs, errors.New("CONSOLE_OIDC_CLIENT_ID: required with CONSOLE_OIDC_ISSUER, but not set"))
	}
	for _, d := range c.Domains {
		if d = strings.TrimSpace(d); d == "" || strings.ContainsAny(d, "@*/ ") {
			errs = append(errs, fmt.Errorf("CONSOLE_OIDC_DOMAINS: got %q, expected domains such as example.com", d))
		}
	}
	return errors.Join(errs...)
}

// Validate reports every problem of the settings.
func (c Config) Validate() error {
	errs := []error{c.Common.Validate(), c.NATS.Validate(), c.Database.Validate(), c.OIDC.Validate(), c.Media.Validate(), config.Addr("CONSOLE_ADDR", c.Addr)}
	if _, err := c.Public(); err != nil {
		errs = append(errs, err)
	}
	if _, err := c.vault(); err != nil {
		errs = append(errs, err)
	}
	if _, err := c.proxies(); err != nil {
		errs = append(errs, err)
	}
	if u, err := url.Parse(c.SimulatorURL); c.SimulatorURL != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		errs = append(errs, fmt.Errorf("SIMULATOR_URL: got %q, expected such as http://127.0.0.1:8082", c.SimulatorURL))
	}
	if c.SessionMax <= 0 || c.SessionMax > 365*24*time.Hour {
		errs = append(errs, fmt.Errorf("CONSOLE_SESSION_MAX: got %s, expected more than 0, at most 8760h", c.SessionMax))
	}
	if c.SessionIdle < 2*time.Minute {
		errs = append(errs, fmt.Errorf("CONSOLE_SESSION_IDLE: got %s, expected 2m or more", c.SessionIdle))
	}
	for _, host := range c.MediaHosts {
		if strings.ContainsAny(host, " ;,'\"\r\n") || !strings.HasPrefix(host, "https://") && !strings.HasPrefix(host, "http://") {
			errs = append(errs, fmt.Errorf("CONSOLE_MEDIA_HOSTS: got %q, expected origins such as https://*.fbcdn.net", host))
		}
	}
	return errors.Join(errs...)
}

// Public is the console's own URL, as browsers see it, without a path.
func (c Config) Public() (*url.URL, error) {
	raw := c.URL
	if raw == "" {
		host, port, err := net.SplitHostPort(c.Addr)
		if err != nil {
			return nil, fmt.Errorf("CONSOLE_ADDR: got %q, expected host:port or :port", c.Addr)
		}
		if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
			host = "localhost"
		}
		raw = "http://" + net.JoinHostPort(host, port)
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil:
		return nil, fmt.Errorf("CONSOLE_URL: expected such as https://console.example.com, without a path")
	case u.Scheme == "http" && c.URL != "" && !loopback(u.Hostname()):
		return nil, errors.New("CONSOLE_URL: plain http is for this machine only (a session could be read on its way), expected https://")
	}
	u.Path = ""
	return u, nil
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

func (c Config) proxies() ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, raw := range c.TrustedProxies {
		raw = strings.TrimSpace(raw)
		prefix, err := netip.ParsePrefix(raw)
		if addr, err2 := netip.ParseAddr(raw); err2 == nil {
			prefix, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		if err != nil {
			return nil, fmt.Errorf("CONSOLE_TRUSTED_PROXIES: got %q, expected an address or a network such as 10.0.0.0/8", raw)
		}
		out = append(out, prefix)
	}
	return out, nil
}

// vault encrypts new tokens for the senders; nil without a key.
func (c Config) vault() (*accounts.Vault, error) {
	if c.TokenKey == "" {
		return nil, nil //nolint:nilnil // there need not be one
	}
	v, err := accounts.NewVault(c.TokenKey)
	if err != nil {
		return nil, fmt.Errorf("TOKEN_KEY: %w", err)
	}
	return v, nil
}

// provider is the identity provider; nil without one.
func (c Config) provider() (*oidc.Provider, error) {
	if c.Issuer == "" {
		return nil, nil //nolint:nilnil // there need not be one
	}
	public, err := c.Public()
	if err != nil {
		return nil, err
	}
	return oidc.New(oidc.Options{
		Issuer: c.Issuer, ClientID: c.ClientID, ClientSecret: c.ClientSecret.Reveal(), Domains: c.Domains, RoleClaim: c.RoleClaim,
		Redirect: public.JoinPath("sign-in", "oidc", "callback").String(),
	}), nil
}
