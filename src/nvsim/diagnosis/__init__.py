"""Why a prediction is what it is: findings with stable codes, and the search for verified fixes."""
