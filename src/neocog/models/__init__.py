"""One paper, one file, holding only what that paper changed."""
