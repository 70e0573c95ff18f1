"""Clips of our own: what is made, and the kinematics that make it."""
