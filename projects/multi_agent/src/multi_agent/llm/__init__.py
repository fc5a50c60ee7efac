"""The brain of a model that can follow instructions."""
