"""Whether rows can be trained on: as such, by Great Expectations, and what is set aside."""
