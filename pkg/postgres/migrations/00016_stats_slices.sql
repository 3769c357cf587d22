-- +goose Up
CREATE TABLE stats_slices (
    account   text        NOT NULL,
    slice     timestamptz NOT NULL,
    inbound   bigint      NOT NULL,
    by_rule   bigint      NOT NULL,
    fallback  bigint      NOT NULL,
    by_person bigint      NOT NULL,
    failed    bigint      NOT NULL,
    delays    jsonb       NOT NULL DEFAULT '{}',
    PRIMARY KEY (slice, account)
);
COMMENT ON TABLE stats_slices IS 'How much was said in each five minutes of the hours that may still change: only what is new is counted, and stats_hours is their sums.';
COMMENT ON COLUMN stats_slices.slice IS 'Its first moment.';
COMMENT ON COLUMN stats_slices.delays IS 'As in stats_hours, of at most 41 replies.';

CREATE TABLE stats_slice_names (
    account text        NOT NULL,
    slice   timestamptz NOT NULL,
    kind    text        NOT NULL,
    id      text        NOT NULL,
    name    text        NOT NULL DEFAULT '',
    count   bigint      NOT NULL,
    PRIMARY KEY (slice, account, kind, id),
    CONSTRAINT stats_slice_names_kind_check CHECK (kind IN ('rule', 'language'))
);
COMMENT ON TABLE stats_slice_names IS 'How often each rule answered and each language was met in each five minutes; made with stats_slices.';

CREATE TABLE stats_counted (
    slice timestamptz PRIMARY KEY,
    at    timestamptz NOT NULL
);
COMMENT ON TABLE stats_counted IS 'When each five minutes were last counted, also those in which nothing was said.';

-- +goose Down
DROP TABLE stats_counted;
DROP TABLE stats_slice_names;
DROP TABLE stats_slices;
