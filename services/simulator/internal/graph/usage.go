package graph

import (
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/parley-dm/parley/services/simulator/internal/fault"
	"github.com/parley-dm/parley/services/simulator/internal/world"
)

// minutes is how far back calls are counted. Meta counts over a rolling hour, too; its formula for the share of processor
// time is not public, so that all three shares are that of the calls.
const minutes = 60

// hour counts what happened in the last sixty minutes.
type hour struct {
	minute int64 // the newest of counts, in minutes since 1970
	counts [minutes]int
	total  int
}

func (h *hour) add(now time.Time, n int) {
	minute := now.Unix() / minutes
	for h.minute < minute {
		if minute-h.minute >= minutes {
			*h = hour{minute: minute}
			break
		}
		h.minute++
		h.total -= h.counts[h.minute%minutes]
		h.counts[h.minute%minutes] = 0
	}
	h.counts[h.minute%minutes] += n
	h.total += n
}

// regain is in how many minutes the total will be below the allowance.
func (h *hour) regain(allowance int) int {
	left := h.total
	for m := 0; m < minutes; m++ {
		if left < allowance {
			return m
		}
		left -= h.counts[(h.minute+1+int64(m))%minutes]
	}
	return minutes
}

// usage counts calls against an hourly allowance, for each account. Refused calls count as well, which is why calling on
// makes it longer.
type usage struct {
	allowance int // 0 for none
	mu        sync.Mutex
	accounts  map[string]*hour
	app       hour
}

func newUsage(allowance int) *usage {
	return &usage{allowance: allowance, accounts: map[string]*hour{}}
}

// spent is how much of the allowance is used, in percent, and in how many minutes an account may call again.
type spent struct{ account, app, regain, calls int }

func (u *usage) call(account string, now time.Time) spent {
	if u.allowance <= 0 {
		return spent{}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	h := u.accounts[account]
	if h == nil {
		h = &hour{}
		u.accounts[account] = h
	}
	h.add(now, 1)
	u.app.add(now, 1)
	out := spent{account: h.total * 100 / u.allowance, app: u.app.total * 100 / (u.allowance * len(u.accounts)), calls: h.total}
	if out.account >= 100 {
		out.regain = h.regain(u.allowance)
	}
	return out
}

// admit counts a call, tells in headers how much of the allowance is used, and refuses at 100 percent.
func (a *API) admit(w http.ResponseWriter, account world.Account) *Error {
	now := a.usage.call(account.ID, a.deps.World.Now())
	if percent, regain := a.deps.Faults.Usage(account.ID); percent > 0 {
		now = spent{account: percent, app: percent, regain: regain}
		usageHeaders(w.Header(), account.ID, now)
		return nil
	}
	usageHeaders(w.Header(), account.ID, now)
	if now.account >= 100 {
		return throttled()
	}
	return nil
}

func throttled() *Error {
	return &Error{Code: codeThrottled, Subcode: subcodeThrottled, Message: "(#80006) There have been too many calls to this Messenger account. Wait a bit and try again. For more info, please refer to https://developers.facebook.com/docs/graph-api/overview/rate-limiting#messenger."}
}

func usageHeaders(h http.Header, account string, s spent) {
	app, p := strconv.Itoa(s.app), strconv.Itoa(s.account)
	h.Set("X-App-Usage", `{"call_count":`+app+`,"total_time":`+app+`,"total_cputime":`+app+`}`)
	h.Set("X-Business-Use-Case-Usage", `{"`+account+`":[{"type":"messenger","call_count":`+p+`,"total_cputime":`+p+
		`,"total_time":`+p+`,"estimated_time_to_regain_access":`+strconv.Itoa(s.regain)+`}]}`)
}

// disturb lets faults happen to a call that only looks something up; over says that there is nothing more to answer.
func (a *API) disturb(w http.ResponseWriter, account, customer, endpoint string) (over bool, refusal *Error) {
	c := a.deps.Faults.Call(endpoint, account, customer)
	a.wait(c.Delay)
	switch {
	case c.ResetBefore || c.ResetAfter:
		reset(w)
		return true, nil
	case c.Error != nil:
		return true, a.fromFault(w, account, c.Error)
	}
	return false, nil
}

// fromFault is the refusal that a fault asks for.
func (a *API) fromFault(w http.ResponseWriter, account string, f *fault.Fault) *Error {
	switch f.Kind {
	case fault.KindGarbage:
		return &Error{Status: max(f.Status, http.StatusBadGateway), Garbage: true}
	case fault.KindRateLimit:
		usageHeaders(w.Header(), account, spent{account: f.Percent, app: f.Percent, regain: f.RegainMinutes})
		if f.Code == 0 {
			return throttled()
		}
	default: // an error
	}
	message := f.Message
	if message == "" {
		message = "(#" + strconv.Itoa(f.Code) + ") An error that was asked for."
	}
	return &Error{Status: f.Status, Message: message, Code: f.Code, Subcode: f.Subcode, Transient: f.Transient}
}
