"""The rewrite rules, one identity in each file. `u3p_edge.rewrite.passes` lists those that are tried."""
