package doctor

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/parley-dm/parley/pkg/telemetry"
)

const pausedCheck = "paused accounts"

// process asks the process that runs with the same settings, if one does.
func (p Patient) process(ctx context.Context, r *report) {
	if p.AdminAddr == "" {
		return
	}
	const check = "process"
	addr := p.AdminAddr
	if host, port, err := net.SplitHostPort(addr); err == nil && (host == "" || net.ParseIP(host).IsUnspecified()) {
		addr = net.JoinHostPort("127.0.0.1", port)
	}
	body, status, err := ask(ctx, "http://"+addr+"/readyz")
	if err != nil {
		r.warn(check, "start it, or run this where it runs, with its settings", "none answers at ADMIN_ADDR %s", addr)
		return
	}
	var ready struct {
		Checks []telemetry.Result `json:"checks"`
	}
	if json.Unmarshal(body, &ready) != nil {
		r.problem(check, "give ADMIN_ADDR a port of its own", "what answers at ADMIN_ADDR %s is not Parley", addr)
		return
	}
	for _, c := range ready.Checks {
		switch {
		case c.OK:
		case status == http.StatusOK: // it can do without for a while
			r.warn(check, "see its log", "%s: %s", c.Name, c.Error)
		default:
			r.problem(check, "see its log", "%s: %s", c.Name, c.Error)
		}
	}
	if status == http.StatusOK {
		r.ok(check, "it runs, and is ready")
	}
	if p.Bus != nil {
		return // the bus tells more of the accounts
	}
	if metrics, _, err := ask(ctx, "http://"+addr+"/metrics"); err == nil {
		paused(r, string(metrics))
	}
}

// paused says how many accounts wait, as the process tells.
func paused(r *report, metrics string) {
	lines := bufio.NewScanner(strings.NewReader(metrics))
	for lines.Scan() {
		// A name, labels in a process of several services, and a value.
		line, ok := strings.CutPrefix(lines.Text(), "parley_send_paused")
		if !ok || !strings.HasPrefix(line, " ") && !strings.HasPrefix(line, "{") {
			continue
		}
		value := line[strings.LastIndexByte(line, ' ')+1:]
		if n, err := strconv.ParseFloat(value, 64); err == nil && n > 0 {
			r.warn(pausedCheck, "its log says why (account.paused); a new token or the end of a limit lets the queue go on by itself", "%.0f are paused now, and their replies wait", n)
		} else if err == nil {
			r.ok(pausedCheck, "none")
		}
		return
	}
}

// maxAnswer bounds what is read of an answer.
const maxAnswer = 4 << 20

func ask(ctx context.Context, url string) (body []byte, status int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, 0, err
	}
	// A transport of its own: the default one would obey HTTP_PROXY, and the process asked is this machine's.
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, 0, fmt.Errorf("read the answer: %w", err)
	}
	return body, resp.StatusCode, nil
}
