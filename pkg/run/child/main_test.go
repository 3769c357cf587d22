package child_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

// envPlay makes the test binary play a child instead of running tests.
const envPlay = "CHILD_TEST_PLAY"

func TestMain(m *testing.M) {
	if role := os.Getenv(envPlay); role != "" {
		os.Exit(play(role))
	}
	goleak.VerifyTestMain(m)
}

// play is the child's side.
func play(role string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	fmt.Println("playing", role, "with", os.Getenv("CHILD_TEST_SECRET"))
	switch role {
	case "fails":
		return 3
	case "deaf":
		signal.Ignore(syscall.SIGTERM)
		serve()
		select {}
	default:
		serve()
		<-ctx.Done()
		return 0
	}
}

// serve answers /readyz on the address that the environment names.
func serve() {
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", os.Getenv("CHILD_TEST_ADMIN"))
	if err != nil {
		fmt.Println(err)
		os.Exit(4)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
	go func() { _ = server.Serve(listener) }()
}
