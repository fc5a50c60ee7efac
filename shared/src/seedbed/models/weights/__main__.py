"""`python -m seedbed.models.weights prefetch NAME`: download and convert a model's weights now."""

from seedbed.models.weights.ensure import main

raise SystemExit(main())
