"""Chat models and embedders: found on this machine, never downloaded unasked."""
