"""The settings of a run and of models: the flows' parameter, the YAML file, the form in the Prefect UI."""
