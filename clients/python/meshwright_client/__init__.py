"""Typed clients of Meshwright's gRPC services, and channels that authorize each call."""

from meshwright_client.channel import authorized_channel
from meshwright_client.tokens import TokenRefused, Tokens

__all__ = ("TokenRefused", "Tokens", "authorized_channel")
