"""What the tests share: the real stack, and how it is spoken to."""
