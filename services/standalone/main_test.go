package standalone_test

import (
	"bytes"
	"context"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"github.com/parley-dm/parley/pkg/postgres/pgtest"
	"github.com/parley-dm/parley/services/standalone"
)

// childEnv makes the test binary be parley: what is tested is then a process, with signals and an exit code.
const childEnv = "PARLEY_TEST_CHILD"

func TestMain(m *testing.M) {
	if step, ok := os.LookupEnv(crashEnv); ok {
		os.Exit(sendUntil(step))
	}
	if os.Getenv(childEnv) != "" {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
		code := standalone.Execute(ctx, standalone.Invocation{Args: os.Args[1:], Environ: os.Environ(), Stdout: os.Stdout, Stderr: os.Stderr})
		stop()
		os.Exit(code)
	}
	pgtest.Main(m)
}

// execute runs parley in the test itself, for what ends at once.
func execute(t *testing.T, environ []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = standalone.Execute(t.Context(), standalone.Invocation{Args: args, Environ: environ, Stdout: &out, Stderr: &err})
	return code, out.String(), err.String()
}

// lines counts those that contain a text.
func lines(s, text string) int {
	n := 0
	for line := range strings.Lines(s) {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}
