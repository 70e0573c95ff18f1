"""Looking on in a browser while a policy plays, and shoving it (docs/viewer.md)."""
