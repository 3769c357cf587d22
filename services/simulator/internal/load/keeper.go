package load

import (
	"context"
	"errors"
	"sync"
)

// ErrRunning says that one load at a time is enough.
var ErrRunning = errors.New("a load is running already: wait for it or stop it")

// Status is a run that was started over the API.
type Status struct {
	Progress Progress `json:"progress"`
	// Result is there when it is done.
	Result *Result `json:"result,omitempty"`
	Error  string  `json:"error,omitempty"`
}

// Keeper runs loads in the background, one at a time.
type Keeper struct {
	deps Deps

	mu      sync.Mutex
	running bool
	started bool
	status  Status
	cancel  context.CancelFunc
	wg      sync.WaitGroup
}

// NewKeeper makes a keeper; Close ends it.
func NewKeeper(d Deps) *Keeper { return &Keeper{deps: d, cancel: func() {}} }

// Start begins a run.
func (k *Keeper) Start(o Options) error {
	if err := o.prepare(); err != nil {
		return err
	}
	if _, err := o.accounts(k.deps.World); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.running {
		return ErrRunning
	}
	ctx, cancel := context.WithCancel(context.Background())
	k.running, k.started, k.cancel = true, true, cancel
	k.status = Status{Progress: Progress{Phase: PhaseSending, Total: o.total(), For: o.For}}
	k.wg.Go(func() {
		defer cancel()
		result, err := Run(ctx, k.deps, o, func(p Progress) {
			k.mu.Lock()
			defer k.mu.Unlock()
			// Done is told with the result, below.
			if p.Phase != PhaseDone {
				k.status.Progress = p
			}
		})
		k.mu.Lock()
		defer k.mu.Unlock()
		k.running = false
		k.status.Progress.Phase, k.status.Result = PhaseDone, &result
		if err != nil {
			k.status.Error = err.Error()
		}
	})
	return nil
}

// Status is that of the run that goes on, or of the last one.
func (k *Keeper) Status() (Status, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.status, k.started
}

// Stop ends the sending; the verdict is over what was sent.
func (k *Keeper) Stop() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.cancel()
}

// Close stops and waits.
func (k *Keeper) Close() {
	k.Stop()
	k.wg.Wait()
}
