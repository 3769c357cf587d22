-- +goose Up
ALTER TABLE conversations
    ADD COLUMN last_inbound_at  timestamptz,
    ADD COLUMN last_outbound_at timestamptz,
    ADD COLUMN assignee         uuid,
    ADD COLUMN closed_at        timestamptz,
    ADD COLUMN seen_at          timestamptz;

UPDATE conversations c SET last_inbound_at = m.inbound, last_outbound_at = m.outbound
FROM (SELECT conversation_id, max(timestamp) FILTER (WHERE direction = 'inbound') AS inbound, max(sent_at) AS outbound
      FROM messages GROUP BY conversation_id) m
WHERE m.conversation_id = c.id;
UPDATE conversations c SET assignee = d.assignee, closed_at = d.closed_at, seen_at = d.read_at
FROM conversation_desk d WHERE d.conversation_id = c.id;

ALTER TABLE conversations
    ADD COLUMN is_open boolean NOT NULL GENERATED ALWAYS AS
        (closed_at IS NULL OR closed_at < coalesce(last_inbound_at, '-infinity')) STORED,
    ADD COLUMN is_unread boolean NOT NULL GENERATED ALWAYS AS
        (coalesce(last_inbound_at > coalesce(seen_at, '-infinity'), false)) STORED,
    ADD COLUMN is_waiting boolean NOT NULL GENERATED ALWAYS AS
        (coalesce(last_inbound_at > coalesce(last_outbound_at, '-infinity'), false)) STORED;
COMMENT ON COLUMN conversations.last_inbound_at IS 'Time of the customer''s newest message or tap.';
COMMENT ON COLUMN conversations.last_outbound_at IS 'When something was last provably sent to the customer, by whomever.';
COMMENT ON COLUMN conversations.assignee IS 'Copied from conversation_desk, as closed_at and seen_at (its read_at) are, for the indexes of the inbox.';
COMMENT ON COLUMN conversations.is_open IS 'Not closed, or the customer wrote since.';
COMMENT ON COLUMN conversations.is_unread IS 'Nobody of the business has read the customer''s newest message.';
COMMENT ON COLUMN conversations.is_waiting IS 'The customer had the last word.';

-- +goose StatementBegin
CREATE FUNCTION parley_desk_copied() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        UPDATE conversations SET assignee = NULL, closed_at = NULL, seen_at = NULL WHERE id = OLD.conversation_id;
    ELSE
        UPDATE conversations SET assignee = NEW.assignee, closed_at = NEW.closed_at, seen_at = NEW.read_at
        WHERE id = NEW.conversation_id
          AND (assignee, closed_at, seen_at) IS DISTINCT FROM (NEW.assignee, NEW.closed_at, NEW.read_at);
    END IF;
    RETURN NULL;
END
$$;
-- +goose StatementEnd
COMMENT ON FUNCTION parley_desk_copied() IS 'Keeps the copies of conversation_desk in conversations, where partial indexes can see them beside the times of messages.';

CREATE TRIGGER conversation_desk_copied AFTER INSERT OR UPDATE OR DELETE ON conversation_desk
    FOR EACH ROW EXECUTE FUNCTION parley_desk_copied();

CREATE INDEX conversations_open ON conversations (last_message_at DESC, id DESC, page_id, is_unread)
    WHERE is_open AND last_message_at IS NOT NULL;
COMMENT ON INDEX conversations_open IS 'The inbox: open conversations, newest first, by keyset; account and unread are looked at in the index.';
CREATE INDEX conversations_closed ON conversations (last_message_at DESC, id DESC, page_id, is_unread)
    WHERE NOT is_open AND last_message_at IS NOT NULL;
COMMENT ON INDEX conversations_closed IS 'The inbox''s closed conversations, newest first, by keyset. A conversation is in one of the two.';
CREATE INDEX conversations_waiting ON conversations (last_inbound_at, id, page_id) WHERE is_waiting AND is_open;
COMMENT ON INDEX conversations_waiting IS 'The inbox: whose customers wait, the longest first, by keyset.';
CREATE INDEX conversations_assigned ON conversations (assignee, last_message_at DESC, id DESC) WHERE assignee IS NOT NULL;
COMMENT ON INDEX conversations_assigned IS 'The inbox of one person, newest first, by keyset.';

-- Beside the words stand the account and the day as words that no text can have: a search goes back day by day, within the accounts
-- that somebody sees, and never through all that ever was said.
-- +goose StatementBegin
CREATE FUNCTION parley_words(body text, account text, at timestamptz) RETURNS tsvector LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT pg_catalog.to_tsvector('pg_catalog.simple', body) || pg_catalog.array_to_tsvector(ARRAY[
        '@' || account, '#' || pg_catalog.floor(EXTRACT(epoch FROM at - 'epoch'::timestamptz) / 86400)::bigint::text])
$$;
-- +goose StatementEnd
COMMENT ON FUNCTION parley_words(text, text, timestamptz) IS 'The words of a message, its account (@) and its day since 1970 in UTC (#), for messages_search.';

-- What the bot said is left out: its sentences are the rules', said again and again, and each row of it is written several times.
CREATE INDEX messages_search ON messages USING gin (parley_words(message_text, account, timestamp))
    WHERE direction = 'inbound' OR coalesce(metadata #>> '{intent,origin}', 'operator') = 'operator';
COMMENT ON INDEX messages_search IS 'Finds what customers and people of the business wrote, by words, newest days first.';

CREATE INDEX contacts_search ON contacts USING gin (to_tsvector('simple', coalesce(name, '') || ' ' || coalesce(username, '')));
COMMENT ON INDEX contacts_search IS 'Finds customers by their names.';

CREATE TABLE conversation_labels (
    channel           text        NOT NULL,
    page_id           text        NOT NULL,
    instagram_user_id text        NOT NULL,
    label             text        NOT NULL,
    present           boolean     NOT NULL,
    at                timestamptz NOT NULL,
    by                text,
    PRIMARY KEY (channel, page_id, instagram_user_id, label)
);
COMMENT ON TABLE conversation_labels IS 'The newest change of each label of each conversation, from the events of kind label, in whatever order they are written. The key is a conversation''s, which may be written later.';
COMMENT ON COLUMN conversation_labels.present IS 'Put on; false: taken off.';

CREATE INDEX conversation_labels_of_label ON conversation_labels (label, page_id, instagram_user_id) WHERE present;
COMMENT ON INDEX conversation_labels_of_label IS 'The inbox: what has a label.';

-- +goose StatementBegin
CREATE FUNCTION parley_labelled() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO conversation_labels AS l (channel, page_id, instagram_user_id, label, present, at, by)
    SELECT NEW.channel, NEW.account, NEW.customer, c.label, bool_or(c.present), NEW.time, NEW.data #>> '{labels,by}'
    FROM (SELECT jsonb_array_elements_text(CASE jsonb_typeof(NEW.data #> '{labels,added}') WHEN 'array' THEN NEW.data #> '{labels,added}' ELSE '[]' END) AS label, true AS present
          UNION ALL
          SELECT jsonb_array_elements_text(CASE jsonb_typeof(NEW.data #> '{labels,removed}') WHEN 'array' THEN NEW.data #> '{labels,removed}' ELSE '[]' END), false) c
    GROUP BY c.label
    ON CONFLICT (channel, page_id, instagram_user_id, label) DO UPDATE
    SET present = excluded.present, at = excluded.at, by = excluded.by
    WHERE (excluded.at, excluded.present) > (l.at, l.present);
    RETURN NULL;
END
$$;
-- +goose StatementEnd
COMMENT ON FUNCTION parley_labelled() IS 'Keeps conversation_labels. Of two changes at one time, putting on wins.';

CREATE TRIGGER events_labelled AFTER INSERT OR UPDATE ON events
    FOR EACH ROW WHEN (NEW.kind = 'label' AND NEW.customer IS NOT NULL) EXECUTE FUNCTION parley_labelled();

-- +goose Down
DROP TRIGGER events_labelled ON events;
DROP FUNCTION parley_labelled();
DROP TABLE conversation_labels;
DROP INDEX contacts_search;
DROP INDEX messages_search;
DROP FUNCTION parley_words(text, text, timestamptz);
DROP TRIGGER conversation_desk_copied ON conversation_desk;
DROP FUNCTION parley_desk_copied();
ALTER TABLE conversations
    DROP COLUMN is_open, DROP COLUMN is_unread, DROP COLUMN is_waiting,
    DROP COLUMN last_inbound_at, DROP COLUMN last_outbound_at, DROP COLUMN assignee, DROP COLUMN closed_at, DROP COLUMN seen_at;
