-- The mails that were sent, without their addresses and texts.
CREATE TABLE notifications (
    uid uuid PRIMARY KEY,
    user_name text NOT NULL,
    subject text NOT NULL,
    send_time timestamptz NOT NULL
);

CREATE INDEX notifications_newest_of_user ON notifications (user_name, send_time DESC, uid DESC);
