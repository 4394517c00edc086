"""From a source to rows that can be trusted: sources, snapshots, expectations, splits."""
