package play

import (
	"sync"
	"time"

	"github.com/parley-dm/parley/services/simulator/internal/webhooks"
)

// defaultBatchWait is how long a batch waits for more when the fault does not say it.
const defaultBatchWait = 200 * time.Millisecond

// batch collects items of any account into one webhook. Batches leave one after another, so that the order in them is the
// order in which things happened.
type batch struct {
	mu     sync.Mutex
	parts  []webhooks.Part
	jobs   []webhooks.Job
	timer  *time.Timer
	closed bool
}

func (b *batch) add(p *Player, part webhooks.Part, job webhooks.Job, fault WebhookFault) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return webhooks.ErrClosed
	}
	b.parts, b.jobs = append(b.parts, part), append(b.jobs, job)
	if len(b.parts) >= fault.Batch {
		return b.flush(p)
	}
	if len(b.parts) == 1 {
		wait := fault.BatchWait
		if wait <= 0 {
			wait = defaultBatchWait
		}
		b.timer = time.AfterFunc(wait, func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			_ = b.flush(p) // who said it was told long ago that it will be sent
		})
	}
	return nil
}

// flush sends what is collected, with b.mu held.
func (b *batch) flush(p *Player) error {
	if b.timer != nil {
		b.timer.Stop()
		b.timer = nil
	}
	if len(b.parts) == 0 || b.closed {
		return nil
	}
	parts, jobs := b.parts, b.jobs
	b.parts, b.jobs = nil, nil
	err := p.deps.Webhooks.Send(webhooks.Job{
		Lane: "batch", Body: webhooks.Body(p.deps.World.Now(), parts...),
		Gone: func() bool {
			for _, j := range jobs {
				if !j.Gone() {
					return false
				}
			}
			return true
		},
		Began: func(at time.Time) {
			for _, j := range jobs {
				if j.Began != nil {
					j.Began(at)
				}
			}
		},
		Told: func(o webhooks.Outcome) {
			for _, j := range jobs {
				j.Told(o)
			}
		},
	})
	if err != nil {
		for _, j := range jobs {
			j.Told(webhooks.Outcome{Final: true, Began: time.Now(), Err: err})
		}
	}
	return err
}

func (b *batch) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	if b.timer != nil {
		b.timer.Stop()
	}
}
