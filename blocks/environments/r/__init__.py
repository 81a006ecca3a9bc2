"""R and its packages: as steps ask for them, and as they are installed here."""
