"""Lightning around any model: modules to train with, and data for them."""
