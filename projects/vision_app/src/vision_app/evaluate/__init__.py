"""Quality figures on labelled documents and images."""
