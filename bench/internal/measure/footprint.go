package measure

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/jackc/pgx/v5"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/parley-dm/parley/bench/internal/site"
)

// footprint is what the one process takes at a moment, sizes in bytes.
type footprint struct {
	resident, heap, goroutines, files float64 // as the process tells
	bus, spool                        float64 // what the files of its folders have in them
	rows, wal                         float64 // as PostgreSQL tells: the database, and the log of the server
}

// look takes a footprint.
func look(ctx context.Context, in *site.Installation) (f footprint, err error) {
	gauges, err := gauges(ctx, in.Admin(site.ProgramParley))
	if err != nil {
		return f, err
	}
	for name, into := range map[string]*float64{
		"process_resident_memory_bytes": &f.resident, "go_memstats_heap_inuse_bytes": &f.heap,
		"go_goroutines": &f.goroutines, "process_open_fds": &f.files,
	} {
		metrics := gauges[name].GetMetric()
		if len(metrics) != 1 {
			return f, fmt.Errorf("read the metrics: expected one %s, got %d", name, len(metrics))
		}
		*into = metrics[0].GetGauge().GetValue()
	}
	if f.bus, err = content(in.Data); err != nil {
		return f, err
	}
	if f.spool, err = content(in.Spool); err != nil {
		return f, err
	}
	conn, err := pgx.Connect(ctx, in.Database)
	if err != nil {
		return f, fmt.Errorf("read the database's size: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	const sizes = "SELECT pg_database_size(current_database())::float8, (SELECT sum(size)::float8 FROM pg_ls_waldir())"
	if err := conn.QueryRow(ctx, sizes).Scan(&f.rows, &f.wal); err != nil {
		return f, fmt.Errorf("read the database's size: %w", err)
	}
	return f, nil
}

// gauges are what a process tells at its admin address.
func gauges(ctx context.Context, admin string) (map[string]*dto.MetricFamily, error) {
	resp, err := site.Get(ctx, "http://"+admin+"/metrics")
	if err != nil {
		return nil, fmt.Errorf("read the metrics: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	return parser.TextToMetricFamilies(resp.Body)
}

// content is how many bytes the files below a folder have. Those that go meanwhile are not counted.
func content(folder string) (bytes float64, err error) {
	err = filepath.WalkDir(folder, func(_ string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			info, infoErr := entry.Info()
			if err = infoErr; err == nil {
				bytes += float64(info.Size())
			}
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("read the size of a folder: %w", err)
	}
	return bytes, nil
}
