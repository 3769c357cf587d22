package measure

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/parley-dm/parley/bench/internal/site"
)

// profile takes a CPU profile of the one process while it is under load. The function that it returns waits for it.
func (b *Bench) profile(ctx context.Context, in *site.Installation, name string) (wait func() error) {
	if in.Pprof == "" {
		return func() error { return nil }
	}
	done := make(chan error, 1)
	go func() {
		seconds := max(1, int(b.o.Each/time.Second))
		err := save(ctx, fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", in.Pprof, seconds), filepath.Join(b.o.ProfileDir, name+".cpu.pprof"))
		done <- errors.Join(err, save(ctx, "http://"+in.Pprof+"/debug/pprof/allocs", filepath.Join(b.o.ProfileDir, name+".allocs.pprof")))
	}()
	return func() error { return <-done }
}

func save(ctx context.Context, url, file string) (err error) {
	resp, err := site.Get(ctx, url)
	if err != nil {
		return fmt.Errorf("take a profile: %w", err)
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	out, err := os.Create(file) //nolint:gosec // the caller names the folder
	if err != nil {
		return fmt.Errorf("save a profile: %w", err)
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_, err = io.Copy(out, resp.Body)
	return err
}
