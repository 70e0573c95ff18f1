"""Evaluation: whole episodes of a policy, figures with intervals, pushes of it."""
