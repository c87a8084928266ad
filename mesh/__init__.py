"""The mesh runtime: what makes a process a member of the mesh. It knows no service and no edge."""
