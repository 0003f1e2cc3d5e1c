"""One file per data set; the files themselves lie in `data/` or under `ZOO_DATA_DIR`."""
