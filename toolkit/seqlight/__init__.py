"""See what models of biological sequences learn."""
