package pipeline_test

import (
	"testing"

	"go.uber.org/goleak"
)

// A Watermill router whose start failed leaves one goroutine, which waits for the handlers that it never started; the process
// ends then.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/ThreeDotsLabs/watermill/message.(*Router).watchAllHandlersStopped.func1"))
}
