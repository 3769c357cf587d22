package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// torment carries the plan out and returns when everything is well again, as far as starting it makes it so.
func (w *world) torment(ctx context.Context, steps []step) error {
	var under sync.WaitGroup
	defer under.Wait()
	for _, s := range steps {
		if !wait(ctx, time.Until(w.began.Add(s.at))) {
			return ctx.Err()
		}
		under.Go(func() {
			if err := w.trouble(ctx, s); err != nil && ctx.Err() == nil {
				w.crash("%s %s: %v", s.what, s.who, err)
			}
		})
	}
	return nil
}

// trouble is one step, from its beginning to its end.
func (w *world) trouble(ctx context.Context, s step) error {
	// The plan leaves each its time to recover; on a busy machine it may take longer.
	if _, busy := w.places.LoadOrStore(place(s), true); busy {
		w.say("%s is not over what came before: it is spared a %s", s.who, s.what)
		return nil
	}
	defer w.places.Delete(place(s))
	switch {
	case s.who == "":
		return w.misbehave(ctx, s)
	case s.who == targetPostgres:
		return w.troublePostgres(ctx, s)
	case s.what == troubleStall:
		return w.stall(ctx, s)
	default:
		return w.down(ctx, s)
	}
}

// down ends a process, by force or in order, and starts it again.
func (w *world) down(ctx context.Context, s step) error {
	m := w.named(s.who)
	m.takeDown(true)
	defer m.takeDown(false)
	switch {
	case !m.Running(): // it ended by itself a moment ago
	case s.what == troubleKill:
		w.say("kill -9 %s, for %.1fs", s.who, s.lasts.Seconds())
		if err := m.Kill(); err != nil {
			return err
		}
	default:
		took, err := m.Terminate(stopTimeout)
		w.say("SIGTERM %s: it stopped in %.1fs, for %.1fs", s.who, took.Seconds(), s.lasts.Seconds())
		switch {
		case err == nil || isNATS(s.who):
		case took >= stopTimeout:
			w.crash("%s did not stop within %s", s.who, stopTimeout)
		default:
			w.note("%s stopped with exit code %d; it said last: %s", s.who, m.ExitCode(), m.last())
		}
	}
	wait(ctx, s.lasts)
	w.say("start %s", s.who)
	return m.Start()
}

// stall has a process stand still and go on.
func (w *world) stall(ctx context.Context, s step) error {
	m := w.named(s.who)
	if !m.Running() {
		return nil
	}
	w.say("SIGSTOP %s, for %.1fs", s.who, s.lasts.Seconds())
	if err := m.Signal(standStill); err != nil {
		return err
	}
	wait(ctx, s.lasts)
	w.say("SIGCONT %s", s.who)
	return m.Signal(goOn)
}

func (w *world) troublePostgres(ctx context.Context, s step) (err error) {
	after := context.WithoutCancel(ctx) // what is down is started, whatever happens
	switch s.what {
	case troubleStall:
		w.say("SIGSTOP postgres, for %.1fs", s.lasts.Seconds())
		err = w.postgres.Stall(ctx, true)
		wait(ctx, s.lasts)
		w.say("SIGCONT postgres")
		return errors.Join(err, w.postgres.Stall(after, false))
	case troubleKill:
		w.say("kill -9 postgres, for %.1fs", s.lasts.Seconds())
		err = w.postgres.Crash(ctx)
		wait(ctx, s.lasts)
		w.say("start postgres")
	default:
		w.say("restart postgres")
	}
	return errors.Join(err, w.postgres.Restart(after))
}

// misbehave has Meta do one of its faults for a while.
func (w *world) misbehave(ctx context.Context, s step) error {
	f := faultNamed(s.what)
	whom := ""
	if f.one {
		whom = " to account " + account(s.account)
	}
	w.say("Meta: %s%s, for %.1fs", s.what, whom, s.lasts.Seconds())
	ids, err := w.meta.misbehave(ctx, f, account(s.account))
	wait(ctx, s.lasts)
	w.say("Meta: no more %s", s.what)
	return errors.Join(err, w.meta.behave(context.WithoutCancel(ctx), ids))
}

// heal waits until everything runs and is ready. What ends by itself meanwhile is started again by its supervisor.
func (w *world) heal(ctx context.Context) error {
	deadline := time.Now().Add(readyTimeout)
	for _, m := range w.members {
		for err := m.ready(ctx); err != nil; err = m.ready(ctx) {
			if time.Now().After(deadline) || !wait(ctx, again) {
				return fmt.Errorf("%s: %w", m.Name, err)
			}
		}
	}
	w.say("everything runs and is ready again")
	return nil
}
