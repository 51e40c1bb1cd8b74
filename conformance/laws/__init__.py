"""The specification itself: one module a chapter, one function a law."""
