-- +goose Up
ALTER TABLE response_rules
    ALTER COLUMN keywords SET DEFAULT '{}',
    ALTER COLUMN response_text SET DEFAULT '',
    DROP CONSTRAINT response_rules_match_type_check,
    ADD CONSTRAINT response_rules_match_type_check
        CHECK (match_type IN ('exact', 'contains', 'regex', 'word', 'starts_with', 'all_of')),
    ADD COLUMN conditions jsonb       NOT NULL DEFAULT '{}',
    ADD COLUMN actions    jsonb       NOT NULL DEFAULT '{}',
    ADD COLUMN limits     jsonb       NOT NULL DEFAULT '{}',
    ADD COLUMN version    integer     NOT NULL DEFAULT 1,
    ADD COLUMN updated_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN updated_by text,
    ADD CONSTRAINT response_rules_objects_check
        CHECK (jsonb_typeof(conditions) = 'object' AND jsonb_typeof(actions) = 'object' AND jsonb_typeof(limits) = 'object');
COMMENT ON COLUMN response_rules.keywords IS 'Words or, for regex, RE2 expressions; one that matches is enough, but for all_of. Case does not matter. None at all: the conditions decide alone.';
COMMENT ON COLUMN response_rules.response_text IS 'What is said, a template; empty where actions say what is done.';
COMMENT ON COLUMN response_rules.conditions IS 'What else must hold: occasions, payloads, languages, accounts, customers, labels, hours, …';
COMMENT ON COLUMN response_rules.actions IS 'What is done beyond the text: parts, answers by language, private reply, hand-off, labels, …';
COMMENT ON COLUMN response_rules.limits IS 'How often: once_per_customer, cooldown, from, until.';
COMMENT ON COLUMN response_rules.version IS 'Grows with each change, by whatever means; response_rule_versions keeps each.';
COMMENT ON COLUMN response_rules.updated_by IS 'Who changed it last, where the program said; a change by psql without it is nobody''s.';

CREATE TABLE response_rule_versions (
    rule_id uuid        NOT NULL,
    version integer     NOT NULL,
    change  text        NOT NULL,
    at      timestamptz NOT NULL DEFAULT now(),
    by      text,
    rule    jsonb       NOT NULL,
    PRIMARY KEY (rule_id, version),
    CONSTRAINT response_rule_versions_change_check CHECK (change IN ('created', 'updated', 'deleted'))
);
COMMENT ON TABLE response_rule_versions IS 'Every version of every rule, by whatever means it was changed: the history, and what undo goes back to.';
COMMENT ON COLUMN response_rule_versions.rule IS 'The row as it was after the change; before it, for deleted.';

CREATE INDEX response_rule_versions_newest ON response_rule_versions (at DESC, rule_id, version);
COMMENT ON INDEX response_rule_versions_newest IS 'Lists the changes of all rules, newest first, by keyset.';

-- +goose StatementBegin
CREATE FUNCTION parley_rule_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        NEW.version := coalesce((SELECT max(v.version) FROM response_rule_versions v WHERE v.rule_id = NEW.id), 0) + 1;
    ELSIF to_jsonb(NEW) - '{version,updated_at,updated_by}'::text[] = to_jsonb(OLD) - '{version,updated_at,updated_by}'::text[] THEN
        RETURN OLD;
    ELSE
        NEW.version := OLD.version + 1;
    END IF;
    NEW.updated_at := now();
    RETURN NEW;
END
$$;
-- +goose StatementEnd
COMMENT ON FUNCTION parley_rule_version() IS 'Counts the versions of a rule, whoever changes it.';

-- +goose StatementBegin
CREATE FUNCTION parley_rule_history() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO response_rule_versions (rule_id, version, change, by, rule)
        VALUES (OLD.id, OLD.version + 1, 'deleted', nullif(current_setting('parley.actor', true), ''), to_jsonb(OLD));
    ELSIF TG_OP = 'INSERT' OR NEW.version <> OLD.version THEN
        INSERT INTO response_rule_versions (rule_id, version, change, by, rule)
        VALUES (NEW.id, NEW.version, CASE TG_OP WHEN 'INSERT' THEN 'created' ELSE 'updated' END, NEW.updated_by, to_jsonb(NEW));
    END IF;
    RETURN NULL;
END
$$;
-- +goose StatementEnd
COMMENT ON FUNCTION parley_rule_history() IS 'Keeps each version of a rule. A program that deletes says who it is with SET LOCAL parley.actor.';

CREATE TRIGGER response_rules_version BEFORE INSERT OR UPDATE ON response_rules
    FOR EACH ROW EXECUTE FUNCTION parley_rule_version();
CREATE TRIGGER response_rules_history AFTER INSERT OR UPDATE OR DELETE ON response_rules
    FOR EACH ROW EXECUTE FUNCTION parley_rule_history();

-- +goose Down
DROP TRIGGER response_rules_version ON response_rules;
DROP TRIGGER response_rules_history ON response_rules;
DROP FUNCTION parley_rule_version();
DROP FUNCTION parley_rule_history();
DROP TABLE response_rule_versions;
DELETE FROM response_rules WHERE match_type NOT IN ('exact', 'contains', 'regex');
ALTER TABLE response_rules
    DROP CONSTRAINT response_rules_objects_check,
    DROP COLUMN conditions, DROP COLUMN actions, DROP COLUMN limits, DROP COLUMN version, DROP COLUMN updated_at, DROP COLUMN updated_by,
    DROP CONSTRAINT response_rules_match_type_check,
    ADD CONSTRAINT response_rules_match_type_check CHECK (match_type IN ('exact', 'contains', 'regex')),
    ALTER COLUMN keywords DROP DEFAULT,
    ALTER COLUMN response_text DROP DEFAULT;
