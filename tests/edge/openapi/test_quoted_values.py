"""Values that the comments on fields quote."""

import pytest

from edge.openapi.quoted_values import UUID, quoted_value


@pytest.mark.parametrize(
    ("comment", "value"),
    [
        ('Identifier. The resource name, in the form "products/{uid}/prices/{uid}".', f"products/{UUID}/prices/{UUID}"),
        (
            "The name of the topic. Format is `projects/{project}/topics/{topic_id}`.",
            "projects/my-project/topics/my-topic-id",
        ),
        ("In the form `{name=files/*}`.", "my-name"),
        ('The category, for\nexample "garden-tools".', "garden-tools"),
        ('The type of the token, always "Bearer".', "Bearer"),
        ("Output only. The unique identifier, a UUID.", UUID),
        ("The address, in the form of `CreateUserRequest.email`.", None),
        ('A filter, for example "price > 10".', None),
        ('The account: "provider" or "sales".', None),
        ("", None),
    ],
)
def test_a_comment_quotes_a_value(comment: str, value: str | None) -> None:
    """The value follows certain words and has no variables left; names of fields and sentences are not values."""
    assert quoted_value(comment) == value
