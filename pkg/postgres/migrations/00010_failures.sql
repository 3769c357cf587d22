-- +goose Up
CREATE INDEX messages_failures ON messages (status, timestamp DESC, id DESC)
    WHERE direction = 'outbound' AND status IN ('failed', 'expired', 'unknown');
COMMENT ON INDEX messages_failures IS 'Lists what was not sent, or perhaps was not, of each status the newest first.';

CREATE TABLE failure_decisions (
    message_id uuid        PRIMARY KEY REFERENCES messages (id) ON DELETE CASCADE,
    decision   text        NOT NULL,
    intent_id  text,
    decided_at timestamptz NOT NULL DEFAULT now(),
    decided_by text        NOT NULL,
    CONSTRAINT failure_decisions_decision_check CHECK (decision IN ('send_again', 'was_sent'))
);
COMMENT ON TABLE failure_decisions IS 'What a person decided about a message that failed, expired or was unknown: it is decided once, and is no open failure any more.';
COMMENT ON COLUMN failure_decisions.intent_id IS 'The reply intent that sends it again.';
COMMENT ON COLUMN failure_decisions.decided_by IS 'Their e-mail address then.';

-- +goose Down
DROP TABLE failure_decisions;
DROP INDEX messages_failures;
