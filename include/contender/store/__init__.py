"""The artifact store and the ledger: the source of truth. MLflow is mended from here, never the other way round."""
