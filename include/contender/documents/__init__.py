"""The stored documents: frozen models of JSON, and their keys. Nothing here reads, writes or computes."""
