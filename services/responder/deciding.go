package responder

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/rules/language"
	"github.com/parley-dm/parley/services/responder/internal/respond"
)

// The values of ENGINE_MODE.
const (
	rulesFirst  = "rules_first"
	engineFirst = "engine_first"
)

// maxBurstWindow leaves a handler time for the rest of its work.
const maxBurstWindow = 30 * time.Second

// Deciding is the settings of how it is decided, beyond the rules.
type Deciding struct {
	FallbackByLanguage string        `env:"FALLBACK_BY_LANGUAGE" help:"what is said instead of FALLBACK_RESPONSE to messages in a language: a JSON object from ISO 639-1 codes to texts, such as {\"de\":\"Danke!\"}"`
	FallbackCooldown   time.Duration `env:"FALLBACK_COOLDOWN" envDefault:"0s" help:"how long the fallback is not said again in a conversation; 0s says it each time"`
	BurstWindow        time.Duration `env:"BURST_WINDOW" envDefault:"0s" help:"how long a customer must be quiet before what they wrote meanwhile is answered as one, up to 30s; 0s answers each message at once"`
	Disclosure         string        `env:"BOT_DISCLOSURE" help:"said before the first automatic reply in a conversation, after DISCLOSURE_LAPSE, and when a person had the conversation: that a bot answers; nothing without it"`
	DisclosureLapse    time.Duration `env:"DISCLOSURE_LAPSE" envDefault:"720h" help:"after how long without an automatic reply BOT_DISCLOSURE is said again"`
	StateTTL           time.Duration `env:"STATE_TTL" envDefault:"4320h" help:"how long what deciding needs to remember of a conversation is kept after its last change"`
	TimeZone           string        `env:"TIME_ZONE" envDefault:"UTC" help:"the business's time zone (IANA name), for times of day in replies"`
	EngineURL          config.Secret `env:"ENGINE_URL" help:"an engine that may answer, beside the rules: each turn is posted there as JSON and the decision comes back; none without it"`
	EngineSecret       config.Secret `env:"ENGINE_SECRET" help:"signs what is posted to ENGINE_URL: X-Parley-Signature-256 is sha256= and the HMAC of the body"`
	EngineTimeout      time.Duration `env:"ENGINE_TIMEOUT" envDefault:"3s" help:"how long ENGINE_URL's answer is waited for before the next one decides"`
	EngineMode         string        `env:"ENGINE_MODE" envDefault:"rules_first" help:"rules_first asks ENGINE_URL where no rule matches, engine_first before the rules"`
}

// Validate reports every problem.
func (d Deciding) Validate() error {
	var errs []error
	problem := func(format string, a ...any) { errs = append(errs, fmt.Errorf(format, a...)) }
	if _, err := byLanguage("FALLBACK_BY_LANGUAGE", d.FallbackByLanguage); err != nil {
		errs = append(errs, err)
	}
	for _, v := range []struct {
		name           string
		got, low, high time.Duration
	}{
		{"FALLBACK_COOLDOWN", d.FallbackCooldown, 0, 365 * 24 * time.Hour}, {"BURST_WINDOW", d.BurstWindow, 0, maxBurstWindow},
		{"DISCLOSURE_LAPSE", d.DisclosureLapse, time.Second, 3650 * 24 * time.Hour},
		{"STATE_TTL", d.StateTTL, time.Minute, 3650 * 24 * time.Hour}, {"ENGINE_TIMEOUT", d.EngineTimeout, 10 * time.Millisecond, time.Minute},
	} {
		if v.got < v.low || v.got > v.high {
			problem("%s: got %s, expected %s to %s", v.name, v.got, v.low, v.high)
		}
	}
	if len(d.Disclosure) > 1000 {
		problem("BOT_DISCLOSURE: got %d bytes, expected at most 1000", len(d.Disclosure))
	}
	if _, err := time.LoadLocation(d.TimeZone); err != nil {
		problem("TIME_ZONE: got %q, expected an IANA name such as Europe/Berlin", d.TimeZone)
	}
	if d.EngineMode != rulesFirst && d.EngineMode != engineFirst {
		problem("ENGINE_MODE: got %q, expected %s or %s", d.EngineMode, rulesFirst, engineFirst)
	}
	u, err := url.Parse(d.EngineURL.Reveal())
	switch {
	case d.EngineURL == "" && d.EngineSecret != "":
		problem("ENGINE_SECRET: set, but ENGINE_URL is not")
	case d.EngineURL != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https"):
		problem("ENGINE_URL: expected a URL such as https://engine.example.com/decide") // it may hold a token
	}
	return errors.Join(errs...)
}

// byLanguage reads a variable that has texts by language.
func byLanguage(name, value string) (map[string]string, error) {
	if value == "" {
		return nil, nil
	}
	var out map[string]string
	if err := json.Unmarshal([]byte(value), &out); err != nil {
		return nil, fmt.Errorf(`%s: expected a JSON object of texts, such as {"de":"Danke!"}`, name)
	}
	known := language.Known()
	for _, code := range slices.Sorted(maps.Keys(out)) {
		if !slices.Contains(known, code) {
			return nil, fmt.Errorf("%s: got language %q, expected one of %s", name, code, strings.Join(known, ", "))
		}
	}
	return out, nil
}

// options are what it answers by. The settings are valid.
func (c Config) options() respond.Options {
	fallbacks, _ := byLanguage("FALLBACK_BY_LANGUAGE", c.FallbackByLanguage)
	handOffs, _ := byLanguage("HANDOFF_BY_LANGUAGE", c.HandOff.ByLanguage)
	zone, err := time.LoadLocation(c.TimeZone)
	if err != nil {
		zone = time.UTC
	}
	return respond.Options{
		Fallback: c.Fallback, FallbackByLanguage: fallbacks, FallbackCooldown: c.FallbackCooldown, EngineFirst: c.EngineMode == engineFirst,
		MaxRepliesPerMinute: c.MaxRepliesPerMinute, LoopQuiet: c.LoopQuiet, BackfillWithin: c.BackfillWithin, BurstWindow: c.BurstWindow,
		HandOffQuiet: c.HandOff.Quiet, HandOffAfter: c.HandOff.AfterFallbacks, HandOffText: c.HandOff.Response, HandOffByLanguage: handOffs,
		Disclosure: c.Disclosure, DisclosureLapse: c.DisclosureLapse, Zone: zone,
	}
}
