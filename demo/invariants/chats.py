"""Chats: complete, in order, and announced once."""

from collections import Counter

from meshwright.support.v1.events_pb import MessagePosted

from demo.databases import Databases
from demo.finding import Finding


async def check_chats(databases: Databases) -> Finding:
    """Compares the messages of each conversation with their numbers, their times and their events."""
    finding = Finding("The messages of each conversation are complete, in order, and none is doubled.")
    support = databases["support"]
    rows = await support.fetch(
        """
        SELECT uid, message_count, count(number) AS messages, coalesce(max(number), 0) AS last,
            bool_or(message_time < before) AS is_disordered
        FROM conversations LEFT JOIN (
            SELECT conversation_uid, number, create_time AS message_time,
                lag(create_time) OVER (PARTITION BY conversation_uid ORDER BY number) AS before
            FROM messages
        ) AS numbered ON conversation_uid = uid
        GROUP BY uid, message_count
        """
    )
    for row in rows:
        if not row["message_count"] == row["messages"] == row["last"]:
            figures = f"{row['messages']} messages, numbers up to {row['last']}, and counts {row['message_count']}"
            finding.broken.append(f"conversations/{row['uid']} has {figures}")
        if row["is_disordered"]:
            finding.broken.append(f"conversations/{row['uid']} has a message that is older than the one before")
    doubled = await support.fetch(
        """
        SELECT conversation_uid, request_id FROM messages WHERE request_id IS NOT NULL
        GROUP BY conversation_uid, sender, request_id HAVING count(*) > 1
        """
    )
    finding.broken += [f"conversations/{uid} has two messages of the request {request}" for uid, request in doubled]
    posted = MessagePosted.desc().type_name
    events = await support.fetch("SELECT payload FROM mesh.outbox WHERE type = $1", posted)
    announced = Counter(MessagePosted.from_binary(row["payload"]).message for row in events)
    finding.broken += [f"{name} was announced {count} times" for name, count in announced.items() if count > 1]
    finding.figures |= {"conversations": len(rows), "messages": sum(row["messages"] for row in rows)}
    return finding
