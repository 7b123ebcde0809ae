"""What decides about rollouts in production: looks at the arms, moves the rollout, and tells of every move once."""
