package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/config"
)

type settings struct {
	config.Common
	config.Database
	Secret config.Secret `env:"SECRET,required"`
	Limit  int           `env:"LIMIT" envDefault:"5"`
	Say    string        `env:"SAY" envDefault:"hello" empty:"keep"`
}

func (s settings) Validate() error {
	errs := []error{s.Common.Validate(), s.Database.Validate()}
	if s.Secret == "" {
		errs = append(errs, errors.New("SECRET: required"))
	}
	if s.Limit < 1 {
		errs = append(errs, errors.New("LIMIT: expected 1 or more"))
	}
	return errors.Join(errs...)
}

func TestLoad(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(file, []byte("from a file \r\n"), 0o600))
	c, err := config.Load[settings]([]string{"DATABASE_URL=postgres://h/d", "SECRET_FILE=" + file, "LIMIT=", "SAY=", "SHUTDOWN_TIMEOUT=2s"})
	require.NoError(t, err)
	require.Equal(t, "from a file ", c.Secret.Reveal(), "only the newline at the end is the editor's")
	require.Equal(t, 5, c.Limit, "set to nothing is not set")
	require.Empty(t, c.Say, "but where nothing means something")
	require.Equal(t, 2*time.Second, c.ShutdownTimeout)
}

func TestEveryProblemIsNamedOnce(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		environ []string
		want    []string
	}{
		"missing": {nil, []string{"DATABASE_URL: required, but not set", "SECRET: required, but not set"}},
		"cannot be read": {[]string{"SECRET=s", "DATABASE_URL=postgres://h/d", "LIMIT=many", "SHUTDOWN_TIMEOUT=soon", "LOG_LEVEL=LOUD"}, []string{
			"SHUTDOWN_TIMEOUT: expected a duration such as 25s or 5m", "LIMIT: expected a whole number", `LOG_LEVEL: got "LOUD", expected DEBUG, INFO, WARNING or ERROR`}},
		"wrong": {[]string{"SECRET=s", "DATABASE_URL=http://user:hidden@h/d", "LIMIT=-1", "ENVIRONMENT=prod"}, []string{
			`ENVIRONMENT: got "prod", expected development or production`, "DATABASE_URL: expected a URL that starts with postgres:// or postgresql://", "LIMIT: expected 1 or more"}},
		"files and others": {[]string{"SECRET_FILE=/none", "DATABASE_URL=postgres://h/d", "LIMIT_FILE=/none", "LOG_LEVEL=LOUD", "SHUTDOWN_TIMEOUT=soon"}, []string{
			"SECRET: SECRET_FILE: open /none: no such file or directory", "LIMIT: LIMIT_FILE: open /none: no such file or directory",
			"SHUTDOWN_TIMEOUT: expected a duration such as 25s or 5m", `LOG_LEVEL: got "LOUD", expected DEBUG, INFO, WARNING or ERROR`}},
		"both": {[]string{"SECRET=s", "SECRET_FILE=/none", "DATABASE_URL=postgres://h/d"}, []string{"SECRET: set both directly and by SECRET_FILE, expected one of them"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := config.Load[settings](c.environ)
			var several *config.Error
			require.ErrorAs(t, err, &several)
			var got []string
			for _, p := range several.Problems {
				got = append(got, p.Error())
			}
			require.Equal(t, c.want, got)
		})
	}
}
