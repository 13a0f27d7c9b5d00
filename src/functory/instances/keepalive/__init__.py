"""What a way of keeping instances would have cost on a recorded load: traces, rules, their simulation."""
