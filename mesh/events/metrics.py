"""The metrics of a process's events. The labels are bounded, because types are those of the contracts."""

from prometheus_client import Counter, Gauge

OUTBOX_WAITING = Gauge("mesh_outbox_waiting_rows", "Events that the broker does not have yet.")
OUTBOX_AGE_S = Gauge("mesh_outbox_oldest_seconds", "Age of the oldest event that the broker does not have yet.")
PUBLISHED = Counter("mesh_events_published_total", "Events acknowledged by the broker, by type.", ["type"])

INBOX_WAITING = Gauge("mesh_inbox_waiting_rows", "Events received and not yet handled.")
INBOX_DEAD = Gauge("mesh_inbox_dead_rows", "Dead letters: see `python -m mesh.events list`.")
HANDLED = Counter("mesh_events_handled_total", "Tries to handle an event, by type and outcome.", ["type", "outcome"])
