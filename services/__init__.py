"""The services of the store. Each stands alone: they meet at their contracts only."""
