"""Reading a source: where its files are, what their cells say, and only the rows that are asked for."""
