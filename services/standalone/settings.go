package standalone

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/services/standalone/internal/embednats"
)

// own is what parley reads beyond its services.
type own struct {
	config.Common
	DataDir          string        `env:"DATA_DIR" envDefault:"./data" help:"everything that the embedded parts keep: JetStream's files, the spool"`
	NATSURL          config.Secret `env:"NATS_URL" help:"the NATS servers to use, separated by commas; without it a server is embedded"`
	NATSListen       string        `env:"NATS_LISTEN" help:"host:port where the embedded NATS server listens for other clients; without it, it does not. It asks nobody for a password"`
	NATSSyncInterval string        `env:"NATS_SYNC_INTERVAL" envDefault:"1s" help:"how often the embedded NATS server flushes to the disk: what a power cut may lose (a crash of the process loses nothing); always flushes before each acknowledgement, one message after another, and bounds the rate by the disk (README, Durability)"`
}

func (o own) Validate() error {
	errs := []error{o.Common.Validate()}
	if o.NATSListen != "" {
		errs = append(errs, config.Addr("NATS_LISTEN", o.NATSListen))
		if o.NATSURL != "" {
			errs = append(errs, errors.New("NATS_LISTEN: set together with NATS_URL, but only the embedded NATS server listens, which NATS_URL replaces"))
		}
	}
	if _, err := embednats.ParseSync(o.NATSSyncInterval); err != nil {
		errs = append(errs, fmt.Errorf("NATS_SYNC_INTERVAL: got %q, %w", o.NATSSyncInterval, err))
	}
	return errors.Join(errs...)
}

// environment is what the process was started with, with the values of NAME_FILE variables in place, read once for all
// services.
type environment []string

// newEnvironment reads the files that variables name; unread is why some could not be.
func newEnvironment(environ []string, vars []config.Variable) (env environment, unread []error) {
	return config.Resolve(environ, vars)
}

// withUnread adds the files that could not be read to what else is wrong. That a variable is missing which such a file
// was to give is no problem of its own.
func withUnread(unread []error, err error) error {
	if len(unread) == 0 {
		return err
	}
	problems := slices.Clone(unread)
	var several *config.Error
	if !errors.As(err, &several) {
		return errors.Join(&config.Error{Problems: problems}, err)
	}
	for _, p := range several.Problems {
		name, _, _ := strings.Cut(p.Error(), ":")
		if !slices.ContainsFunc(unread, func(u error) bool { return strings.HasPrefix(u.Error(), name+":") }) {
			problems = append(problems, p)
		}
	}
	return &config.Error{Problems: problems}
}

// get is a variable's value; one that is set to nothing counts as not set.
func (e environment) get(name string) string {
	for _, kv := range slices.Backward(e) {
		if k, v, _ := strings.Cut(kv, "="); k == name {
			return v
		}
	}
	return ""
}

// or is a variable's value, or another where it is not set.
func (e environment) or(name, other string) string {
	if v := e.get(name); v != "" {
		return v
	}
	return other
}

// with adds values for the variables that are not set.
func (e environment) with(defaults []setting) environment {
	out := slices.Clone(e)
	for _, d := range defaults {
		if e.get(d.name) == "" {
			out = append(out, d.name+"="+d.value)
		}
	}
	return out
}

// setting is a variable and its value.
type setting struct{ name, value string }

// read loads one service's settings and adds what is wrong with them to the problems, once: services share variables.
func read[T config.Settings](env environment, problems *[]error) T {
	cfg, err := config.Load[T](env)
	var several *config.Error
	switch {
	case errors.As(err, &several):
		for _, p := range several.Problems {
			add(problems, p)
		}
	case err != nil:
		add(problems, err)
	}
	return cfg
}

func add(problems *[]error, p error) {
	if !slices.ContainsFunc(*problems, func(known error) bool { return known.Error() == p.Error() }) {
		*problems = append(*problems, p)
	}
}

// spoolDefault is where the spool is unless SPOOL_DIR says otherwise.
func spoolDefault(env environment) setting {
	return setting{"SPOOL_DIR", filepath.Join(env.or("DATA_DIR", "./data"), "spool")}
}

// union lists variables without repetitions; the first mention of a name counts.
func union(lists ...[]config.Variable) []config.Variable {
	var out []config.Variable
	known := map[string]bool{}
	for _, list := range lists {
		for _, v := range list {
			if !known[v.Name] {
				known[v.Name] = true
				out = append(out, v)
			}
		}
	}
	return out
}

// assume shows defaults in the help.
func assume(vars []config.Variable, defaults ...setting) []config.Variable {
	out := slices.Clone(vars)
	for i := range out {
		for _, d := range defaults {
			if out[i].Name == d.name {
				out[i].Default, out[i].Required = d.value, false
			}
		}
	}
	return out
}
