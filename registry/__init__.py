"""The registration service: validate, admit, commit, answer."""
