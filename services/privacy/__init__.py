"""What must not be stored as it came: personal data and secrets are masked, character for character."""
