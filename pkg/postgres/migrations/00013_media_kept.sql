-- +goose Up
ALTER TABLE media
    ADD COLUMN attempts integer     NOT NULL DEFAULT 0,
    ADD COLUMN due      timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN store    text,
    DROP CONSTRAINT media_status_check,
    DROP CONSTRAINT media_stored_check,
    ADD CONSTRAINT media_status_check CHECK (status IN ('pending', 'stored', 'failed', 'deleted')),
    ADD CONSTRAINT media_pending_check CHECK (status <> 'pending' OR key IS NOT NULL),
    ADD CONSTRAINT media_stored_check CHECK (
        status <> 'stored' OR key IS NOT NULL AND store IS NOT NULL AND content_type IS NOT NULL AND bytes IS NOT NULL AND sha256 IS NOT NULL);
COMMENT ON COLUMN media.position IS 'Which of the message''s attachments, from 0. Its URL is there: messages.metadata->''attachments''.';
COMMENT ON COLUMN media.status IS 'pending: to be fetched when it is due; stored; failed for good, for the reason that is given; or deleted with its message.';
COMMENT ON COLUMN media.reason IS 'Why the last attempt failed.';
COMMENT ON COLUMN media.key IS 'Where it is in the store, from when the row was made. No other row ever has it.';
COMMENT ON COLUMN media.attempts IS 'How often fetching it was begun. Who finishes an attempt that is not the last one changes nothing.';
COMMENT ON COLUMN media.due IS 'When a pending one is fetched; while it is being fetched, when somebody else tries if nothing comes of it.';
COMMENT ON COLUMN media.store IS 'The store that has the file, or may have it: dir:ID or s3:ENDPOINT/BUCKET; null before it was first tried.';

DROP INDEX media_of_key;
CREATE INDEX media_due ON media (due) WHERE status = 'pending';
COMMENT ON INDEX media_due IS 'What is to be fetched next.';

CREATE TABLE media_removals (
    store    text        NOT NULL,
    key      text        NOT NULL,
    due      timestamptz NOT NULL DEFAULT now(),
    attempts integer     NOT NULL DEFAULT 0,
    PRIMARY KEY (store, key)
);
COMMENT ON TABLE media_removals IS 'Files that no message has any more, until an archiver with their store has removed them.';
COMMENT ON COLUMN media_removals.due IS 'Not before whoever may be fetching it right now has given up.';

CREATE INDEX media_removals_due ON media_removals (store, due);
COMMENT ON INDEX media_removals_due IS 'What is to be removed next from one store.';

-- +goose StatementBegin
CREATE FUNCTION parley_media_left() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO media_removals AS r (store, key, due)
    VALUES (OLD.store, OLD.key, greatest(now(), CASE OLD.status WHEN 'pending' THEN OLD.due END))
    ON CONFLICT (store, key) DO UPDATE SET due = greatest(r.due, excluded.due);
    RETURN NULL;
END
$$;
-- +goose StatementEnd
COMMENT ON FUNCTION parley_media_left() IS 'Has the file removed of a row that is gone, or that has none any more, whoever took it away.';

CREATE TRIGGER media_gone AFTER DELETE ON media
    FOR EACH ROW WHEN (OLD.store IS NOT NULL AND OLD.key IS NOT NULL) EXECUTE FUNCTION parley_media_left();
CREATE TRIGGER media_left AFTER UPDATE ON media
    FOR EACH ROW WHEN (OLD.store IS NOT NULL AND OLD.key IS NOT NULL
        AND (NEW.status IN ('failed', 'deleted') AND OLD.status NOT IN ('failed', 'deleted') OR NEW.store IS DISTINCT FROM OLD.store OR NEW.key IS DISTINCT FROM OLD.key))
    EXECUTE FUNCTION parley_media_left();

-- +goose Down
DROP TABLE media_removals;
DROP TRIGGER media_left ON media;
DROP TRIGGER media_gone ON media;
DROP FUNCTION parley_media_left();
DROP INDEX media_due;
DELETE FROM media WHERE status = 'pending';
ALTER TABLE media
    DROP CONSTRAINT media_pending_check,
    DROP CONSTRAINT media_stored_check,
    DROP CONSTRAINT media_status_check,
    ADD CONSTRAINT media_status_check CHECK (status IN ('stored', 'failed', 'deleted')),
    ADD CONSTRAINT media_stored_check CHECK (status <> 'stored' OR key IS NOT NULL AND content_type IS NOT NULL AND bytes IS NOT NULL AND sha256 IS NOT NULL),
    DROP COLUMN attempts,
    DROP COLUMN due,
    DROP COLUMN store;
CREATE INDEX media_of_key ON media (key) WHERE status = 'stored';
COMMENT ON INDEX media_of_key IS 'Says whether another message has the same content, before it is removed.';
