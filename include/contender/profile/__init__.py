"""One statistics engine: what columns hold and how far two differ, for snapshot diffs now and for drift later."""
