"""The notifications service: sends mails for events, and lists the mails that were sent."""
