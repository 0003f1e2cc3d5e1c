"""Trained networks that ship with the zoo: NAME.safetensors, and index.json with their SHA-256. See README.md."""
