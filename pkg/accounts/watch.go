package accounts

import (
	"context"
	"os"
	"time"
)

// stamp is what changes when a file is written or replaced.
type stamp struct {
	modified time.Time
	size     int64
	exists   bool
}

func stampOf(path string) stamp {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{}
	}
	return stamp{modified: info.ModTime(), size: info.Size(), exists: true}
}

// tokensPerTick bounds how many token files are looked at in one tick: a hundred thousand of them must not keep a core busy.
const tokensPerTick = 500

// watch notices changes of the accounts file and of the token files that it names.
//
// It polls. Notification by the kernel does not see the swapped symlinks of a Kubernetes ConfigMap unless the right
// directory is watched, nor anything on NFS and on the bind mounts of a desktop's Docker; a stat a second costs microseconds and
// works everywhere. A change counts once the file has kept still for one tick, so that a half-written file, which may well
// be valid YAML with accounts missing, is not taken for a whole one.
type watch struct {
	path         string
	loaded, seen stamp
	tokens       []string
	stamps       map[string]stamp
	next         int
}

// before notes the file as it is before it is read: a write during the reading is then seen as a change.
func (w *watch) before(path string) {
	w.path = path
	w.loaded = stampOf(path)
	w.seen = w.loaded
}

// read notes the token files that were read.
func (w *watch) read(tokens *tokenFiles) {
	w.tokens, w.stamps, w.next = nil, nil, 0
	if tokens != nil {
		w.tokens, w.stamps = tokens.paths, tokens.stamps
	}
}

// due says whether the files changed since they were read, and have settled.
func (w *watch) due() bool {
	now := stampOf(w.path)
	settled := now == w.seen
	w.seen = now
	if now != w.loaded {
		return settled
	}
	for range min(tokensPerTick, len(w.tokens)) {
		path := w.tokens[w.next]
		w.next = (w.next + 1) % len(w.tokens)
		if stampOf(path) != w.stamps[path] {
			return true
		}
	}
	return false
}

// Run follows ACCOUNTS_FILE and its token files until the context ends; without a file it only waits. A new file that is
// broken is reported, and the accounts stay as they were until it is mended.
func (b *Book) Run(ctx context.Context) error {
	if b.o.Settings.AccountsFile == "" {
		<-ctx.Done()
		return nil
	}
	ticker := time.NewTicker(b.o.Every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			if b.watch.due() {
				b.reload()
			}
		}
	}
}

func (b *Book) reload() {
	b.watch.before(b.o.Settings.AccountsFile)
	accounts, tokens, err := b.read()
	if err != nil {
		b.setProblem(err)
		b.watch.read(tokens) // a token file that was missing is looked for again
		b.log.Error("accounts.file_broken", "error", err, "kept", len(b.All()))
		return
	}
	b.watch.read(tokens)
	if b.set(accounts) {
		b.log.Info("accounts.reloaded", "accounts", len(accounts))
	}
}
