"""The YAML files; a package so that Hydra finds them in a wheel as well."""
