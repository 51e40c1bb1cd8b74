"""What several chapters set up and play through: programs, passes, hooks that note, histories."""
