"""What is put into the container: the plan (legacy, CDI, csv engines) and its application to a root file system."""
