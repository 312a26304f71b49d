"""HTML that notebooks show: tables and small logos, made without a library, so that nothing is loaded for them."""
