package standalone

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"strings"

	"golang.org/x/term"

	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/services/console"
)

type consoleCommand struct {
	AddUser addUserCommand `cmd:"" help:"Add somebody who may sign in, and print a link that signs them in once. For somebody who is there already: print another link."`
}

type addUserCommand struct {
	Email    string   `arg:"" help:"Their e-mail address."`
	Role     string   `enum:"owner,agent,viewer" default:"owner" help:"What they may do: owner, agent or viewer."`
	Name     string   `help:"What they are called."`
	Account  []string `help:"An account that they see, by its id; several times for several. Without it they see all."`
	Password bool     `help:"Ask for a password, or read it from standard input, instead of making a link."`
}

// consoleSettings is what the command reads: where the database is, and where the console is.
type consoleSettings struct {
	config.Database
	Addr string `env:"CONSOLE_ADDR" envDefault:"127.0.0.1:8081" help:"where the console is served"`
	URL  string `env:"CONSOLE_URL" help:"the console's own URL as browsers see it; http://CONSOLE_ADDR without it"`
}

// Validate reports every problem of the settings.
func (c consoleSettings) Validate() error {
	_, err := console.Config{Addr: c.Addr, URL: c.URL}.Public()
	return errors.Join(c.Database.Validate(), err)
}

// Run adds a user.
func (c *addUserCommand) Run(ctx context.Context, inv Invocation) error {
	cfg, err := config.Load[consoleSettings](inv.Environ)
	if err != nil {
		return err
	}
	public, err := console.Config{Addr: cfg.Addr, URL: cfg.URL}.Public()
	if err != nil {
		return err
	}
	n := console.NewUser{Email: c.Email, Name: c.Name, Role: c.Role, Accounts: c.Account, By: operator(), Next: "/me"}
	if c.Password {
		if n.Password, err = readPassword(inv); err != nil {
			return err
		}
	}
	link, err := console.AddUser(ctx, cfg.Database, public, n)
	if err != nil {
		return fmt.Errorf("add %s: %w", c.Email, err)
	}
	if link == "" {
		say(inv.Stdout, "%s may sign in at %s as %s.", c.Email, public, c.Role)
		return nil
	}
	say(inv.Stdout, "This link signs in as %s, once, within three days:\n%s", c.Email, link)
	return nil
}

// operator names who runs the command, for the audit log.
func operator() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return name
}

// maxPassword bounds what is read as a password.
const maxPassword = 4096

// readPassword asks at a terminal, without showing what is typed; otherwise it is the first line of standard input.
func readPassword(inv Invocation) (string, error) {
	if f, ok := inv.Stdin.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		_, _ = fmt.Fprint(inv.Stderr, "Password: ")
		typed, err := term.ReadPassword(int(f.Fd()))
		_, _ = fmt.Fprintln(inv.Stderr)
		if err != nil {
			return "", fmt.Errorf("read the password: %w", err)
		}
		return string(typed), nil
	}
	if inv.Stdin == nil {
		return "", errors.New("password: there is no standard input to read it from")
	}
	raw, err := io.ReadAll(io.LimitReader(inv.Stdin, maxPassword))
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	line, _, _ := strings.Cut(string(raw), "\n")
	return strings.TrimSuffix(line, "\r"), nil
}
