package cli

import (
	"fmt"
	"io"

	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/run"
	"github.com/parley-dm/parley/services/simulator"
)

// Accounts prints the accounts that the settings make as an ACCOUNTS_FILE for Parley, and returns the exit code.
func Accounts(environ []string, stdout, stderr io.Writer) int {
	cfg, err := config.Load[simulator.Config](environ)
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "simulator accounts: %v\n", err)
		return run.ExitUsage
	}
	accounts, err := cfg.AccountList()
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "simulator accounts: %v\n", err)
		return run.ExitUsage
	}
	_, _ = fmt.Fprintln(stdout, "accounts:")
	for _, a := range accounts {
		_, err = fmt.Fprintf(stdout, "  - id: %q\n    name: %q\n    channel: instagram\n    login: facebook\n    token: %q\n    reply: true\n", a.ID, a.Name, a.Token)
	}
	if err != nil {
		return run.ExitFailed
	}
	return run.ExitOK
}
