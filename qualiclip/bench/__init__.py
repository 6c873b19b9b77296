"""The benchmark: cards in, score files in the middle, tables and figures out."""
