"""Scripts that make the files which the packages and the tests ship."""
