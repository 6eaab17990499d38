"""Pages about fits: pieces of HTML, one section's words a file."""
