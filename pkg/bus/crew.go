package bus

import (
	"errors"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// errUnwound is what a message gets whose handler ended its goroutine instead of returning.
var errUnwound = errors.New("the handler ended its goroutine (runtime.Goexit)")

// crew runs handlers on goroutines that have run others before. Watermill starts a goroutine for each message; its stack
// begins small and is moved twice before a handler has gone as deep as it goes, which costs more than the work of many
// handlers. A goroutine that stays has its stack already.
type crew struct {
	jobs chan *job
	idle chan struct{} // a place for each goroutine that waits for more
}

// linger is how long a goroutine waits for another job: it outlives a pause between two messages, and not the router.
const linger = 200 * time.Millisecond

// job is one call.
type job struct {
	h        message.HandlerFunc
	m        *message.Message
	produced []*message.Message
	err      error
	done     chan struct{}
}

// newCrew makes a crew of which at most so many wait for work.
func newCrew(idle int) *crew {
	return &crew{jobs: make(chan *job), idle: make(chan struct{}, idle)}
}

// middleware hands the rest to the crew.
func (c *crew) middleware(h message.HandlerFunc) message.HandlerFunc {
	return func(m *message.Message) ([]*message.Message, error) {
		j := &job{h: h, m: m, done: make(chan struct{})}
		select {
		case c.jobs <- j:
		default:
			go c.work(j)
		}
		<-j.done
		return j.produced, j.err
	}
}

// work does a job, and others after it for as long as there is a place to wait in and something to do.
func (c *crew) work(j *job) {
	j.run()
	timer := time.NewTimer(linger)
	defer timer.Stop()
	for {
		select {
		case c.idle <- struct{}{}:
		default:
			return
		}
		timer.Reset(linger)
		select {
		case j = <-c.jobs:
			<-c.idle
			j.run()
		case <-timer.C:
			<-c.idle
			return
		}
	}
}

func (j *job) run() {
	returned := false
	defer func() {
		if !returned {
			j.err = errUnwound
		}
		close(j.done)
	}()
	j.produced, j.err = j.h(j.m)
	returned = true
}
