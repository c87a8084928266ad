-- How users want to be notified. Kinds that are missing in `channels` have their defaults.
CREATE TABLE preferences (
    user_name text PRIMARY KEY,
    channels jsonb NOT NULL,
    phone_number text NOT NULL,
    update_time timestamptz NOT NULL,
    version integer NOT NULL
);

-- Codes that verify phone numbers, as keyed hashes.
CREATE TABLE phone_codes (
    user_name text PRIMARY KEY,
    phone_number text NOT NULL,
    code_hash bytea NOT NULL,
    attempts_left integer NOT NULL,
    expire_time timestamptz NOT NULL
);

CREATE INDEX phone_codes_expired ON phone_codes (expire_time);

-- How many codes users and phone numbers had, as keyed hashes.
CREATE TABLE phone_code_counts (
    key_hash bytea PRIMARY KEY,
    codes integer NOT NULL,
    expire_time timestamptz NOT NULL
);

CREATE INDEX phone_code_counts_expired ON phone_code_counts (expire_time);

ALTER TABLE notifications
    ADD COLUMN sms_state text CHECK (sms_state IN ('pending', 'sent', 'undeliverable'));

ALTER TABLE outgoing_messages
    DROP CONSTRAINT outgoing_messages_channel_check,
    ADD CONSTRAINT outgoing_messages_channel_check CHECK (channel IN ('email', 'sms'));
