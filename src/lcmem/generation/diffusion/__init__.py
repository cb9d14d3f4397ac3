"""Small diffusion models on latents, to train on known pictures and to see what they give away."""
