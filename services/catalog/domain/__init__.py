"""The rules of the catalog. They import the standard library and, of the mesh, what knows no driver."""
