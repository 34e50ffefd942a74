"""``backbone doctor``: what each dependency really does, and how to mend what it does not."""
