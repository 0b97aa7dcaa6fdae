"""Evaluation: data sets in, scorecards out."""
