-- +goose Up
CREATE TABLE events (
    id          text        PRIMARY KEY,
    channel     text        NOT NULL,
    account     text        NOT NULL,
    customer    text,
    kind        text        NOT NULL,
    mid         text,
    time        timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    data        jsonb       NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE events IS 'What happened and is neither a message nor a change of one: referrals, opt-ins, thread control, comments, mentions, and whatever was not understood.';
COMMENT ON COLUMN events.data IS 'The item as Meta sent it, under raw, and what was understood of it.';

CREATE INDEX events_of_account ON events (account, time DESC, id);
COMMENT ON INDEX events_of_account IS 'Lists what happened to an account, newest first, by keyset.';

-- +goose Down
DROP TABLE events;
