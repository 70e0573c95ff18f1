"""A trained policy as files that need nothing of this package (docs/deploy.md)."""
