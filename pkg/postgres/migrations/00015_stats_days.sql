-- +goose Up
CREATE TABLE stats_days (
    account   text        NOT NULL,
    day       timestamptz NOT NULL,
    inbound   bigint      NOT NULL,
    by_rule   bigint      NOT NULL,
    fallback  bigint      NOT NULL,
    by_person bigint      NOT NULL,
    failed    bigint      NOT NULL,
    delays    jsonb       NOT NULL DEFAULT '{}',
    busy      bigint[]    NOT NULL,
    PRIMARY KEY (account, day)
);
COMMENT ON TABLE stats_days IS 'The sums of stats_hours by day, for a quarter or a year to be read at once.';
COMMENT ON COLUMN stats_days.day IS 'Its first moment, of a day in UTC.';
COMMENT ON COLUMN stats_days.busy IS 'stats_hours.inbound of each hour of the day, 24 of them.';
CREATE INDEX stats_days_of_all ON stats_days (day);
COMMENT ON INDEX stats_days_of_all IS 'Reads a range of days of all accounts.';

CREATE TABLE stats_day_names (
    account text        NOT NULL,
    day     timestamptz NOT NULL,
    kind    text        NOT NULL,
    id      text        NOT NULL,
    name    text        NOT NULL DEFAULT '',
    count   bigint      NOT NULL,
    PRIMARY KEY (account, day, kind, id),
    CONSTRAINT stats_day_names_kind_check CHECK (kind IN ('rule', 'language'))
);
COMMENT ON TABLE stats_day_names IS 'The sums of stats_names by day; made with stats_days.';
CREATE INDEX stats_day_names_of_all ON stats_day_names (kind, day);
COMMENT ON INDEX stats_day_names_of_all IS 'Reads a range of days of all accounts.';

INSERT INTO stats_days (account, day, inbound, by_rule, fallback, by_person, failed, delays, busy)
SELECT d.account, d.day, d.inbound, d.by_rule, d.fallback, d.by_person, d.failed,
    coalesce((SELECT jsonb_object_agg(b.bucket, b.n) FROM (
        SELECT e.key AS bucket, sum(e.value::bigint) AS n FROM stats_hours h CROSS JOIN LATERAL jsonb_each_text(h.delays) e
        WHERE h.account = d.account AND h.hour >= d.day AND h.hour < d.day + interval '24 hours' GROUP BY e.key) b), '{}'),
    ARRAY (SELECT coalesce(h.inbound, 0) FROM generate_series(0, 23) n
        LEFT JOIN stats_hours h ON h.account = d.account AND h.hour = d.day + n * interval '1 hour' ORDER BY n)
FROM (
    SELECT account, date_trunc('day', hour, 'UTC') AS day, sum(inbound) AS inbound, sum(by_rule) AS by_rule, sum(fallback) AS fallback,
        sum(by_person) AS by_person, sum(failed) AS failed
    FROM stats_hours GROUP BY 1, 2
) d;

INSERT INTO stats_day_names (account, day, kind, id, name, count)
SELECT account, date_trunc('day', hour, 'UTC'), kind, id, max(name), sum(count) FROM stats_names GROUP BY 1, 2, 3, 4;

-- +goose Down
DROP TABLE stats_day_names;
DROP TABLE stats_days;
