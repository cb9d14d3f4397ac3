"""Samplers, recipes, and the trainings of the autoencoder and of the two stages."""
