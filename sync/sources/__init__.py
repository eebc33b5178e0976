"""Where the rows of the eleven tables come from: the store, the logs, files of the operator."""
