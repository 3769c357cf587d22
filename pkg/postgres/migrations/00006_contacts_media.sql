-- +goose Up
CREATE TABLE contacts (
    channel           text        NOT NULL,
    page_id           text        NOT NULL,
    instagram_user_id text        NOT NULL,
    name              text,
    username          text,
    picture_url       text,
    no_consent        boolean     NOT NULL DEFAULT false,
    fetched_at        timestamptz NOT NULL,
    PRIMARY KEY (channel, page_id, instagram_user_id)
);
COMMENT ON TABLE contacts IS 'Who customers are, as Meta told it last. The key is a conversation''s: a customer''s id is scoped to the account.';
COMMENT ON COLUMN contacts.picture_url IS 'Signed by Meta; it expires within days of fetched_at.';
COMMENT ON COLUMN contacts.no_consent IS 'Meta tells nothing of this customer.';
COMMENT ON COLUMN contacts.fetched_at IS 'When Meta told it; of two, the later counts.';

CREATE TABLE media (
    account      text        NOT NULL,
    mid          text        NOT NULL,
    position     integer     NOT NULL,
    type         text,
    status       text        NOT NULL,
    reason       text,
    key          text,
    content_type text,
    bytes        bigint,
    sha256       text,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account, mid, position),
    CONSTRAINT media_status_check CHECK (status IN ('stored', 'failed', 'deleted')),
    CONSTRAINT media_stored_check CHECK (status <> 'stored' OR key IS NOT NULL AND content_type IS NOT NULL AND bytes IS NOT NULL AND sha256 IS NOT NULL)
);
COMMENT ON TABLE media IS 'What became of the attachments of messages where media are kept (MEDIA_DIR, MEDIA_S3_BUCKET): one row for each attachment that has a URL.';
COMMENT ON COLUMN media.position IS 'Which of the message''s attachments, from 0; -1 says that the message was deleted before anything of it was stored.';
COMMENT ON COLUMN media.type IS 'What Meta calls it: image, video, audio, file, …';
COMMENT ON COLUMN media.status IS 'stored; failed, for the reason that is given; or deleted with its message.';
COMMENT ON COLUMN media.key IS 'Where it is in the store: account and hash of the content, so that the same content is kept once for each account.';
COMMENT ON COLUMN media.content_type IS 'What it is by its content, whatever the server said.';
COMMENT ON COLUMN media.sha256 IS 'Of the content, in hexadecimal.';

CREATE INDEX media_of_key ON media (key) WHERE status = 'stored';
COMMENT ON INDEX media_of_key IS 'Says whether another message has the same content, before it is removed.';

-- +goose Down
DROP TABLE media;
DROP TABLE contacts;
