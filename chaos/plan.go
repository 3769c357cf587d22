package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// step is one trouble: it begins at a time after the start of the load and ends some time later.
type step struct {
	at, lasts time.Duration
	// what is kill, term, stall or the name of a fault; who is a process's name, empty for faults.
	what, who string
	// account is the number of the account that a fault with a scope is about.
	account int
}

func (s step) String() string {
	if s.who == "" {
		return fmt.Sprintf("%6.1fs  %s for %.1fs", s.at.Seconds(), s.what, s.lasts.Seconds())
	}
	return fmt.Sprintf("%6.1fs  %s %s, %.1fs", s.at.Seconds(), s.what, s.who, s.lasts.Seconds())
}

// The bounds of the pauses between two troubles: a long run has more troubles, not thinner ones, and a short one has all
// kinds if they fit.
const (
	leastPause = 700 * time.Millisecond
	mostPause  = 3 * time.Second
)

// longest bounds how long what lasts. A process is down for a moment or long enough to be missed; it stands still for less
// and for more than its leases last, which are 6 seconds.
var longest = map[string]time.Duration{troubleKill: 6 * time.Second, troubleTerm: 2 * time.Second, troubleStall: 12 * time.Second}

// plan makes the schedule. It is a function of its arguments: the same seed gives the same one. Every pair of trouble and
// target has its turn before any comes again, and nothing comes twice at once to one process. Of a cluster's NATS servers
// one at a time is in trouble, which is what it promises to stand.
func plan(o options, names []string) []step {
	dice := rand.New(rand.NewPCG(o.seed, 1)) //nolint:gosec // a schedule, not a secret
	pairs := pairs(o, names)
	if len(pairs) == 0 {
		return nil
	}
	pause := min(max(o.duration/time.Duration(len(pairs)), leastPause), mostPause)
	var out []step
	var queue []step
	free := map[string]time.Duration{}
	for at := pause; at < o.duration; at += pause/2 + upTo(dice, pause) {
		if len(queue) == 0 {
			queue = slices.Clone(pairs)
			dice.Shuffle(len(queue), func(i, j int) { queue[i], queue[j] = queue[j], queue[i] })
		}
		next := slices.IndexFunc(queue, func(s step) bool { return free[place(s)] <= at })
		if next < 0 {
			continue // everything that is left is in trouble already
		}
		s := queue[next]
		queue = slices.Delete(queue, next, next+1)
		s.at, s.lasts = at, lasts(dice, s)
		s.account = dice.IntN(o.accounts)
		free[place(s)] = at + s.lasts + recovery
		if isNATS(s.who) && o.nodes > 1 {
			free[place(s)] += catchUp
		}
		out = append(out, s)
	}
	return out
}

// recovery is what a process has, after a trouble, to be what it was; catchUp what a server of a cluster has beyond that to
// learn what it missed. Another one that went before would leave the cluster without a majority that knows everything.
const (
	recovery = 3 * time.Second
	catchUp  = 7 * time.Second
)

// place is what has one trouble at a time.
func place(s step) string {
	if isNATS(s.who) {
		return targetNATS
	}
	return s.who + faultOf(s)
}

func faultOf(s step) string {
	if s.who == "" {
		return s.what
	}
	return ""
}

func lasts(dice *rand.Rand, s step) time.Duration {
	most, ok := longest[s.what]
	if !ok {
		most = 6 * time.Second
	}
	return 500*time.Millisecond + upTo(dice, most)
}

func upTo(dice *rand.Rand, d time.Duration) time.Duration {
	return time.Duration(dice.Int64N(int64(d)))
}

// pairs are each trouble with each process, and the faults of Meta.
func pairs(o options, names []string) []step {
	var out []step
	for _, what := range o.troubles {
		if !slices.Contains(processTroubles, what) {
			out = append(out, step{what: what})
			continue
		}
		for _, who := range names {
			if slices.Contains(o.targets, kindOf(who)) {
				out = append(out, step{what: what, who: who})
			}
		}
	}
	return out
}
