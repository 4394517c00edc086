"""From a source to checked rows: sources, snapshots, validation, leak detection, splits."""
