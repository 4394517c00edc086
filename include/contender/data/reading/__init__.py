"""Readers: from files and databases to one Arrow table of the requested rows. They know no source and no pipeline."""
