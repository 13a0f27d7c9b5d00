"""How many instances, which one, how long: elasticity."""
