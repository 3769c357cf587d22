-- +goose Up
CREATE TABLE conversations (
    id                uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    channel           text        NOT NULL DEFAULT 'instagram',
    page_id           text        NOT NULL,
    instagram_user_id text        NOT NULL,
    status            text        NOT NULL DEFAULT 'active',
    created_at        timestamptz NOT NULL DEFAULT now(),
    updated_at        timestamptz NOT NULL DEFAULT now(),
    last_message_at   timestamptz,
    read_at           timestamptz,
    CONSTRAINT conversations_status_check CHECK (status IN ('active', 'archived')),
    CONSTRAINT conversations_key UNIQUE (channel, page_id, instagram_user_id)
);
COMMENT ON TABLE conversations IS 'All that one customer and one account say to each other. A customer may write to two accounts, so channel, account and customer together are the key.';
COMMENT ON COLUMN conversations.page_id IS 'The account: entry[].id of Meta''s webhooks.';
COMMENT ON COLUMN conversations.created_at IS 'The earliest time that is known of it.';
COMMENT ON COLUMN conversations.updated_at IS 'When something of it last reached the installation.';
COMMENT ON COLUMN conversations.last_message_at IS 'Time of the newest message, Meta''s own where it gives one.';
COMMENT ON COLUMN conversations.read_at IS 'Until when the customer has read: outbound messages sent by then are read.';
COMMENT ON CONSTRAINT conversations_key ON conversations IS 'Finds the conversation of a message that is being archived; also lists an account''s customers.';

CREATE INDEX conversations_newest ON conversations (page_id, last_message_at DESC NULLS LAST, id);
COMMENT ON INDEX conversations_newest IS 'Lists an account''s conversations, newest first, by keyset.';

CREATE TABLE messages (
    id              uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    conversation_id uuid        NOT NULL REFERENCES conversations (id),
    account         text        NOT NULL,
    mid             text,
    sender_id       text        NOT NULL,
    recipient_id    text        NOT NULL,
    message_text    text,
    message_type    text        NOT NULL DEFAULT 'text',
    direction       text        NOT NULL,
    timestamp       timestamptz NOT NULL DEFAULT now(),
    status          text        NOT NULL,
    metadata        jsonb       NOT NULL DEFAULT '{}',
    created_at      timestamptz NOT NULL DEFAULT now(),
    deleted_at      timestamptz,
    sent_at         timestamptz,
    CONSTRAINT messages_direction_check CHECK (direction IN ('inbound', 'outbound')),
    CONSTRAINT messages_status_check CHECK (
        direction = 'inbound' AND status = 'received'
        OR direction = 'outbound' AND status IN ('queued', 'unknown', 'failed', 'expired', 'sent', 'delivered', 'read')),
    CONSTRAINT messages_mid_key UNIQUE (account, mid)
);
COMMENT ON TABLE messages IS 'Every direct message, echo and postback. A message of ours is one row from its decision to its echo.';
COMMENT ON COLUMN messages.account IS 'The conversation''s page_id: a mid is unique with its account only.';
COMMENT ON COLUMN messages.mid IS 'Meta''s id of the message; null until it is known.';
COMMENT ON COLUMN messages.timestamp IS 'Meta''s own time where it gives one.';
COMMENT ON COLUMN messages.created_at IS 'When it reached the installation, or was decided there.';
COMMENT ON COLUMN messages.deleted_at IS 'When it was unsent: text, attachments and the raw item are erased.';
COMMENT ON COLUMN messages.sent_at IS 'The earliest evidence that an outbound message was sent; compared with conversations.read_at.';
COMMENT ON COLUMN messages.metadata IS 'The raw item and what is known beyond the columns: attachments, edits, reaction, intent, delivery.';
COMMENT ON CONSTRAINT messages_mid_key ON messages IS 'Finds the message that an echo, an edit, a deletion or a reaction is about.';

CREATE INDEX messages_of_conversation ON messages (conversation_id, timestamp DESC, id DESC);
COMMENT ON INDEX messages_of_conversation IS 'Reads one conversation, newest first, by keyset.';

CREATE INDEX messages_unread ON messages (conversation_id) WHERE direction = 'outbound' AND status IN ('sent', 'delivered');
COMMENT ON INDEX messages_unread IS 'Finds the sent messages of a conversation that a read receipt may turn into read.';

CREATE TABLE message_changes (
    account    text        NOT NULL,
    mid        text        NOT NULL,
    changes    jsonb       NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account, mid)
);
COMMENT ON TABLE message_changes IS 'Edits, deletions and reactions that came before their message; they move into its row when it comes.';

-- +goose Down
DROP TABLE message_changes;
DROP TABLE messages;
DROP TABLE conversations;
