"""The dashboard: a view gets a visit and says what to show. One file per page; ``table.py`` joins them."""
