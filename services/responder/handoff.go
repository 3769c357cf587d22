package responder

import (
	"errors"
	"fmt"
	"time"

	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/signed"
)

// maxFallbacks bounds HANDOFF_AFTER_FALLBACKS.
const maxFallbacks = 100

// HandOff is the settings of how conversations are handed to people.
type HandOff struct {
	Quiet          time.Duration `env:"HANDOFF_QUIET" envDefault:"12h" help:"how long the bot is silent in a conversation that was handed to a person"`
	AfterFallbacks int           `env:"HANDOFF_AFTER_FALLBACKS" envDefault:"0" help:"hands a conversation to a person at the so-manieth message in a row, within a day of each other, that neither a rule nor an engine answers; 0 never"`
	Response       string        `env:"HANDOFF_RESPONSE" envDefault:"Thank you! One of us will read this and answer you personally." empty:"keep" help:"what is said then, instead of FALLBACK_RESPONSE; empty means hand over silently"`
	ByLanguage     string        `env:"HANDOFF_BY_LANGUAGE" help:"what is said instead of HANDOFF_RESPONSE to messages in a language, as FALLBACK_BY_LANGUAGE"`
	URL            config.Secret `env:"HANDOFF_URL" help:"a help desk that is told of each conversation that is handed off, as JSON (README, Hand-off); nobody without it"`
	Secret         config.Secret `env:"HANDOFF_SECRET" help:"signs what is posted to HANDOFF_URL: X-Parley-Signature-256 is sha256= and the HMAC of the body"`
	Private        bool          `env:"HANDOFF_PRIVATE" envDefault:"false" help:"true lets HANDOFF_URL be at an address of a private network, and at plain http"`
	Timeout        time.Duration `env:"HANDOFF_TIMEOUT" envDefault:"10s" help:"how long one post to HANDOFF_URL may take"`
}

// Validate reports every problem. It does not repeat the URL, which may hold a token.
func (h HandOff) Validate() error {
	var errs []error
	problem := func(format string, a ...any) { errs = append(errs, fmt.Errorf(format, a...)) }
	if h.Quiet < time.Second || h.Quiet > maxQuiet {
		problem("HANDOFF_QUIET: got %s, expected 1s to %s", h.Quiet, maxQuiet)
	}
	if h.Timeout < 10*time.Millisecond || h.Timeout > time.Minute {
		problem("HANDOFF_TIMEOUT: got %s, expected 10ms to 1m", h.Timeout)
	}
	if h.AfterFallbacks < 0 || h.AfterFallbacks > maxFallbacks {
		problem("HANDOFF_AFTER_FALLBACKS: got %d, expected 0 to %d", h.AfterFallbacks, maxFallbacks)
	}
	if _, err := byLanguage("HANDOFF_BY_LANGUAGE", h.ByLanguage); err != nil {
		errs = append(errs, err)
	}
	switch {
	case h.URL == "" && h.Secret != "":
		problem("HANDOFF_SECRET: set, but HANDOFF_URL is not")
	case h.URL != "":
		if err := h.reach().Check(h.URL.Reveal()); err != nil {
			problem("HANDOFF_URL: %w", err)
		}
	}
	return errors.Join(errs...)
}

// reach is whom HANDOFF_URL may be at.
func (h HandOff) reach() signed.Reach {
	return signed.Reach{Private: h.Private, Setting: "HANDOFF_PRIVATE"}
}
