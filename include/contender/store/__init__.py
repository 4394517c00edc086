"""Where the truth lives: the artifact store and the ledger."""
