"""The rewrite rules, one identity in each file. `u3p_edge.rewriting.passes` lists those that are tried."""
