"""Files of datastores: where they stand, how they are listed, read and delivered."""
