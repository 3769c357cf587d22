package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// options are the flags.
type options struct {
	seed                          uint64
	duration                      time.Duration
	customers, messages, accounts int
	rate                          float64
	troubles, targets             []string
	nodes, ingresses, responders  int
	dir                           string
	keep                          bool
}

// The kinds of trouble that come to processes; those that come from Meta are in faults.
const (
	troubleKill  = "kill"  // kill -9, and a new start some seconds later
	troubleTerm  = "term"  // an orderly stop, and a new start
	troubleStall = "stall" // stands still for some seconds, longer than leases last too
)

// The things that trouble comes to, beside the services.
const (
	targetNATS     = "nats"
	targetPostgres = "postgres"
)

var (
	processTroubles = []string{troubleKill, troubleTerm, troubleStall}
	services        = []string{"ingress", "responder", "sender", "archiver"}
	allTargets      = append(slices.Clone(services), targetNATS, targetPostgres)
)

func allTroubles() []string {
	out := slices.Clone(processTroubles)
	for _, f := range faults {
		out = append(out, f.name)
	}
	return out
}

// most messages there may be of each customer: each has a rule of its own, so that its reply is told from every other.
const mostMessages = 1000

func parse(args []string, out io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.Uint64Var(&o.seed, "seed", 1, "decides the schedule")
	flags.DurationVar(&o.duration, "duration", 2*time.Minute, "how long there is trouble")
	flags.IntVar(&o.customers, "customers", 200, "simulated customers")
	flags.IntVar(&o.messages, "messages", 25, "messages of each customer")
	flags.IntVar(&o.accounts, "accounts", 4, "accounts that the customers write to in turn")
	flags.Float64Var(&o.rate, "rate", 0, "messages a second; 0 for as many as fill the duration")
	flags.IntVar(&o.nodes, "nodes", 1, "NATS servers: 1, or a cluster of 3 with three copies of everything")
	flags.IntVar(&o.ingresses, "ingress", 2, "replicas of ingress behind the balancer: 1 to 4")
	flags.IntVar(&o.responders, "responder", 2, "replicas of the responder: 1 to 4")
	flags.StringVar(&o.dir, "dir", "", "folder for the logs and the data, which is kept; a temporary one without it")
	flags.BoolVar(&o.keep, "keep", false, "keep the temporary folder of a good run too")
	troubles := flags.String("trouble", strings.Join(allTroubles(), ","), "kinds of trouble")
	targets := flags.String("targets", strings.Join(allTargets, ","), "what the first three kinds come to")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	var errs []error
	o.troubles = some(&errs, "-trouble", *troubles, allTroubles())
	o.targets = some(&errs, "-targets", *targets, allTargets)
	for _, n := range []struct {
		name             string
		got, least, most int
	}{{"customers", o.customers, 1, 100_000}, {"messages", o.messages, 1, mostMessages}, {"accounts", o.accounts, 1, 100}, {"ingress", o.ingresses, 1, 4}, {"responder", o.responders, 1, 4}} {
		if n.got < n.least || n.got > n.most {
			errs = append(errs, fmt.Errorf("-%s: got %d, expected %d to %d", n.name, n.got, n.least, n.most))
		}
	}
	if o.nodes != 1 && o.nodes != 3 {
		errs = append(errs, fmt.Errorf("-nodes: got %d, expected 1 or 3", o.nodes))
	}
	if o.duration < time.Second || o.rate < 0 {
		errs = append(errs, errors.New("-duration, -rate: expected 1s or more, and 0 or more"))
	}
	if flags.NArg() > 0 {
		errs = append(errs, fmt.Errorf("got %q, expected flags only", flags.Args()))
	}
	if o.rate == 0 {
		o.rate = float64(o.customers*o.messages) / o.duration.Seconds()
	}
	return o, errors.Join(errs...)
}

// some splits a list and refuses what is not known.
func some(errs *[]error, name, list string, known []string) []string {
	var out []string
	for s := range strings.SplitSeq(list, ",") {
		switch s = strings.TrimSpace(s); {
		case s == "":
		case !slices.Contains(known, s):
			*errs = append(*errs, fmt.Errorf("%s: got %q, expected some of %s", name, s, strings.Join(known, ", ")))
		default:
			out = append(out, s)
		}
	}
	return out
}

// account is the id of the nth account.
func account(n int) string { return fmt.Sprintf("1784140000000%04d", n+1) }

// token is the access token of an account.
func token(n int) string { return fmt.Sprintf("chaos-token-%d", n+1) }

// replicas is how many there are of a service.
func (o options) replicas(service string) int {
	switch service {
	case "ingress":
		return o.ingresses
	case "responder":
		return o.responders
	default:
		return 2
	}
}
