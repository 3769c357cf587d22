-- +goose Up
CREATE TABLE response_rules (
    id            uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    name          text        NOT NULL,
    keywords      text[]      NOT NULL,
    match_type    text        NOT NULL DEFAULT 'contains',
    response_text text        NOT NULL,
    priority      integer     NOT NULL DEFAULT 0,
    is_active     boolean     NOT NULL DEFAULT true,
    created_at    timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT response_rules_match_type_check CHECK (match_type IN ('exact', 'contains', 'regex'))
);
COMMENT ON TABLE response_rules IS 'What is answered. The active rule with the highest priority wins, the oldest among equals.';
COMMENT ON COLUMN response_rules.keywords IS 'Words or, for regex, RE2 expressions; one that matches is enough. Case does not matter.';

CREATE INDEX response_rules_active ON response_rules (priority DESC, created_at, id) WHERE is_active;
COMMENT ON INDEX response_rules_active IS 'Loads the active rules in the order in which they are tried.';

-- +goose StatementBegin
CREATE FUNCTION parley_rules_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('parley_rules', '');
    RETURN NULL;
END
$$;
-- +goose StatementEnd
COMMENT ON FUNCTION parley_rules_changed() IS 'Tells the responders, who LISTEN on parley_rules, to load the rules again.';

CREATE TRIGGER response_rules_changed
    AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON response_rules
    FOR EACH STATEMENT EXECUTE FUNCTION parley_rules_changed();

-- +goose Down
DROP TABLE response_rules;
DROP FUNCTION parley_rules_changed();
