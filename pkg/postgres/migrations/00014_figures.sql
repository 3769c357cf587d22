-- +goose Up
-- How common each origin is: without it the planner takes what the fallback answered for rare, and reads and sorts all of it for the newest.
CREATE STATISTICS messages_origin ON (metadata #>> '{intent,origin}') FROM messages;

CREATE INDEX events_hand_offs ON events (time)
    WHERE kind = 'hold' AND data #>> '{hold,reason}' = 'hand_off' AND data #>> '{hold,holder}' = 'person';
COMMENT ON INDEX events_hand_offs IS 'Counts the conversations that rules gave to a person in a time.';

-- +goose Down
DROP INDEX events_hand_offs;
DROP STATISTICS messages_origin;
