"""Distillation: semantic memory into the weights of a small local model, under gates."""
