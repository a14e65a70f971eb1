"""What tests need: a whole cluster in one process, and patience with a limit."""
