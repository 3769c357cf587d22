-- +goose Up
CREATE INDEX messages_by_time ON messages (timestamp);
COMMENT ON INDEX messages_by_time IS 'Counts what was said in an hour, for stats_hours; finds the newest messages of all conversations.';

CREATE INDEX messages_fallbacks ON messages (timestamp DESC, id)
    WHERE direction = 'outbound' AND metadata #>> '{intent,origin}' = 'fallback';
COMMENT ON INDEX messages_fallbacks IS 'Finds what no rule had an answer to, newest first.';

CREATE TABLE stats_hours (
    account   text        NOT NULL,
    hour      timestamptz NOT NULL,
    inbound   bigint      NOT NULL,
    by_rule   bigint      NOT NULL,
    fallback  bigint      NOT NULL,
    by_person bigint      NOT NULL,
    failed    bigint      NOT NULL,
    delays    jsonb       NOT NULL DEFAULT '{}',
    PRIMARY KEY (account, hour)
);
COMMENT ON TABLE stats_hours IS 'How much was said in each hour, counted from messages by the console; made again for the hours that may still change.';
COMMENT ON COLUMN stats_hours.by_rule IS 'Sent by a rule or an engine; fallback, by_person (the console or another app) and failed are the other outbound ones.';
COMMENT ON COLUMN stats_hours.delays IS 'How long customers waited for automatic replies, of at most 500 of the hour: how many in each bucket; bucket n ends at 10 ms times 1.25 to the power of n.';
CREATE INDEX stats_hours_of_all ON stats_hours (hour);
COMMENT ON INDEX stats_hours_of_all IS 'Reads a range of hours of all accounts.';

CREATE TABLE stats_names (
    account text        NOT NULL,
    hour    timestamptz NOT NULL,
    kind    text        NOT NULL,
    id      text        NOT NULL,
    name    text        NOT NULL DEFAULT '',
    count   bigint      NOT NULL,
    PRIMARY KEY (account, hour, kind, id),
    CONSTRAINT stats_names_kind_check CHECK (kind IN ('rule', 'language'))
);
COMMENT ON TABLE stats_names IS 'How often each rule answered and each language was met in each hour; made with stats_hours.';
CREATE INDEX stats_names_of_all ON stats_names (kind, hour);
COMMENT ON INDEX stats_names_of_all IS 'Reads a range of hours of all accounts.';

CREATE TABLE stats_done (
    single boolean     PRIMARY KEY DEFAULT true CHECK (single),
    until  timestamptz NOT NULL
);
COMMENT ON TABLE stats_done IS 'Until when stats_hours is complete.';

-- +goose Down
DROP TABLE stats_done;
DROP TABLE stats_names;
DROP TABLE stats_hours;
DROP INDEX messages_fallbacks;
DROP INDEX messages_by_time;
