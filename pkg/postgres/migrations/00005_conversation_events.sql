-- +goose Up
CREATE INDEX events_of_conversation ON events (account, customer, time DESC, id) WHERE customer IS NOT NULL;
COMMENT ON INDEX events_of_conversation IS 'Lists what happened in one conversation, newest first, such as why a message was not answered; finds what is erased with a customer.';

-- Rules that are older than the history get the version that they have.
INSERT INTO response_rule_versions (rule_id, version, change, at, by, rule)
SELECT r.id, r.version, 'created', r.created_at, r.updated_by, to_jsonb(r) FROM response_rules r
WHERE isfinite(r.created_at) AND NOT EXISTS (SELECT FROM response_rule_versions v WHERE v.rule_id = r.id);

-- +goose Down
DROP INDEX events_of_conversation;
