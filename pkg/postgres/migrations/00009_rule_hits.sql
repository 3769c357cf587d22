-- +goose Up
CREATE INDEX messages_of_rule ON messages ((metadata #>> '{intent,rule_id}'), timestamp DESC)
    WHERE direction = 'outbound' AND metadata #>> '{intent,rule_id}' IS NOT NULL AND metadata #>> '{intent,part}' = '0';
COMMENT ON INDEX messages_of_rule IS 'Counts how often a rule answered in the last days, up to a bound: one row for each answer, its first message.';

-- +goose Down
DROP INDEX messages_of_rule;
