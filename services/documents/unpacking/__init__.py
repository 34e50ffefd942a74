"""What a ZIP holds, each file a document of its own: many deposits at once."""
