"""The search for a recipe's best fields: what is searched, how, and the figures of it."""
