"""Resolution for others, without a socket: what is asked, what is remembered, what an answer from elsewhere says."""
