"""Pictures: read, write, convert, pad and crop, and how bright they are."""
