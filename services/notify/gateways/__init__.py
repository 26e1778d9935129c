"""The outside: push services, mail servers, and the words of a mail."""
