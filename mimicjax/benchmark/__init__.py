"""Steps per second, and what a measurement was made on."""
