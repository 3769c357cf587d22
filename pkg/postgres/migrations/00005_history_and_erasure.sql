-- +goose Up
CREATE INDEX events_of_conversation ON events (account, customer, time DESC, id) WHERE customer IS NOT NULL;
COMMENT ON INDEX events_of_conversation IS 'Lists what happened in one conversation, newest first, such as why a message was not answered; finds what is erased with a customer.';

-- Rules that are older than the history get the version that they have.
INSERT INTO response_rule_versions (rule_id, version, change, at, by, rule)
SELECT r.id, r.version, 'created', r.created_at, r.updated_by, to_jsonb(r) FROM response_rules r
WHERE isfinite(r.created_at) AND NOT EXISTS (SELECT FROM response_rule_versions v WHERE v.rule_id = r.id);

CREATE TABLE erasures (
    id      bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      timestamptz NOT NULL DEFAULT now(),
    by      text        NOT NULL,
    scope   text        NOT NULL,
    account text,
    subject bytea,
    before  timestamptz,
    counts  jsonb       NOT NULL DEFAULT '{}',
    CONSTRAINT erasures_scope_check CHECK (scope IN ('customer', 'message', 'age'))
);
COMMENT ON TABLE erasures IS 'What was erased, when and by whom; nothing of what it was. Erase again what a restored backup brings back.';
COMMENT ON COLUMN erasures.subject IS 'SHA-256 of account:customer or account:mid, to be recognised by who knows it; null for an erasure by age.';
COMMENT ON COLUMN erasures.before IS 'Of an erasure by age: what was older was erased.';
COMMENT ON COLUMN erasures.counts IS 'How many rows of each table, messages of each stream and keys of each bucket.';

-- +goose Down
DROP TABLE erasures;
DROP INDEX events_of_conversation;
