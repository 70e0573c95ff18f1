"""Pictures: films and views of robots, curves of runs."""
