package doctor

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// mediaState counts what should have been done by now, and what could not be.
const mediaState = `
SELECT (SELECT count(*) FROM media WHERE status = 'pending' AND created_at < now() - interval '1 hour'),
       (SELECT count(*) FROM media WHERE status = 'failed' AND updated_at > now() - interval '1 day'),
       (SELECT count(*) FROM media WHERE status = 'stored' AND updated_at > now() - interval '1 day'),
       (SELECT count(*) FROM media_removals WHERE due < now() - interval '1 hour')`

// media looks at what is kept of attachments, and at what should be gone.
func (p Patient) media(ctx context.Context, r *report, conn *pgx.Conn) {
	const check = "media"
	var waiting, failed, stored, leftovers int64
	if err := conn.QueryRow(ctx, mediaState).Scan(&waiting, &failed, &stored, &leftovers); err != nil {
		r.problem(check, "give the user of DATABASE_URL the right to read the tables", "%v", err)
		return
	}
	if leftovers > 0 {
		r.problem(check, "run an archiver with the store that they are in (MEDIA_DIR, MEDIA_S3_BUCKET; media_removals.store names it)", "%d files of erased messages are not removed yet", leftovers)
	}
	switch {
	case !p.KeepsMedia && waiting > 0:
		r.warn(check, "set MEDIA_DIR or MEDIA_S3_BUCKET for the archivers again, or leave it: Meta's links to them expire", "attachments are not kept, and %d wait that were to be", waiting)
	case !p.KeepsMedia:
		r.ok(check, "attachments are not kept, only Meta's links to them, which expire")
	case waiting > 0:
		r.warn(check, "see whether an archiver runs, and its log for media.attempted and media.waiting: Meta's links expire within days", "%d attachments wait for more than an hour", waiting)
	case failed > 0:
		r.warn(check, "SELECT reason, count(*) FROM media WHERE status = 'failed' GROUP BY reason tells why", "%d attachments could not be kept in a day, and %d were", failed, stored)
	default:
		r.ok(check, "%d attachments were kept in a day, and none wait", stored)
	}
}
