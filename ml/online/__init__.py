"""The request path: what a client sent (`parse`), its rules and features (`bulk`)."""
