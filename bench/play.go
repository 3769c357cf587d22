package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/meta/webhook"
	"github.com/parley-dm/parley/services/standalone"
)

// The parts that this program plays in processes of their own.
const (
	playBare   = "bare"   // ADDR SECRET: the handler that ingress is compared with
	playParley = "parley" // ADDR: `parley serve`, with its profiles at ADDR
)

func play(ctx context.Context, args []string) int {
	var err error
	switch {
	case args[0] == playBare && len(args) == 3:
		err = serve(ctx, args[1], bare(config.Secret(args[2])))
	case args[0] == playParley && len(args) == 2:
		return profiled(ctx, args[1])
	default:
		err = fmt.Errorf("unknown arguments %q; -h lists the flags", args)
	}
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	return 0
}

// bare is the least that a webhook's handler must do.
func bare(secret config.Secret) http.Handler {
	secrets := []config.Secret{secret}
	r := chi.NewRouter()
	r.Get("/readyz", func(http.ResponseWriter, *http.Request) {})
	r.Post("/webhooks/instagram", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || webhook.Verify(r.Header.Get(webhook.SignatureHeader), body, secrets) != nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"status":"ok"}` + "\n"))
	})
	return r
}

// profiled is parley's serve, from the code that the binary has, which itself tells no profiles.
func profiled(ctx context.Context, addr string) int {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	go func() { _ = serve(ctx, addr, mux) }()
	return standalone.Execute(ctx, standalone.Invocation{Args: []string{"serve"}, Environ: os.Environ(), Stdout: os.Stdout, Stderr: os.Stderr}) //nolint:forbidigo // this process is a program of its own
}

func serve(ctx context.Context, addr string, h http.Handler) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
