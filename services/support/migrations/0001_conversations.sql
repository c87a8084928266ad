-- Conversations between customers and staff. message_count is the number of the last message.
CREATE TABLE conversations (
    uid uuid PRIMARY KEY,
    customer text NOT NULL,
    subject text NOT NULL,
    state text NOT NULL CHECK (state IN ('open', 'closed')),
    message_count integer NOT NULL,
    create_time timestamptz NOT NULL,
    update_time timestamptz NOT NULL,
    version integer NOT NULL
);

CREATE INDEX conversations_newest ON conversations (create_time DESC, uid DESC);
CREATE INDEX conversations_newest_in_state ON conversations (state, create_time DESC, uid DESC);
CREATE INDEX conversations_newest_of_customer ON conversations (customer, create_time DESC, uid DESC);
CREATE INDEX conversations_newest_of_customer_in_state
    ON conversations (customer, state, create_time DESC, uid DESC);

-- The messages of a conversation have the numbers 1, 2, 3, … in the order of their commits, because each is written
-- under the lock of the conversation's row.
CREATE TABLE messages (
    conversation_uid uuid NOT NULL REFERENCES conversations ON DELETE CASCADE,
    number integer NOT NULL,
    sender text NOT NULL,
    from_staff boolean NOT NULL,
    text text NOT NULL,
    create_time timestamptz NOT NULL,
    request_id uuid,
    PRIMARY KEY (conversation_uid, number)
);

CREATE UNIQUE INDEX messages_by_request ON messages (conversation_uid, sender, request_id)
WHERE request_id IS NOT NULL;
CREATE INDEX messages_of_staff ON messages (sender) WHERE from_staff;

-- Who is or was in a conversation.
CREATE TABLE participants (
    conversation_uid uuid NOT NULL REFERENCES conversations ON DELETE CASCADE,
    user_name text NOT NULL,
    staff boolean NOT NULL,
    last_seen_time timestamptz NOT NULL,
    PRIMARY KEY (conversation_uid, user_name)
);

CREATE INDEX participants_of_user ON participants (user_name);

-- The open streams of conversations, renewed by their replicas. Those of a replica that was killed expire.
CREATE TABLE open_streams (
    uid uuid PRIMARY KEY,
    conversation_uid uuid NOT NULL REFERENCES conversations ON DELETE CASCADE,
    user_name text NOT NULL,
    renew_time timestamptz NOT NULL
);

CREATE INDEX open_streams_of_participant ON open_streams (conversation_uid, user_name);
CREATE INDEX open_streams_of_user ON open_streams (user_name);
CREATE INDEX open_streams_oldest ON open_streams (renew_time);

-- Users whose data was erased, for as long as their tokens and streams can last: nothing of theirs is written again.
CREATE TABLE erased_users (
    user_name text PRIMARY KEY,
    erase_time timestamptz NOT NULL
);

CREATE INDEX erased_users_oldest ON erased_users (erase_time);
