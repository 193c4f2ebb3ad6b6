"""The user of these tests: a home, a project with settings, and the commands."""

from fakes.user import user

__all__ = ["user"]
