"""One module for each verb of the command line that is more than a few lines."""
