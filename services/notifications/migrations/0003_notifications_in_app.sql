-- Notifications are read in the app: what they say, whether they were read, and in which order they changed.
CREATE SEQUENCE notifications_change AS bigint;

ALTER TABLE notifications
    ADD COLUMN kind text NOT NULL DEFAULT 'welcome',
    ADD COLUMN text text NOT NULL DEFAULT '',
    ADD COLUMN resource text NOT NULL DEFAULT '',
    ADD COLUMN read_time timestamptz,
    ADD COLUMN in_app boolean NOT NULL DEFAULT true,
    ADD COLUMN email_state text DEFAULT 'sent' CHECK (email_state IN ('pending', 'sent', 'undeliverable')),
    ADD COLUMN change bigint NOT NULL DEFAULT nextval('notifications_change');

-- `undeliverable` stays until no process of the previous version reads it.
UPDATE notifications SET email_state = 'undeliverable' WHERE undeliverable;
UPDATE notifications SET kind = 'registration_repeated' WHERE subject = 'You have an account at Meshwright';

CREATE INDEX notifications_newest_in_app ON notifications (user_name, send_time DESC, uid DESC) WHERE in_app;
CREATE INDEX notifications_newest_unread ON notifications (user_name, send_time DESC, uid DESC)
WHERE in_app AND read_time IS NULL;
CREATE INDEX notifications_changes_of_user ON notifications (user_name, change) WHERE in_app;
CREATE INDEX notifications_oldest ON notifications (send_time);

-- Messages that wait to leave the shop, until they are sent or given up.
CREATE TABLE outgoing_messages (
    notification_uid uuid NOT NULL REFERENCES notifications ON DELETE CASCADE,
    channel text NOT NULL CHECK (channel IN ('email')),
    attempts integer NOT NULL DEFAULT 0,
    due_time timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (notification_uid, channel)
);

CREATE INDEX outgoing_messages_due ON outgoing_messages (due_time);

-- Users who are gone, as keyed hashes, until no event about them can arrive any more.
CREATE TABLE erased_users (
    user_hash bytea PRIMARY KEY,
    expire_time timestamptz NOT NULL
);

CREATE INDEX erased_users_expired ON erased_users (expire_time);
