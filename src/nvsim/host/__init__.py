"""GPU hosts: profiles, the layouts and driver sets that they are composed of, and their expansion to a tree."""
