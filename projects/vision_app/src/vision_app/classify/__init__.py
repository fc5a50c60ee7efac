"""Classification, calibrated confidence, explanations, and training of your own classes."""
