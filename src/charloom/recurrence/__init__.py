"""The recurrence as a pure function: (inputs, state, weights) -> (outputs, last state)."""
