"""Pictures and lists of them: any file becomes RGB, any folder or table a Manifest."""
