-- Each channel has workers of its own, so that one that does not answer holds up no other. The index without the
-- channel stays until no process of the previous version reads by it.
CREATE INDEX outgoing_messages_due_on_channel ON outgoing_messages (channel, due_time);
