-- +goose Up
CREATE TABLE users (
    id              uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    email           text        NOT NULL,
    name            text        NOT NULL DEFAULT '',
    role            text        NOT NULL,
    accounts        text[]      NOT NULL DEFAULT '{}',
    password_hash   text,
    oidc_subject    text,
    created_at      timestamptz NOT NULL DEFAULT now(),
    last_sign_in_at timestamptz,
    disabled_at     timestamptz,
    CONSTRAINT users_email_check CHECK (email = lower(email) AND email LIKE '%_@_%' AND length(email) <= 254),
    CONSTRAINT users_role_check CHECK (role IN ('owner', 'agent', 'viewer')),
    CONSTRAINT users_email_key UNIQUE (email),
    CONSTRAINT users_oidc_subject_key UNIQUE (oidc_subject)
);
COMMENT ON TABLE users IS 'Who may sign in to the console.';
COMMENT ON COLUMN users.role IS 'owner: everything; agent: conversations and rules; viewer: looks only.';
COMMENT ON COLUMN users.accounts IS 'The accounts (page_id) that they see; none listed: all.';
COMMENT ON COLUMN users.password_hash IS 'argon2id in its PHC form; null for who signs in by other means.';
COMMENT ON COLUMN users.oidc_subject IS 'Issuer and subject of the identity that signs in as this user, set at its first sign-in.';
COMMENT ON CONSTRAINT users_email_key ON users IS 'Finds who signs in.';
COMMENT ON CONSTRAINT users_oidc_subject_key ON users IS 'Finds who signs in with OIDC.';

CREATE TABLE sign_in_links (
    token_hash bytea       PRIMARY KEY,
    user_id    uuid        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
COMMENT ON TABLE sign_in_links IS 'One-time links to sign in and set a password; a link that was used is gone.';
COMMENT ON COLUMN sign_in_links.token_hash IS 'SHA-256 of the token, which is in the link only.';

CREATE INDEX sign_in_links_of_user ON sign_in_links (user_id);
COMMENT ON INDEX sign_in_links_of_user IS 'Withdraws a user''s links.';

CREATE TABLE sessions (
    id           uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    token_hash   bytea       NOT NULL,
    user_id      uuid        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    method       text        NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    last_seen_at timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL,
    remote_addr  text        NOT NULL DEFAULT '',
    user_agent   text        NOT NULL DEFAULT '',
    CONSTRAINT sessions_method_check CHECK (method IN ('password', 'link', 'oidc')),
    CONSTRAINT sessions_token_hash_key UNIQUE (token_hash)
);
COMMENT ON TABLE sessions IS 'Who is signed in, and where. Ending a session is deleting its row.';
COMMENT ON COLUMN sessions.token_hash IS 'SHA-256 of the cookie''s value.';
COMMENT ON CONSTRAINT sessions_token_hash_key ON sessions IS 'Finds the session of a request.';

CREATE INDEX sessions_of_user ON sessions (user_id, last_seen_at DESC);
COMMENT ON INDEX sessions_of_user IS 'Lists a user''s sessions.';
CREATE INDEX sessions_expiry ON sessions (expires_at);
COMMENT ON INDEX sessions_expiry IS 'Finds the sessions that are over, to delete them.';

CREATE TABLE api_tokens (
    id           uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id      uuid        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name         text        NOT NULL,
    hint         text        NOT NULL,
    token_hash   bytea       NOT NULL,
    scopes       text[]      NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL,
    last_used_at timestamptz,
    revoked_at   timestamptz,
    CONSTRAINT api_tokens_token_hash_key UNIQUE (token_hash)
);
COMMENT ON TABLE api_tokens IS 'Tokens of the JSON API. A token can do what its scopes say and what its user may.';
COMMENT ON COLUMN api_tokens.hint IS 'The token''s first characters, to tell it from others.';
COMMENT ON COLUMN api_tokens.token_hash IS 'SHA-256 of the token, which is shown once.';
COMMENT ON CONSTRAINT api_tokens_token_hash_key ON api_tokens IS 'Finds the token of a request.';

CREATE INDEX api_tokens_of_user ON api_tokens (user_id, created_at DESC);
COMMENT ON INDEX api_tokens_of_user IS 'Lists a user''s tokens.';

CREATE TABLE audit_log (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at          timestamptz NOT NULL DEFAULT now(),
    user_id     uuid,
    actor       text        NOT NULL,
    via         text        NOT NULL,
    remote_addr text        NOT NULL DEFAULT '',
    action      text        NOT NULL,
    target      text        NOT NULL DEFAULT '',
    detail      jsonb       NOT NULL DEFAULT '{}',
    CONSTRAINT audit_log_via_check CHECK (via IN ('console', 'api', 'command', 'system'))
);
COMMENT ON TABLE audit_log IS 'Every change that somebody made: who, what, when, from where. Never a message''s text nor a secret. Rows are added only.';
COMMENT ON COLUMN audit_log.actor IS 'Their e-mail address then; the user may be gone since.';
COMMENT ON COLUMN audit_log.action IS 'A constant dotted name, such as rule.updated.';
COMMENT ON COLUMN audit_log.target IS 'What was changed, such as rule:ID.';

CREATE INDEX audit_log_of_target ON audit_log (target, id DESC);
COMMENT ON INDEX audit_log_of_target IS 'What was done to one thing, newest first, by keyset; the primary key lists everything.';
CREATE INDEX audit_log_of_user ON audit_log (user_id, id DESC);
COMMENT ON INDEX audit_log_of_user IS 'What one user did, newest first, by keyset.';

CREATE TABLE outgoing_webhooks (
    id          uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    url         text        NOT NULL,
    secret      text        NOT NULL,
    events      text[]      NOT NULL,
    accounts    text[]      NOT NULL DEFAULT '{}',
    is_active   boolean     NOT NULL DEFAULT true,
    created_at  timestamptz NOT NULL DEFAULT now(),
    created_by  uuid        REFERENCES users (id) ON DELETE SET NULL,
    CONSTRAINT outgoing_webhooks_events_check
        CHECK (events <@ ARRAY['message.received', 'reply.sent', 'conversation.handed_off', 'reply.failed'] AND cardinality(events) > 0)
);
COMMENT ON TABLE outgoing_webhooks IS 'Where other programs are told of what happens.';
COMMENT ON COLUMN outgoing_webhooks.secret IS 'The key of the signature; needed to sign, so it cannot be a hash.';
COMMENT ON COLUMN outgoing_webhooks.accounts IS 'The accounts (page_id) that are told of; none listed: all.';

CREATE TABLE webhook_deliveries (
    id              bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    webhook_id      uuid        NOT NULL REFERENCES outgoing_webhooks (id) ON DELETE CASCADE,
    event           text        NOT NULL,
    event_id        text        NOT NULL,
    account         text        NOT NULL,
    body            jsonb,
    state           text        NOT NULL DEFAULT 'waiting',
    attempts        integer     NOT NULL DEFAULT 0,
    created_at      timestamptz NOT NULL DEFAULT now(),
    next_attempt_at timestamptz,
    finished_at     timestamptz,
    response_status integer,
    error           text,
    CONSTRAINT webhook_deliveries_state_check CHECK (state IN ('waiting', 'delivered', 'failed')),
    CONSTRAINT webhook_deliveries_key UNIQUE (webhook_id, event_id)
);
COMMENT ON TABLE webhook_deliveries IS 'What is to be told, and what came of it. The body is erased when it is over.';
COMMENT ON CONSTRAINT webhook_deliveries_key ON webhook_deliveries IS 'One delivery for one thing, however often it is consumed.';

CREATE INDEX webhook_deliveries_due ON webhook_deliveries (next_attempt_at, id) WHERE state = 'waiting';
COMMENT ON INDEX webhook_deliveries_due IS 'Finds what is to be tried now.';
CREATE INDEX webhook_deliveries_newest ON webhook_deliveries (webhook_id, id DESC);
COMMENT ON INDEX webhook_deliveries_newest IS 'The delivery log of one webhook, newest first, by keyset.';
CREATE INDEX webhook_deliveries_old ON webhook_deliveries (created_at);
COMMENT ON INDEX webhook_deliveries_old IS 'Finds what is old enough to be deleted.';

CREATE TABLE idempotency_keys (
    user_id      uuid        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    key          text        NOT NULL,
    request_hash bytea       NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    status       integer,
    content_type text,
    body         bytea,
    PRIMARY KEY (user_id, key)
);
COMMENT ON TABLE idempotency_keys IS 'Answers of the JSON API''s writes, to give again when the same request comes again.';
COMMENT ON COLUMN idempotency_keys.status IS 'Null while the first request is being answered.';

CREATE INDEX idempotency_keys_old ON idempotency_keys (created_at);
COMMENT ON INDEX idempotency_keys_old IS 'Finds the keys that are old enough to be deleted.';

CREATE TABLE saved_replies (
    id         uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    shortcut   text        NOT NULL,
    body       text        NOT NULL,
    account    text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    updated_by uuid        REFERENCES users (id) ON DELETE SET NULL,
    CONSTRAINT saved_replies_shortcut_check CHECK (shortcut ~ '^[^\s/]{1,40}$')
);
COMMENT ON TABLE saved_replies IS 'Texts that people send often; typed as /shortcut in the composer.';
COMMENT ON COLUMN saved_replies.account IS 'The account (page_id) that it is for; null for all.';

CREATE UNIQUE INDEX saved_replies_key ON saved_replies (coalesce(account, ''), lower(shortcut));
COMMENT ON INDEX saved_replies_key IS 'One reply for a shortcut in an account; finds it.';

CREATE TABLE conversation_desk (
    conversation_id uuid        PRIMARY KEY REFERENCES conversations (id) ON DELETE CASCADE,
    assignee        uuid        REFERENCES users (id) ON DELETE SET NULL,
    closed_at       timestamptz,
    closed_by       uuid        REFERENCES users (id) ON DELETE SET NULL,
    read_at         timestamptz,
    read_by         uuid        REFERENCES users (id) ON DELETE SET NULL,
    note            text        NOT NULL DEFAULT '',
    updated_at      timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE conversation_desk IS 'What the people of the business do with a conversation. None of it reaches the customer or the bot.';
COMMENT ON COLUMN conversation_desk.closed_at IS 'Closed until a customer''s message that is later.';
COMMENT ON COLUMN conversation_desk.read_at IS 'Somebody of the business has read what is not later; conversations.read_at is the customer''s.';

CREATE INDEX conversation_desk_of_assignee ON conversation_desk (assignee, conversation_id) WHERE assignee IS NOT NULL;
COMMENT ON INDEX conversation_desk_of_assignee IS 'Lists the conversations of one person.';

-- +goose Down
DROP TABLE conversation_desk;
DROP TABLE saved_replies;
DROP TABLE idempotency_keys;
DROP TABLE webhook_deliveries;
DROP TABLE outgoing_webhooks;
DROP TABLE audit_log;
DROP TABLE api_tokens;
DROP TABLE sessions;
DROP TABLE sign_in_links;
DROP TABLE users;
