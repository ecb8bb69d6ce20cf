"""One folder for each connector that comes with the platform; each is found by its entry point, as strangers' are."""
