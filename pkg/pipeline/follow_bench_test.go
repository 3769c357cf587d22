package pipeline_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/parley-dm/parley/pkg/bus/bustest"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/pipeline"
)

// BenchmarkFollowSent publishes deliveries with nobody and with somebody who follows them: the difference is what each reply
// costs more for the responder to know it again.
func BenchmarkFollowSent(b *testing.B) {
	for _, follows := range []bool{false, true} {
		b.Run(fmt.Sprintf("follows=%t", follows), func(b *testing.B) {
			p := newProcess(b, bustest.Start(b))
			stage := p.open("test")
			heard := make(chan struct{}, 1<<20)
			if follows {
				ready, done := make(chan struct{}, 2), make(chan error, 1)
				ctx, cancel := context.WithCancel(b.Context())
				defer func() {
					cancel()
					if err := <-done; err != nil {
						b.Error(err)
					}
				}()
				go func() {
					done <- stage.FollowSent(ctx, time.Minute, func(dm.Delivery) { heard <- struct{}{} }, func(behind bool) {
						if !behind {
							ready <- struct{}{}
						}
					})
				}()
				<-ready
			}
			const flight = 500
			for n := 0; b.Loop(); n++ {
				var out []pipeline.Outgoing
				for i := range flight {
					e := event(fmt.Sprint(7000+i), n)
					out = append(out, stage.Delivery(dm.Delivery{
						ID: dm.DeliveryID(e.ID, 0, dm.OutcomeSent), IntentID: e.ID, Of: 1, Conversation: e.Conversation, Outcome: dm.OutcomeSent, Origin: dm.OriginRule,
						MID: fmt.Sprintf("%0150d%d", n, i), Message: dm.Part{Kind: dm.PartText, Text: "29 €."}, Attempts: []dm.Attempt{{At: time.Now(), DurationMS: 12, Status: 200}},
					}, "c", "c"))
				}
				if err := stage.Publish(b.Context(), out...); err != nil {
					b.Fatal(err)
				}
				for range flight * boolInt(follows) {
					<-heard
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/flight, "ns/reply")
		})
	}
}

func boolInt(is bool) int {
	if is {
		return 1
	}
	return 0
}
