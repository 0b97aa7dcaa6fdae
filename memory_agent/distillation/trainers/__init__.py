"""Trainers: a job folder in, an adapter folder out."""
