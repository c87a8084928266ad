"""What a descriptor image declares about HTTP: methods, routes, problems; the types they are about."""
