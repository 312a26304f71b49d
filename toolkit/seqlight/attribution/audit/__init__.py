"""Where completeness is lost, call by call."""
