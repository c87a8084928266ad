"""The rules of notifications. They import the standard library and, of the mesh, what knows no driver."""
